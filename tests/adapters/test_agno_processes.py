"""`InMemoryDb` in several processes at once: what each stores is there afterwards, also in one and the same session."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agno.db.base", reason="Agno 2 or 3 is not installed", exc_type=ImportError)


from agno.db.base import SessionType
from agno.db.schemas.evals import EvalRunRecord, EvalType
from agno.db.schemas.memory import UserMemory
from agno_actors import PROCESSES, at_once
from agno_dbs import RUNS_APART, ids, run, run_ids, session

from shoal.adapters.agno import InMemoryDb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Crew


@pytest.fixture
def db(crew: Crew) -> Iterator[InMemoryDb]:
    made = InMemoryDb(crew.name())
    yield made
    made.close()


def make_sessions(me: int, name: str, times: int) -> list[int]:
    db = InMemoryDb(name)  # by its name, as programs that know nothing of each other
    seen = []
    for number in range(times):
        db.upsert_session(session(f"s{me}-{number}", f"u{me}", f"a{number % 2}"))
        seen.append(len(db.get_sessions(SessionType.AGENT, user_id=f"u{me}")))
    db.close()
    return seen


def test_sessions_of_many(crew: Crew, db: InMemoryDb) -> None:
    assert at_once(crew, make_sessions, crew.name(), 40) == [list(range(1, 41))] * PROCESSES
    assert len(db.get_sessions(SessionType.AGENT)) == 40 * PROCESSES
    assert len(db.get_sessions(SessionType.AGENT, component_id="a1")) == 20 * PROCESSES


def take_turns(me: int, db: InMemoryDb, times: int) -> None:
    """As an agent works: read the session, run, save the run and the session."""
    for number in range(times):
        mine = db.get_session("s", SessionType.AGENT)
        mine.session_data["session_state"][f"of {me}"] = number
        if RUNS_APART:
            db.upsert_run(run(f"r{me}-{number}"), "s")
        else:
            mine.runs = [*(mine.runs or []), run(f"r{me}-{number}")]
        db.upsert_session(mine)
        if number == times // 2:
            db.rename_session("s", SessionType.AGENT, f"named by {me}")


def test_turns_of_one_session(crew: Crew, db: InMemoryDb) -> None:
    """The original, shared by threads even, keeps the session of whoever saved last: names and state of the others are gone."""
    db.upsert_session(session("s", "ada", "a", session_data={"session_state": {"before": 1}}))
    at_once(crew, take_turns, db, 12)
    found = db.get_session("s", SessionType.AGENT)
    assert found.session_data["session_state"] == {"before": 1, **{f"of {me}": 11 for me in range(PROCESSES)}}
    assert found.session_data["session_name"] in {f"named by {me}" for me in range(PROCESSES)}
    assert sorted(run_ids(found)) == sorted(f"r{me}-{n}" for me in range(PROCESSES) for n in range(12))


def take_turns_in_memory(me: int, db: InMemoryDb, times: int) -> list[str]:
    made = [
        db.upsert_user_memory(UserMemory(memory=f"{me} {n}", user_id=f"u{n % 2}", topics=[f"of {me}"])).memory_id
        for n in range(times)
    ]
    db.delete_user_memories(made[::2], user_id="u0")
    db.create_eval_run(EvalRunRecord(run_id=f"e{me}", eval_type=EvalType.ACCURACY, eval_data={}))
    db.rename_eval_run("shared", f"by {me}")
    db.upsert_schema_version(f"table {me}", "3.0.0")
    return made[1::2]


def test_other_kinds(crew: Crew, db: InMemoryDb) -> None:
    db.create_eval_run(EvalRunRecord(run_id="shared", eval_type=EvalType.ACCURACY, eval_data={}))
    kept = [one for ones in at_once(crew, take_turns_in_memory, db, 20) for one in ones]
    assert {memory.memory_id for memory in db.get_user_memories(user_id="u1")} == set(kept)
    assert db.get_user_memories(user_id="u0") == []
    assert sorted(db.get_all_memory_topics()) == [f"of {me}" for me in range(PROCESSES)]
    assert len(db.get_eval_runs()) == PROCESSES + 1
    assert {db.get_latest_schema_version(f"table {me}") for me in range(PROCESSES)} == {"3.0.0"}


def claim(me: int, db: InMemoryDb, times: int) -> list[str]:
    mine = (db.upsert_session(session(f"s{number}", f"u{me}")) for number in range(times))
    return [one.session_id for one in mine if one is not None]


def test_an_unowned_session_is_claimed_by_one(crew: Crew, db: InMemoryDb) -> None:
    for number in range(40):
        db.upsert_session(session(f"s{number}"))
    claimed = at_once(crew, claim, db, 40)
    assert sorted(name for names in claimed for name in names) == sorted(f"s{n}" for n in range(40))
    for me, names in enumerate(claimed):
        assert sorted(ids(db.get_sessions(SessionType.AGENT, user_id=f"u{me}"))) == sorted(names)


def come_and_go(me: int, db: InMemoryDb, times: int) -> None:
    for number in range(times):
        db.upsert_session(session("s", "ada", "a", runs=[run(f"first {me}-{number}")]))
        if RUNS_APART:
            db.upsert_run(run(f"r{me}-{number}"), "s")
        db.delete_session("s")


def test_a_session_that_comes_and_goes_leaves_no_runs(crew: Crew, db: InMemoryDb) -> None:
    at_once(crew, come_and_go, db, 25)
    assert db.get_session("s", SessionType.AGENT) is None
    if RUNS_APART:
        assert db.get_runs() == []
    db.upsert_session(session("s", "ada", "a"))
    assert run_ids(db.get_session("s", SessionType.AGENT)) == []
    assert db._runs.entries() == [], "no run stays without its session"


def test_threads_that_list_and_write(db: InMemoryDb) -> None:
    failed: list[BaseException] = []

    def work(me: int) -> None:
        try:
            for number in range(30):
                db.upsert_session(session(f"s{me}-{number}", "ada"))
                db.get_sessions(SessionType.AGENT, user_id="ada", limit=3, sort_by="created_at")
        except BaseException as error:  # noqa: BLE001 - for the test to see
            failed.append(error)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(db.get_sessions(SessionType.AGENT)) == 120


def cost(db: InMemoryDb, do: Any) -> int:
    """How many entries of the store an action reads or writes."""
    before = db._store.stats()
    do()
    after = db._store.stats()
    return sum(getattr(after, field) - getattr(before, field) for field in ("hits", "misses", "sets", "deletes"))


def test_the_cost_of_one_does_not_grow_with_all(db: InMemoryDb) -> None:
    costs = []
    for size in (10, 400):
        for number in range(size):
            db.upsert_session(session(f"s{number}", f"u{number // 5}", f"a{number // 5}"))
            db.upsert_user_memory(UserMemory(memory="m", memory_id=f"m{number}", user_id=f"u{number // 5}"))
            db.upsert_learning(f"l{number}", "profile", {"n": number}, user_id=f"u{number // 5}")
        costs.append((
            cost(db, lambda: db.upsert_session(session("s1", "u0", "a0"))),
            cost(db, lambda: db.rename_session("s1", SessionType.AGENT, "x")),
            cost(db, lambda: db.get_sessions(SessionType.AGENT, user_id="u1")),
            cost(db, lambda: db.get_sessions(SessionType.AGENT, component_id="a1")),
            cost(db, lambda: db.upsert_user_memory(UserMemory(memory="m", memory_id="m1", user_id="u0"))),
            cost(db, lambda: db.get_user_memories(user_id="u1")),
            cost(db, lambda: db.upsert_learning("l1", "profile", {"n": 0}, user_id="u0")),
            cost(db, lambda: db.get_learnings(user_id="u1")),
        ))  # fmt: skip
    assert costs[0] == costs[1]
    assert all(0 < one < 30 for one in costs[0])
