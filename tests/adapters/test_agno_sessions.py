"""Sessions and runs: the rules of Agno's `InMemoryDb`, shown on that and on ours, and what ours adds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agno.db.base", reason="Agno 2 or 3 is not installed", exc_type=ImportError)


from agno.db.base import SessionType
from agno.run.agent import RunOutput
from agno.run.base import RunStatus
from agno_dbs import KINDS, RUNS_APART, SCOPED, database, ids, run, run_ids, session

if TYPE_CHECKING:
    import shoal

needs_users = pytest.mark.skipif(not SCOPED, reason="this Agno's methods know of no users")
needs_runs = pytest.mark.skipif(not RUNS_APART, reason="this Agno has no runs beside sessions")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---------------------------------------------------------------------- one session


def test_a_session_comes_back(db: Any, kind: str) -> None:
    one = session("s1", "ada", "c1", kind, session_data={"deep": {"list": [1]}}, metadata={"m": 1}, created_at=1000)
    stored = db.upsert_session(one)
    assert type(stored) is KINDS[kind]
    assert stored is not one
    read = db.get_session("s1", SessionType(kind))
    assert type(read) is KINDS[kind]
    assert (read.session_id, read.user_id, getattr(read, f"{kind}_id")) == ("s1", "ada", "c1")
    assert (read.session_data, read.metadata) == ({"deep": {"list": [1]}}, {"m": 1})
    assert read.created_at == read.updated_at == 1000
    plain = db.get_session("s1", SessionType(kind), deserialize=False)
    assert (plain["session_type"], plain["user_id"], plain["runs"]) == (kind, "ada", None)
    assert db.get_session("s1", SessionType(kind), user_id="ada") is not None
    assert db.get_session("s1", SessionType(kind), user_id="bob") is None
    assert db.get_session("s2", SessionType(kind)) is None


def test_what_is_given_and_read_is_a_copy(db: Any) -> None:
    one = session("s1", session_data={"list": [1]})
    stored = db.upsert_session(one)
    one.session_data["list"].append(2)
    stored.session_data["list"].append(3)
    db.get_session("s1", SessionType.AGENT).session_data["list"].append(4)
    db.get_sessions(SessionType.AGENT)[0].session_data["list"].append(5)
    assert db.get_session("s1", SessionType.AGENT).session_data == {"list": [1]}


def test_an_update(db: Any) -> None:
    db.upsert_session(session("s1", session_data={"n": 1}, created_at=1000))
    db.upsert_session(session("s2", created_at=1000))
    again = db.upsert_session(session("s1", session_data={"n": 2}, created_at=1000))
    assert again.session_data == {"n": 2}
    read = db.get_session("s1", SessionType.AGENT)
    assert read.session_data == {"n": 2}
    assert read.created_at == 1000 < read.updated_at
    assert ids(db.get_sessions(SessionType.AGENT)) == ["s1", "s2"]


def test_times_that_are_not_given_are_now(ours: Any) -> None:
    ours.upsert_session(session("s1"))
    made = ours.get_session("s1").created_at
    assert made > 1_600_000_000
    ours.upsert_session(session("s1"))
    assert ours.get_session("s1").created_at == made


@needs_users
def test_an_owned_session_is_its_owners(db: Any) -> None:
    db.upsert_session(session("s1", None))
    assert db.upsert_session(session("s1", "ada", session_data={"n": 1})) is not None  # of nobody so far
    assert db.upsert_session(session("s1", "bob", session_data={"n": 2})) is None
    assert db.upsert_session(session("s1", None, session_data={"n": 2})) is None
    assert db.get_session("s1").session_data == {"n": 1}
    assert ids(db.get_sessions(user_id="ada")) == ["s1"]
    assert db.delete_session("s1", user_id="bob") is False
    db.delete_sessions(["s1"], user_id="bob")
    assert db.rename_session("s1", SessionType.AGENT, "x", user_id="bob") is None
    assert db.delete_session("s1", user_id="ada") is True


def test_delete(db: Any) -> None:
    for number in range(5):
        db.upsert_session(session(f"s{number}"))
    assert db.delete_session("s1") is True
    assert db.delete_session("s1") is False
    db.delete_sessions(["s0", "unknown", "s3"])
    assert ids(db.get_sessions(SessionType.AGENT)) == ["s2", "s4"]
    db.upsert_session(session("s1"))
    assert ids(db.get_sessions(SessionType.AGENT)) == ["s2", "s4", "s1"]


def test_rename(db: Any, kind: str) -> None:
    db.upsert_session(session("s1", None, "c", kind, session_data={"n": 1}))
    renamed = db.rename_session("s1", SessionType(kind), "the name")
    assert renamed.session_data == {"n": 1, "session_name": "the name"}
    assert db.get_session("s1", SessionType(kind)).session_data["session_name"] == "the name"
    plain = db.rename_session("s1", SessionType(kind), "another", deserialize=False)
    assert plain["session_data"]["session_name"] == "another"
    other = next(other for other in KINDS if other != kind)
    assert db.rename_session("s1", SessionType(other), "x") is None
    assert db.rename_session("s2", SessionType(kind), "x") is None


def test_several_at_once(db: Any) -> None:
    assert db.upsert_sessions([]) == []
    stored = db.upsert_sessions([session("s1", "ada"), session("s2", "ada")])
    assert ids(stored) == ["s1", "s2"]
    assert ids(db.upsert_sessions([session("s2", "ada")], deserialize=False)) == ["s2"]
    assert ids(db.get_sessions(SessionType.AGENT)) == ["s1", "s2"]


def test_the_time_of_an_update_can_be_kept(ours: Any) -> None:
    ours.upsert_session(session("s1"))
    ours.upsert_sessions([session("s1", updated_at=2000)], preserve_updated_at=True)
    assert ours.get_session("s1").updated_at == 2000


# ---------------------------------------------------------------------- listings


def test_filters(db: Any, kind: str) -> None:
    for number in range(6):
        name = {"session_name": f"Name {number}"} if number % 2 else None
        made = 1000 + number
        db.upsert_session(
            session(f"s{number}", f"u{number % 2}", f"c{number % 3}", kind, session_data=name or {}, created_at=made)
        )
    of = SessionType(kind)
    other = next(other for other in KINDS if other != kind)
    db.upsert_session(session("other", "u0", "c0", other, created_at=5000))
    assert ids(db.get_sessions(of)) == [f"s{n}" for n in range(6)]
    assert ids(db.get_sessions(of, user_id="u1")) == ["s1", "s3", "s5"]
    assert ids(db.get_sessions(of, component_id="c2")) == ["s2", "s5"]
    assert ids(db.get_sessions(of, user_id="u0", component_id="c2")) == ["s2"]
    assert ids(db.get_sessions(of, user_id="nobody")) == []
    assert ids(db.get_sessions(of, session_name="nAmE")) == ["s1", "s3", "s5"]
    assert ids(db.get_sessions(of, start_timestamp=1002, end_timestamp=1004)) == ["s2", "s3", "s4"]
    sessions, total = db.get_sessions(of, limit=2, page=2, deserialize=False)
    assert (ids(sessions), total) == (["s2", "s3"], 6)
    assert ids(db.get_sessions(of, limit=2)) == ["s0", "s1"]
    assert len(db.get_sessions(of, page=2)) == 6  # without a limit there are no pages
    assert all(type(one) is KINDS[kind] for one in db.get_sessions(of))


def test_sorting(db: Any) -> None:
    for number, made in enumerate([30, 10, 20]):
        db.upsert_session(session(f"s{number}", created_at=made))

    def listed(*how: str) -> list[str]:
        return ids(db.get_sessions(SessionType.AGENT, **dict(zip(("sort_by", "sort_order"), how, strict=False))))

    assert listed() == ["s0", "s1", "s2"]
    assert listed("created_at") == listed("created_at", "desc") == listed("created_at", "up") == ["s0", "s2", "s1"]
    assert listed("created_at", "asc") == listed("updated_at", "asc") == ["s1", "s2", "s0"]
    assert listed("no such field", "asc") == ["s0", "s1", "s2"]
    sessions, total = db.get_sessions(SessionType.AGENT, sort_by="created_at", limit=1, deserialize=False)
    assert (ids(sessions), total) == (["s0"], 3)


@needs_users
def test_all_types_together(db: Any) -> None:
    for kind in KINDS:
        db.upsert_session(session(kind, "ada", "c1", kind))
        db.upsert_session(session(f"{kind} 2", "bob", "c2", kind))
    assert len(db.get_sessions()) == 6
    assert ids(db.get_sessions(component_id="c1")) == list(KINDS)
    assert ids(db.get_sessions(component_id="c1", user_id="bob")) == []
    assert [type(one) for one in db.get_sessions(user_id="ada")] == list(KINDS.values())
    assert type(db.get_session("team")) is KINDS["team"]


def test_a_type_that_is_none(ours: Any) -> None:
    ours.upsert_session(session("s1"))
    with pytest.raises(ValueError, match="Invalid session type"):
        ours.get_session("s1", "something")


# ---------------------------------------------------------------------- runs


def test_a_session_comes_with_its_runs(db: Any) -> None:
    one = session("s1", "ada", "a", runs=[run("r1", content="one"), run("r2", content="two")])
    assert run_ids(db.upsert_session(one)) == ["r1", "r2"]
    read = db.get_session("s1", SessionType.AGENT)
    assert run_ids(read) == ["r1", "r2"]
    assert [found.content for found in read.runs] == ["one", "two"]
    assert run_ids(db.get_session("s1", SessionType.AGENT, deserialize=False)) == ["r1", "r2"]
    assert run_ids(db.get_sessions(SessionType.AGENT)[0]) == ["r1", "r2"]
    db.delete_session("s1")
    db.upsert_session(session("s1", "ada", "a"))
    assert run_ids(db.get_session("s1", SessionType.AGENT)) == []


def test_without_runs_there_is_nothing_to_go_through(db: Any, kind: str) -> None:
    one = session("s1", "ada", "c1", kind, runs=[], created_at=1)
    assert db.upsert_session(one).runs == []
    assert db.get_sessions(SessionType(kind))[0].runs == []
    for limit in [{}, {"runs_limit": 2}] if RUNS_APART else [{}]:
        if kind == "agent" or limit:
            assert db.get_session("s1", SessionType(kind), **limit).runs == []
    if RUNS_APART:
        assert db.get_session("s1", SessionType(kind), deserialize=False, runs_limit=2)["runs"] == []


@needs_runs
def test_a_run_that_two_sessions_have_is_that_of_the_earlier(db: Any) -> None:
    for session_id in ("s1", "s2"):
        db.upsert_session(session(session_id, "ada", "a"))
    for session_id in ("s2", "s1"):
        db.upsert_run(run("r1", content=session_id), session_id)
    assert db.get_run("r1").content == "s1"
    assert db.delete_run("r1") is True
    assert db.get_run("r1").content == "s2"


@pytest.mark.skipif(RUNS_APART, reason="this Agno gives the caller's own runs")
def test_what_a_save_gives_is_a_copy(db: Any) -> None:
    one = session("s1", "ada", "a", runs=[run("r1", content="one")])
    stored = db.upsert_session(one)
    stored.runs[0].content = "changed"
    assert one.runs[0].content == "one"


@needs_runs
def test_runs_by_themselves(db: Any) -> None:
    db.upsert_session(session("s1", "ada", "a"))
    db.upsert_session(session("s2", "bob", "a"))
    db.upsert_run(run("r1", content="one"), "s1", run_index=0)
    db.upsert_run(run("r2", content="two", status=RunStatus.error), "s1", run_index=1)
    db.upsert_run(run("r3").to_dict(), "s2", run_index=0)
    db.upsert_run(run("lost"), "no such session")
    with pytest.raises(ValueError, match="Run must have a run_id"):
        db.upsert_run({"content": "x"}, "s1")
    assert run_ids(db.get_session("s1")) == ["r1", "r2"]
    assert db.get_run("r2").content == "two"
    assert db.get_run("r2", deserialize=False)["run_index"] == 1
    assert db.get_run("lost") is None
    db.upsert_run(run("r1", content="changed"), "s1", run_index=9)
    assert db.get_run("r1", deserialize=False)["run_index"] == 0
    assert db.get_run("r1").content == "changed"
    listed = lambda **of: [found.run_id for found in db.get_runs(**of)]  # noqa: E731
    assert listed(session_id="s1") == listed(user_id="ada") == ["r1", "r2"]
    assert listed() == ["r1", "r3", "r2"]  # by index, then by time
    assert listed(status=RunStatus.error) == ["r2"]
    assert listed(agent_id="a", limit=1, page=2) == ["r3"]
    assert listed(agent_id="b") == listed(team_id="a") == listed(session_id="s2", user_id="ada") == []
    runs, total = db.get_runs(session_id="s1", limit=1, deserialize=False)
    assert ([found["run_id"] for found in runs], total) == (["r1"], 2)
    assert db.delete_run("r1") is True
    assert db.delete_run("r1") is False
    db.delete_runs(["r2", "unknown"])
    assert run_ids(db.get_session("s1")) == []
    assert listed() == ["r3"]


@needs_runs
def test_a_save_of_the_session_keeps_runs_and_a_run_renews_the_session(db: Any) -> None:
    db.upsert_session(session("s1", "ada", "a", created_at=1000))
    db.upsert_run(run("r1"), "s1")
    assert db.get_session("s1").updated_at > 1000
    db.upsert_session(session("s1", "ada", "a", runs=[run("other")]))
    assert run_ids(db.get_session("s1")) == ["r1"]


@needs_runs
def test_a_save_of_the_session_does_not_look_at_the_runs_that_are_stored(ours: Any) -> None:
    looked = []

    class Watched(RunOutput):  # type: ignore[misc]  # Any to a checker that has no Agno
        def to_dict(self) -> Any:
            looked.append(self.run_id)
            return super().to_dict()

    one = session("s1", "ada", "a", runs=[Watched(run_id="r1", agent_id="a")])
    ours.upsert_session(one)
    assert looked == ["r1"]
    ours.upsert_session(one)
    assert looked == ["r1"]
    assert [found["run_id"] for found in ours.upsert_session(one, deserialize=False)["runs"]] == ["r1"]


@needs_runs
def test_the_last_runs_that_count(db: Any) -> None:
    db.upsert_session(session("s1", "ada", "a"))
    for number in range(4):
        db.upsert_run(run(f"r{number}"), "s1")
    db.upsert_run(run("member", parent_run_id="r3"), "s1")
    assert run_ids(db.get_session("s1", runs_limit=2)) == ["r2", "r3"]
    assert run_ids(db.get_session("s1", runs_limit=9)) == ["r0", "r1", "r2", "r3"]
    assert run_ids(db.get_session("s1")) == ["r0", "r1", "r2", "r3", "member"]
    assert db.get_sessions(include_runs=False)[0].runs in (None, [])


@needs_runs
def test_what_others_do_to_runs_is_seen(ours: Any, store: shoal.Store) -> None:
    """Also where run objects are kept from one read to the next."""
    others = database("ours", store)
    ours.upsert_session(session("s1", "ada", "a"))
    for number in range(3):
        ours.upsert_run(run(f"r{number}", content="before"), "s1")
    before = ours.get_session("s1").runs
    others.upsert_run(run("r1", content="after"), "s1")
    others.delete_run("r0")
    others.upsert_run(run("r3", content="new"), "s1")
    after = ours.get_session("s1").runs
    assert [(one.run_id, one.content) for one in after] == [("r1", "after"), ("r2", "before"), ("r3", "new")]
    assert [one.content for one in before] == ["before"] * 3
    assert [one.run_id for one in ours.get_session("s1", runs_limit=1).runs] == ["r3"]
    others.delete_session("s1")
    others.upsert_session(session("s1", "ada", "a"))
    assert not ours.get_session("s1").runs
    others.close()


# ---------------------------------------------------------------------- side by side


def act(db: Any, dice: random.Random) -> Any:
    """Do something, as the dice say; what came of it."""
    name, user = f"s{dice.randrange(8)}", dice.choice([None, "ada", "bob"])
    action = dice.randrange(8 if RUNS_APART else 6)
    if action <= 1:
        data = dice.choice([None, {}, {"n": dice.random(), "session_name": dice.choice(["A", "b"])}])
        given = session(name, user, "a", session_data=data, created_at=dice.randrange(5))
        if dice.random() < 0.5 or not RUNS_APART:  # where they come with the session, ours keeps what others added
            given.runs = [run(f"r {name}", created_at=1)]
        return db.upsert_session(given, deserialize=False)
    if action == 2:
        return db.delete_session(name, user_id=user)
    if action == 3:
        return db.rename_session(name, SessionType.AGENT, f"name {dice.randrange(3)}", user_id=user, deserialize=False)
    if action == 4:
        return db.get_session(name, SessionType.AGENT, user_id=user, deserialize=False)
    if action == 5:
        return db.get_sessions(
            SessionType.AGENT,
            user_id=user,
            session_name=dice.choice([None, "a"]),
            start_timestamp=dice.choice([None, 2]),
            sort_by=dice.choice([None, "created_at", "session_id"]),
            sort_order=dice.choice([None, "asc"]),
            limit=dice.choice([None, 3]),
            page=dice.choice([None, 2]),
            deserialize=False,
        )
    if action == 6:
        which = f"r{dice.randrange(12)} {name}"
        return db.upsert_run({"run_id": which, "agent_id": "a", "n": dice.random()}, name, run_index=dice.randrange(9))
    dice_limit = dice.choice([None, 2])
    return (
        db.get_runs(user_id=user, limit=dice_limit, deserialize=False),
        db.delete_run(f"r{dice.randrange(12)} {name}"),
        db.get_session(name, runs_limit=2, deserialize=False),
    )


def plain(value: Any) -> Any:
    """Without what depends on the clock, or says only that there is nothing."""
    if isinstance(value, dict):
        return {
            key: plain(one) for key, one in value.items() if key != "updated_at" and not (key == "runs" and not one)
        }
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


@needs_users
@pytest.mark.parametrize("seed", range(4))
def test_ours_does_what_agnos_does(seed: int, ours: Any) -> None:
    agnos = database("agno", None)
    mine, theirs = random.Random(seed), random.Random(seed)
    for number in range(150):
        assert plain(act(ours, mine)) == plain(act(agnos, theirs)), f"action {number}"


# ---------------------------------------------------------------------- what others did meanwhile


def test_a_save_does_not_undo_what_others_did(ours: Any) -> None:
    data = {"session_state": {"mine": 1, "theirs": 1, "old": 1}, "x": [1]}
    ours.upsert_session(session("s1", "ada", "a", session_data=data))
    mine = ours.get_session("s1", SessionType.AGENT)
    theirs = ours.get_session("s1", SessionType.AGENT)
    ours.rename_session("s1", SessionType.AGENT, "renamed")
    theirs.session_data["session_state"]["theirs"] = 2
    theirs.metadata = {"by": "them"}
    ours.upsert_session(theirs)
    mine.session_data["session_state"]["mine"] = 2
    del mine.session_data["session_state"]["old"]
    ours.upsert_session(mine)
    mine.session_data["x"] = [2]
    ours.upsert_session(mine)
    read = ours.get_session("s1", SessionType.AGENT)
    assert read.session_data == {"session_state": {"mine": 2, "theirs": 2}, "x": [2], "session_name": "renamed"}
    assert read.metadata == {"by": "them"}


def test_a_session_that_was_never_read_replaces(ours: Any) -> None:
    ours.upsert_session(session("s1", session_data={"a": 1}))
    ours.upsert_session(session("s1", session_data={"b": 1}))
    assert ours.get_session("s1", SessionType.AGENT).session_data == {"b": 1}


@pytest.mark.skipif(RUNS_APART, reason="this Agno's sessions are saved without their runs")
def test_a_save_keeps_the_runs_that_others_added(ours: Any) -> None:
    ours.upsert_session(session("s1", "ada", "a", runs=[run("r1"), run("r2")]))
    mine = ours.get_session("s1", SessionType.AGENT)
    theirs = ours.get_session("s1", SessionType.AGENT)
    theirs.runs.append(run("theirs"))
    ours.upsert_session(theirs)
    mine.runs = [mine.runs[0], run("mine")]
    ours.upsert_session(mine)
    assert run_ids(ours.get_session("s1", SessionType.AGENT)) == ["r1", "theirs", "mine"]


def test_agents_work_on_it(ours: Any) -> None:
    """An agent without a model cannot run, but it can name its session and read it."""
    from agno.agent import Agent

    agent = Agent(id="a", db=ours, session_id="s1", user_id="ada")
    ours.upsert_session(session("s1", "ada", "a", runs=[run("r1")]))
    assert run_ids(agent.get_session("s1")) == ["r1"]
    agent.set_session_name("s1", session_name="by the agent")
    assert ours.get_session("s1", SessionType.AGENT).session_data["session_name"] == "by the agent"
    assert agent.deep_copy().db is ours
