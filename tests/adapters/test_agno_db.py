"""`InMemoryDb` as a whole: that it is all that Agno asks for, its handle, its versions of tables, its coroutines."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agno.db.base", reason="Agno 2 or 3 is not installed", exc_type=ImportError)


from agno.db import base
from agno.db.base import BaseDb, SessionType
from agno_actors import call
from agno_dbs import AgnosDb, ids, session

from shoal.adapters.agno import InMemoryDb

if TYPE_CHECKING:
    from processes import Crew

    import shoal
    from conftest import Backend

AsyncBaseDb = getattr(base, "AsyncBaseDb", None)
needs_async = pytest.mark.skipif(AsyncBaseDb is None, reason="this Agno has no asynchronous databases")


def test_nothing_is_left_abstract() -> None:
    assert InMemoryDb.__abstractmethods__ == frozenset()
    assert issubclass(InMemoryDb, BaseDb)


@pytest.mark.parametrize("model", [BaseDb, AgnosDb])
def test_each_method_takes_what_agnos_takes(model: Any) -> None:
    """The same parameters in the same order with the same defaults; more only where an older Agno has fewer."""
    for name in sorted(BaseDb.__abstractmethods__ | {"get_run", "get_runs", "upsert_run", "delete_run", "delete_runs"}):
        if not hasattr(model, name) or (model is BaseDb and name == "get_all_cultural_knowledge"):
            continue  # of the latter Agno's own class has another order than its base
        theirs = inspect.signature(getattr(model, name)).parameters
        ours = inspect.signature(getattr(InMemoryDb, name)).parameters
        assert [one for one in ours if one in theirs] == list(theirs), name
        # Without "deserialize" what Agno's own has there, not what its base has.
        assert [ours[one].default for one in theirs if theirs[one].default is not inspect.Parameter.empty] == [
            theirs[one].default for one in theirs if theirs[one].default is not inspect.Parameter.empty
        ], name


def test_methods_that_agno_would_do_otherwise_are_ours() -> None:
    for name in ("get_run", "get_runs", "upsert_run", "delete_run", "delete_runs", "to_dict", "from_dict", "close"):
        assert getattr(InMemoryDb, name) is not getattr(BaseDb, name, None)


def test_versions_of_tables(store: shoal.Store) -> None:
    db = InMemoryDb(store)
    assert db.table_exists("anything") is True
    assert db.get_latest_schema_version("agno_sessions") == "2.0.0"
    db.upsert_schema_version("agno_sessions", "3.1.0")
    db.upsert_schema_version(table_name="agno_runs", version="3.0.0")
    assert db.get_latest_schema_version("agno_sessions") == "3.1.0"
    assert db.get_latest_schema_version(table_name="agno_runs") == "3.0.0"
    assert db.get_latest_schema_version("agno_memories") == "2.0.0"
    db.close()


def test_without_a_url_each_is_its_own() -> None:
    one, two = InMemoryDb(), InMemoryDb()
    assert one.id != two.id
    one.upsert_session(session("s1"))
    assert two.get_sessions(SessionType.AGENT) == []
    assert deepcopy(one) is one
    one.close()
    two.close()


def test_by_url(backend: Backend) -> None:
    one = InMemoryDb(backend.url(), id="mine")
    two = InMemoryDb.from_dict(one.to_dict())
    assert (two.id, two.to_dict()["url"]) == ("mine", backend.url())
    one.upsert_session(session("s1"))
    assert ids(two.get_sessions(SessionType.AGENT)) == ["s1"]
    one.close()
    two.close()


def test_a_store_that_was_given_stays_open(store: shoal.Store) -> None:
    InMemoryDb(store).close()
    assert not store.closed


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_database_can_be_given_to_a_process(crew: Crew, method: str) -> None:
    db = InMemoryDb(id="mine")
    db.upsert_session(session("ours"))
    found = crew.start(call, db.get_session, "ours", SessionType.AGENT, method=method).result()
    assert found.session_id == "ours"
    crew.start(call, db.upsert_session, session("theirs"), method=method).result()
    assert ids(db.get_sessions(SessionType.AGENT)) == ["ours", "theirs"]
    db.close()


def test_pickled() -> None:
    db = InMemoryDb(id="mine")
    db.upsert_session(session("s1"))
    there = pickle.loads(pickle.dumps(db))
    assert there.id == "mine"
    assert ids(there.get_sessions(SessionType.AGENT)) == ["s1"]
    there.close()
    db.close()


@needs_async
def test_coroutines(store: shoal.Store) -> None:
    from agno.db.schemas.memory import UserMemory

    from shoal.adapters.agno import AsyncInMemoryDb

    assert AsyncInMemoryDb.__abstractmethods__ == frozenset()

    async def work() -> None:
        db = AsyncInMemoryDb(store, id="mine")
        assert isinstance(db, AsyncBaseDb)
        assert db.id == db.db.id == "mine"
        await asyncio.gather(*(db.upsert_session(session(f"s{n}", "ada")) for n in range(5)))
        assert len(await db.get_sessions(SessionType.AGENT, user_id="ada")) == 5
        assert (await db.get_session("s1", SessionType.AGENT)).session_id == "s1"
        assert await db.delete_session("s1") is True
        await db.upsert_user_memory(UserMemory(memory="likes tea", user_id="ada"))
        assert [memory.memory for memory in await db.get_user_memories("ada")] == ["likes tea"]
        assert await db.get_latest_schema_version("x") == "2.0.0"
        assert deepcopy(db) is db
        await db.close()
        db = AsyncInMemoryDb()
        await db.upsert_session(session("s1"))
        there = pickle.loads(pickle.dumps(db))
        assert (there.id, ids(await there.get_sessions(SessionType.AGENT))) == (db.id, ["s1"])
        await there.close()
        await db.close()

    asyncio.run(work())


@needs_async
def test_each_coroutine_takes_what_agnos_takes() -> None:
    from shoal.adapters.agno import AsyncInMemoryDb

    for name in AsyncBaseDb.__abstractmethods__ - {"get_all_cultural_knowledge"}:
        theirs = inspect.signature(getattr(AsyncBaseDb, name)).parameters
        ours = inspect.signature(getattr(AsyncInMemoryDb, name)).parameters
        assert inspect.iscoroutinefunction(getattr(AsyncInMemoryDb, name)), name
        assert [one for one in ours if one in theirs] == list(theirs), name
