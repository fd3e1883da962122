"""`InMemoryStorage`: the rules of Agno 1's class of that name, over each store and over mappings of the caller's."""

from __future__ import annotations

import json
import threading
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agno.storage.base", reason="Agno 1.x is not installed", exc_type=ImportError)


from agno.storage.session.agent import AgentSession
from agno.storage.session.team import TeamSession
from agno.storage.session.v2.workflow import WorkflowSession as WorkflowSessionV2
from agno.storage.session.workflow import WorkflowSession
from agno_actors import PROCESSES, at_once, call

from shoal.adapters.agno import InMemoryStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Crew

    import shoal
    from conftest import Backend

MODES: dict[str, tuple[Any, str]] = {
    "agent": (AgentSession, "agent_id"),
    "team": (TeamSession, "team_id"),
    "workflow": (WorkflowSession, "workflow_id"),
    "workflow_v2": (WorkflowSessionV2, "workflow_id"),
}


@pytest.fixture(params=["store", "dict"])
def make(request: pytest.FixtureRequest, store: shoal.Store) -> Iterator[Any]:
    """Return a function that makes storages over one store, or one dict."""
    made: list[InMemoryStorage] = []
    where = {"url": store} if request.param == "store" else {"storage_dict": {}}

    def make_one(mode: Any = "agent") -> InMemoryStorage:
        made.append(InMemoryStorage(mode, **where))
        return made[-1]

    yield make_one
    for storage in made:
        storage.close()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def session(mode: str, name: str, user: str | None = None, entity: str | None = None, **fields: Any) -> Any:
    cls, of = MODES[mode]
    return cls(session_id=name, user_id=user, **{of: entity}, **fields)


def names(sessions: list[Any]) -> list[str]:
    return [found.session_id for found in sessions]


def test_create_read_update_delete(make: Any, mode: str) -> None:
    storage = make(mode)
    one = session(mode, "s1", "ada", "e1", session_data={"n": 1}, extra_data={"deep": {"list": [1, 2]}})
    assert storage.upsert(one) is one
    read = storage.read("s1")
    assert type(read) is MODES[mode][0]
    assert read is not one
    assert (read.session_id, read.user_id, read.session_data) == ("s1", "ada", {"n": 1})
    assert read.extra_data == {"deep": {"list": [1, 2]}}
    assert isinstance(read.created_at, int)
    assert read.updated_at >= read.created_at
    read.session_data = {"n": 2}
    storage.upsert(read)
    assert storage.read("s1").session_data == {"n": 2}
    assert storage.read("s1").created_at == read.created_at
    assert len(storage.get_all_sessions()) == 1
    storage.delete_session("s1")
    assert storage.read("s1") is None


def test_what_is_not_there_is_quiet(make: Any, mode: str) -> None:
    storage = make(mode)
    storage.delete_session()
    storage.delete_session(None)
    storage.delete_session("unknown")
    assert storage.read("unknown") is None
    assert storage.get_all_sessions() == storage.get_all_session_ids() == storage.get_recent_sessions() == []
    storage.create()
    storage.upgrade_schema()


def test_filters(make: Any, mode: str) -> None:
    storage = make(mode)
    for number in range(6):
        storage.upsert(session(mode, f"s{number}", f"u{number % 2}", f"e{number % 3}"))
    for listing in (storage.get_all_session_ids, lambda **by: names(storage.get_all_sessions(**by))):
        assert listing() == [f"s{n}" for n in range(6)]
        assert listing(user_id="u1") == ["s1", "s3", "s5"]
        assert listing(entity_id="e2") == ["s2", "s5"]
        assert listing(user_id="u1", entity_id="e2") == ["s5"]
        assert listing(user_id="unknown") == listing(entity_id="unknown") == []
        assert listing(user_id="u1", entity_id="unknown") == []


def test_recent_sessions(make: Any, mode: str) -> None:
    storage = make(mode)
    for number, made in enumerate([100, 300, 200, 300, 50]):
        storage.upsert(session(mode, f"s{number}", f"u{number % 2}", f"e{number % 3}", created_at=made))
    assert names(storage.get_recent_sessions()) == ["s1", "s3"]  # two, and those made at once as they came
    assert names(storage.get_recent_sessions(limit=None)) == ["s1", "s3", "s2", "s0", "s4"]
    assert names(storage.get_recent_sessions(limit=3)) == ["s1", "s3", "s2"]
    assert storage.get_recent_sessions(limit=0) == []
    assert names(storage.get_recent_sessions(user_id="u0")) == ["s2", "s0"]
    assert names(storage.get_recent_sessions(entity_id="e0")) == ["s3", "s0"]
    assert names(storage.get_recent_sessions(user_id="u1", entity_id="e0")) == ["s3"]


def test_read_of_a_user(make: Any) -> None:
    storage = make()
    storage.upsert(session("agent", "s1", "ada"))
    assert storage.read("s1").user_id == storage.read("s1", "ada").user_id == storage.read("s1", "").user_id == "ada"
    assert storage.read("s1", user_id="bob") is None


def test_drop(make: Any) -> None:
    storage = make()
    for number in range(3):
        storage.upsert(session("agent", f"s{number}"))
    storage.drop()
    assert storage.get_all_sessions() == []
    assert len(storage.storage) == 0
    storage.upsert(session("agent", "s9"))
    assert storage.get_all_session_ids() == ["s9"]


def test_the_mode(make: Any) -> None:
    storage = make(None)
    assert storage.mode == "agent"
    storage.upsert(session("agent", "s1"))
    storage.mode = "team"
    assert type(storage.read("s1")) is TeamSession
    storage.mode = None
    assert type(storage.read("s1")) is AgentSession
    storage.mode = "something else"
    assert storage.read("s1") is None
    assert storage.get_all_sessions(entity_id="e") == []


def test_nothing_stored_changes_with_what_was_given_or_read(make: Any, mode: str) -> None:
    storage = make(mode)
    one = session(mode, "s1", session_data={"list": [1]})
    storage.upsert(one)
    one.session_data["list"].append(2)
    storage.read("s1").session_data["list"].append(3)
    storage.get_all_sessions()[0].session_data["list"].append(4)
    assert storage.read("s1").session_data == {"list": [1]}


def test_what_cannot_be_stored_is_none(make: Any) -> None:
    storage = make()
    assert storage.upsert(session("agent", "s1", session_data={"lock": threading.Lock()})) is None
    assert storage.upsert("no session") is None
    assert storage.get_all_sessions() == []


def test_two_storages_share(make: Any) -> None:
    one, two = make(), make()
    one.upsert(session("agent", "s1", "ada"))
    assert two.read("s1").user_id == "ada"
    two.delete_session("s1")
    assert one.read("s1") is None


# ---------------------------------------------------------------------- the mapping


def test_a_dict_of_the_callers_is_the_storage() -> None:
    mine: dict[str, Any] = {}
    storage = InMemoryStorage(storage_dict=mine)
    assert storage.storage is mine
    storage.upsert(session("agent", "s1", "ada"))
    assert mine["s1"]["user_id"] == "ada"
    assert isinstance(mine["s1"]["updated_at"], int)
    storage.drop()
    assert mine == {}
    mine["old"] = {"session_id": "old", "user_id": "eve", "created_at": 1}
    assert storage.read("old").user_id == "eve"
    assert names(InMemoryStorage(storage_dict=mine).get_all_sessions(user_id="eve")) == ["old"]
    with pytest.raises(ValueError, match="one of them"):
        InMemoryStorage(storage_dict={}, url="memory://x")


def test_an_empty_dict_of_the_callers_is_used() -> None:
    mine: dict[str, Any] = {}
    InMemoryStorage(storage_dict=mine).upsert(session("agent", "s1"))
    assert list(mine) == ["s1"]


def test_a_store_as_the_mapping(store: shoal.Store) -> None:
    storage = InMemoryStorage(storage_dict=store)
    storage.upsert(session("agent", "s1", "ada"))
    assert store["s1"]["user_id"] == "ada"
    assert names(storage.get_all_sessions(user_id="ada")) == ["s1"]


def test_the_mapping_of_a_store_is_like_a_dict(store: shoal.Store) -> None:
    storage = InMemoryStorage(url=store)
    for name in ("s2", "s1", "s3"):
        storage.upsert(session("agent", name, "ada"))
    mapping = storage.storage
    assert list(mapping) == ["s2", "s1", "s3"]
    assert (len(mapping), "s1" in mapping, "s9" in mapping, mapping.get("s9")) == (3, True, False, None)
    assert dict(mapping) == mapping
    assert mapping.pop("s1")["session_id"] == "s1"
    assert mapping.pop("s1", None) is None
    with pytest.raises(KeyError):
        mapping.pop("s1")
    with pytest.raises(KeyError):
        mapping["s1"]
    with pytest.raises(KeyError):
        del mapping["s1"]
    del mapping["s2"]
    assert json.loads(json.dumps(dict(mapping))) == dict(mapping)
    mapping.clear()
    assert dict(mapping) == {}
    storage.close()


# ---------------------------------------------------------------------- sharing


def test_the_mapping_of_a_store_shows_what_was_there_at_one_time(store: shoal.Store) -> None:
    storage = InMemoryStorage(url=store)
    for look in ("items", "values"):
        for name in ("s1", "s2"):
            storage.upsert(session("agent", name))
        looked = iter(getattr(storage.storage, look)())
        next(looked)
        storage.delete_session("s2")  # as another process might
        assert len(list(looked)) == 1
    storage.close()


def test_the_mapping_of_a_store_gives_the_last_item_first(store: shoal.Store) -> None:
    storage = InMemoryStorage(url=store)
    for name in ("s1", "s2"):
        storage.upsert(session("agent", name))
    assert [storage.storage.popitem()[0] for _ in range(2)] == ["s2", "s1"]
    with pytest.raises(KeyError):
        storage.storage.popitem()
    storage.close()


def test_without_a_url_each_is_its_own() -> None:
    one, two = InMemoryStorage(), InMemoryStorage()
    one.upsert(session("agent", "s1"))
    assert two.get_all_sessions() == []
    copied = deepcopy(one)  # as Agent.deep_copy does
    assert names(copied.get_all_sessions()) == ["s1"]
    one.close()
    two.close()


def test_a_copy_with_a_dict_has_its_own() -> None:
    one = InMemoryStorage(storage_dict={})
    one.upsert(session("agent", "s1"))
    copied = deepcopy(one)
    copied.delete_session("s1")
    assert one.read("s1") is not None


def test_by_url(backend: Backend) -> None:
    one, two = InMemoryStorage(url=backend.url()), InMemoryStorage(url=backend.url())
    one.upsert(session("agent", "s1"))
    assert names(two.get_all_sessions()) == ["s1"]
    one.close()
    two.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_storage_can_be_given_to_a_process(crew: Crew, method: str) -> None:
    storage = InMemoryStorage()
    storage.upsert(session("agent", "ours", "ada"))
    theirs = session("agent", "theirs", "bob")
    assert crew.start(call, storage.get_all_session_ids, method=method).result() == ["ours"]
    crew.start(call, storage.upsert, theirs, method=method).result()
    assert names(storage.get_all_sessions()) == ["ours", "theirs"]
    storage.close()


def write_and_list(me: int, storage: InMemoryStorage, times: int) -> int:
    seen = 0
    for number in range(times):
        storage.upsert(session("agent", f"s{me}-{number}", f"u{me}", "e"))
        seen = max(seen, len(storage.get_all_session_ids(user_id=f"u{me}")))
        storage.get_recent_sessions(entity_id="e")
    return seen


def test_processes_and_threads_lose_nothing(crew: Crew) -> None:
    """What the original cannot: a lister beside writers, and writers in several processes."""
    storage = InMemoryStorage(url=crew.name())
    failed: list[BaseException] = []

    def here(me: int) -> None:
        try:
            write_and_list(me, storage, 30)
        except BaseException as error:  # noqa: BLE001 - for the test to see
            failed.append(error)

    assert at_once(crew, write_and_list, storage, 60) == [60] * PROCESSES
    threads = [threading.Thread(target=here, args=(10 + n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(storage.get_all_sessions()) == 60 * PROCESSES + 90
    storage.close()
