"""Agno's own agents, teams and workflows at work, with their sessions in our storage or database, and in Agno's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agno", reason="Agno is not installed", exc_type=ImportError)

from agno_actors import PROCESSES, at_once, call
from agno_workers import FIRST, KINDS, Desk, why_no_workflows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processes import Crew

    import shoal

needs_a_dict = pytest.mark.skipif(not FIRST, reason="mappings of the caller's are of Agno 1")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "workflow" and (reason := why_no_workflows()):
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture
def open_desk(kind: str) -> Iterator[Callable[[Any], Any]]:
    """Return a function that opens a storage: ours over a store, or its name, or a dict, or, for None, Agno's own.

    To be asked for after the store, so that it closes them first.
    """
    opened: list[Any] = []

    def open_one(where: Any) -> Any:
        opened.append(Desk.open(kind, where))
        return opened[-1]

    yield open_one
    for desk in opened:
        desk.close()


@pytest.fixture(params=["ours", "agno"])
def desk(request: pytest.FixtureRequest, store: shoal.Store, open_desk: Callable[[Any], Any]) -> Any:
    """Return a storage and who works with it: ours over each kind of store, and Agno's own, whose rules these tests restate."""
    return open_desk(store if request.param == "ours" else None)


def ids(sessions: list[Any]) -> list[str]:
    return [session.session_id for session in sessions]


def remembers(desk: Any) -> bool:
    """Whether workers are told what was said before: a workflow of Agno 1's second kind is not."""
    return bool(desk.kind != "workflow_v2")


def test_a_run_is_stored(desk: Any) -> None:
    worker = desk.hire("e1", "ada", name="front desk")
    answer = desk.ask(worker, "the capital of France?")
    assert answer.content == "the capital of France?"
    stored = desk.read(answer.session_id)
    assert (stored.session_id, stored.user_id, desk.of(stored)) == (answer.session_id, "ada", "e1")
    assert desk.name(stored) == "front desk"
    assert desk.answers(answer.session_id) == ["the capital of France?"]


@pytest.mark.skipif(not FIRST, reason="storages with a mode are of Agno 1")
def test_a_storage_takes_the_mode_of_who_uses_it(desk: Any) -> None:
    desk.storage.mode = None
    assert desk.storage.mode == "agent"
    answer = desk.ask(desk.hire(), "one")
    assert desk.storage.mode == desk.kind
    kinds = {"agent": "AgentSession", "team": "TeamSession"}
    assert type(desk.read(answer.session_id)).__name__ == kinds.get(desk.kind, "WorkflowSession")


def test_a_conversation_keeps_its_history(desk: Any) -> None:
    worker = desk.hire(session="s1")
    answers = [desk.ask(worker, text).content for text in ("the capital?", "its river?", "how long?")]
    assert desk.answers("s1") == answers
    assert ids(desk.sessions()) == ["s1"]
    assert all(("the capital?" in answer) == remembers(desk) for answer in answers[1:])


def test_sessions_of_a_user(desk: Any) -> None:
    desk.ask(desk.hire(session="s1", user="ada"), "one")
    desk.ask(desk.hire(session="s2", user="bob"), "two")
    assert ids(desk.sessions(user="eve")) == []
    if lists_users(desk):
        assert ids(desk.sessions(user="ada")) == ["s1"]
        assert [session.user_id for session in desk.sessions(user="bob")] == ["bob"]


def lists_users(desk: Any) -> bool:
    """Whether a user's sessions are listed: those of workflows of Agno 1's second kind Agno's own storage leaves out."""
    return bool(desk.kind != "workflow_v2" or type(desk.storage).__module__.startswith("shoal."))


def test_a_session_is_deleted(desk: Any) -> None:
    for session in ("s1", "s2", "s3"):
        worker = desk.hire(session=session)
        desk.ask(worker, "one")
    desk.storage.delete_session("s1")
    worker.delete_session("s2")
    assert desk.read("s1") is desk.read("s2") is None
    assert ids(desk.sessions()) == ["s3"]
    assert desk.ask(desk.hire(session="s2"), "anew").content == "anew", "nothing of it is remembered"
    assert desk.answers("s2") == ["anew"]


def test_all_sessions_and_some(desk: Any) -> None:
    for number, (user, of) in enumerate([("u1", "e1"), ("u1", "e2"), ("u2", "e3")]):
        desk.ask(desk.hire(of, user, f"s{number}"), f"question {number}")
    assert sorted(ids(desk.sessions())) == ["s0", "s1", "s2"]
    assert ids(desk.sessions(of="e1")) == ["s0"]
    assert ids(desk.sessions(of="e4")) == []
    if lists_users(desk):
        assert sorted(ids(desk.sessions(user="u1"))) == ["s0", "s1"]
        assert ids(desk.sessions(user="u1", of="e2")) == ["s1"]
        assert ids(desk.sessions(user="u2", of="e2")) == []


def test_each_worker_has_a_session_of_its_own(desk: Any) -> None:
    answers = [desk.ask(desk.hire(), f"question {number}") for number in range(3)]
    assert sorted(ids(desk.sessions())) == sorted(answer.session_id for answer in answers)
    assert [answer.content for answer in answers] == [f"question {number}" for number in range(3)]


def test_drop(desk: Any) -> None:
    for number in range(3):
        desk.ask(desk.hire(), f"question {number}")
    assert len(desk.sessions()) == 3
    desk.drop()
    assert desk.sessions() == []
    desk.ask(desk.hire(session="s9"), "after that")
    assert ids(desk.sessions()) == ["s9"]


def test_recent_sessions(desk: Any) -> None:
    for number in range(5):
        desk.ask(desk.hire(f"e{number % 3}", f"u{number % 2}", f"s{number}"), f"question {number}")
        session = desk.read(f"s{number}")
        session.created_at = 1_700_000_000 + number  # without waiting for the clock
        desk.keep(session)
    assert ids(desk.recent(2)) == ["s4", "s3"]
    assert ids(desk.recent(3)) == ["s4", "s3", "s2"]
    assert ids(desk.recent(5, of="e1")) == ["s4", "s1"]
    if FIRST:
        assert ids(desk.storage.get_recent_sessions()) == ["s4", "s3"]
    assert ids(desk.recent(5, user="u1")) == ["s3", "s1"]
    assert desk.answers("s0") == ["question 0"], "saved once more, it has its runs"


def test_another_instance_goes_on(desk: Any) -> None:
    desk.ask(desk.hire("e", session="s1"), "my name is John")
    answer = desk.ask(desk.hire("e", session="s1"), "what is my name?")
    assert len(desk.answers("s1")) == 2
    assert ("John" in answer.content) == remembers(desk)


def test_another_storage_of_the_store_goes_on(store: shoal.Store, open_desk: Callable[[Any], Any]) -> None:
    one, two = open_desk(store), open_desk(store)
    one.ask(one.hire("e", session="s1"), "my name is John")
    answer = two.ask(two.hire("e", session="s1"), "what is my name?")
    assert one.answers("s1") == two.answers("s1") == ["my name is John", answer.content]
    assert ("John" in answer.content) == remembers(two)


def test_several_workers_share(store: shoal.Store, open_desk: Callable[[Any], Any]) -> None:
    desks = [open_desk(store) for _ in range(3)]
    for number, desk in enumerate(desks):
        desk.ask(desk.hire(f"e{number}", f"u{number}", f"s{number}", f"clerk {number}"), f"hello from {number}")
    for number, desk in enumerate(desks):
        assert sorted(ids(desk.sessions())) == ["s0", "s1", "s2"]
        session = desk.read(f"s{number}")
        assert (session.user_id, desk.of(session), desk.name(session)) == (
            f"u{number}",
            f"e{number}",
            f"clerk {number}",
        )
        assert ids(desk.sessions(user=f"u{number}")) == ids(desk.sessions(of=f"e{number}")) == [f"s{number}"]


# Workflows of Agno 1's second kind do not save a session's name.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "workflow_v2"], indirect=True)
def test_a_session_is_renamed(desk: Any) -> None:
    worker = desk.hire(session="s1")
    desk.ask(worker, "one")
    desk.rename_session(worker, "s1", "an order")
    assert desk.read("s1").session_data["session_name"] == "an order"
    desk.ask(worker, "two")
    assert desk.read("s1").session_data["session_name"] == "an order"
    assert len(desk.answers("s1")) == 2


# What the framework can rename: teams it cannot, and workflows Agno 1 alone.
@pytest.mark.parametrize("kind", ["agent", "workflow"] if FIRST else ["agent"], indirect=True)
def test_a_worker_is_renamed(desk: Any) -> None:
    worker = desk.hire(session="s1", name="before")
    desk.ask(worker, "one")
    assert desk.name(desk.read("s1")) == "before"
    desk.rename(worker, "s1", "after")
    assert desk.name(desk.read("s1")) == "after"
    assert desk.answers("s1") == ["one"]


# ---------------------------------------------------------------------- a mapping of the caller's


@needs_a_dict
def test_a_dict_of_the_callers(kind: str, open_desk: Callable[[Any], Any]) -> None:
    mine: dict[str, Any] = {}
    one, two = open_desk(mine), open_desk(mine)
    one.ask(one.hire(session="s1", name="front desk"), "my name is John")
    assert list(mine) == ["s1"]
    assert mine["s1"]["session_id"] == "s1"
    assert one.name(one.read("s1")) == "front desk"
    answer = two.ask(two.hire(session="s1", name="front desk"), "what is my name?")
    assert ("John" in answer.content) == remembers(two)
    assert len(mine["s1"]["runs"] if kind == "workflow_v2" else mine["s1"]["memory"]["runs"]) == 2


@needs_a_dict
def test_a_dict_that_several_share(open_desk: Callable[[Any], Any]) -> None:
    mine: dict[str, Any] = {}
    for number in range(3):
        desk = open_desk(mine)
        desk.ask(desk.hire(f"e{number}", f"u{number}", f"s{number}"), f"hello from {number}")
    assert list(mine) == ["s0", "s1", "s2"]
    desk = open_desk(mine)
    assert ids(desk.sessions(user="u0")) == ["s0"]
    assert ids(desk.sessions(of="e1")) == ["s1"]


# ---------------------------------------------------------------------- processes


def go_on(name: str, kind: str, session: str, text: str) -> str:
    desk = Desk.open(kind, name)
    content = str(desk.ask(desk.hire("e", "ada", session), text).content)
    desk.close()
    return content


# Spawned ones once: each imports all of the framework anew.
@pytest.mark.parametrize(
    ("kind", "method"), [("agent", "spawn"), *((kind, "fork") for kind in KINDS)], indirect=["kind"]
)
def test_a_process_goes_on_where_another_ended(
    crew: Crew, kind: str, method: str, open_desk: Callable[[Any], Any]
) -> None:
    desk = open_desk(crew.name())
    answers = [
        crew.start(call, go_on, crew.name(), kind, "s1", text, method=method).result()
        for text in ("my name is John", "what is my name?")
    ]
    assert desk.answers("s1") == answers
    assert ("John" in answers[1]) == remembers(desk)
    assert ids(desk.sessions(user="ada", of="e")) == ["s1"]


def chat(me: int, name: str, kind: str, turns: int) -> list[str]:
    desk = Desk.open(kind, name)
    worker = desk.hire("e", f"u{me}", f"s{me}")
    answers = [str(desk.ask(worker, f"question {me}-{turn}").content) for turn in range(turns)]
    desk.close()
    return answers


def test_processes_have_their_sessions_in_one_store(crew: Crew, kind: str, open_desk: Callable[[Any], Any]) -> None:
    desk = open_desk(crew.name())
    answers = at_once(crew, chat, crew.name(), kind, 4)
    assert sorted(ids(desk.sessions(of="e"))) == [f"s{me}" for me in range(PROCESSES)]
    for me in range(PROCESSES):
        assert desk.answers(f"s{me}") == answers[me]
        assert ids(desk.sessions(user=f"u{me}")) == [f"s{me}"]


def chat_together(me: int, name: str, kind: str, turns: int) -> list[str]:
    desk = Desk.open(kind, name)
    runs = [desk.ask(desk.hire("e", "ada", "shared"), f"question {me}-{turn}").run_id for turn in range(turns)]
    desk.close()
    return runs


@pytest.mark.skipif(FIRST, reason="Agno 1 saves a session as a whole: of those who save it at once, the last stays")
@pytest.mark.parametrize("kind", ["agent", "team", "workflow"], indirect=True)
def test_processes_lose_no_run_of_one_session(crew: Crew, kind: str, open_desk: Callable[[Any], Any]) -> None:
    desk = open_desk(crew.name())
    made = at_once(crew, chat_together, crew.name(), kind, 4)
    runs = [run.run_id for run in desk.read("shared").runs]
    assert sorted(runs) == sorted(run for mine in made for run in mine)
