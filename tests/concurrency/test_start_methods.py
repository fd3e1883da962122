"""Handles arrive in the children of every start method, on their own and through pools."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import actors
import pytest
from processes import alive, segment

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Crew

METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture(autouse=True, scope="module")
def end_the_fork_server() -> Iterator[None]:
    """Leave no process behind: the server would live as long as this interpreter."""
    yield
    from multiprocessing import forkserver

    forkserver._forkserver._stop()


@pytest.fixture
def anonymous() -> Iterator[shoal.Store]:
    with shoal.open(None, size="4MiB") as store:
        store["greeting"] = {"hello": [1, 2, 3]}
        yield store
    assert not segment(store.name).exists()


@pytest.mark.parametrize("method", METHODS)
def test_an_anonymous_store_is_shared_with_children(crew: Crew, anonymous: shoal.Store, method: str) -> None:
    children = [crew.start(actors.greet, anonymous, method=method) for _ in range(2)]
    for child in children:
        greeting, pid = child.result()
        assert greeting == {"hello": [1, 2, 3]} == anonymous[f"from {pid}"]
    assert anonymous.stats().processes == 1


@pytest.mark.parametrize("method", METHODS)
def test_namespaces_and_readers_travel_too(crew: Crew, anonymous: shoal.Store, method: str) -> None:
    with anonymous.namespace("other") as other, shoal.open(anonymous.name, "r") as reader:
        other["greeting"] = "in another namespace"
        assert crew.start(actors.greet, other, method=method).result()[0] == "in another namespace"
        assert len(other) == 2
        assert len(anonymous) == 1
        assert crew.start(actors.read_greeting, reader, method=method).result() == ({"hello": [1, 2, 3]}, True)


@pytest.mark.parametrize("method", METHODS)
def test_children_hand_stores_to_their_parent(crew: Crew, method: str) -> None:
    child = crew.start(actors.make_anonymous, method=method)
    with child.recv() as store:
        assert store["greeting"] == "from the child"
        store["answer"] = "from the parent"
        child.send("answered")
        child.result()
        assert alive(store.name) is True
        assert store["greeting"] == "from the child"
    assert not segment(store.name).exists()


@pytest.mark.parametrize("method", METHODS)
def test_an_executor_takes_the_store_as_an_argument(anonymous: shoal.Store, method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        done = [pool.submit(actors.count_up, anonymous, "count", 100) for _ in range(8)]
        assert len({future.result() for future in done}) in (1, 2)
    assert anonymous["count"] == 800


@pytest.mark.parametrize("method", METHODS)
def test_an_executors_initializer_keeps_the_store(anonymous: shoal.Store, method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context, initializer=actors.keep, initargs=(anonymous,)) as pool:
        assert sorted(pool.map(actors.count_up_kept, ["count"] * 50)) == list(range(1, 51))
    assert anonymous["count"] == 50


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_of_multiprocessing(anonymous: shoal.Store, method: str) -> None:
    with multiprocessing.get_context(method).Pool(2, actors.keep, (anonymous,)) as pool:
        assert sorted(pool.map(actors.count_up_kept, ["count"] * 50)) == list(range(1, 51))
        pool.close()
        pool.join()
    assert anonymous.stats().processes == 1


def test_forked_workers_use_a_global(anonymous: shoal.Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(actors, "_shared", anonymous)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert sorted(pool.map(actors.count_up_kept, ["count"] * 50)) == list(range(1, 51))
        pool.close()
        pool.join()


def test_a_pool_that_is_terminated_leaves_the_store_to_the_others(anonymous: shoal.Store) -> None:
    with multiprocessing.get_context("fork").Pool(2, actors.keep, (anonymous,)) as pool:
        pool.map_async(actors.count_up_kept, ["count"] * 100_000)
        while anonymous.get("count", 0) < 1000:
            pass
        pool.terminate()
        pool.join()
    anonymous["key"] = 1
    assert anonymous["key"] == 1
    assert anonymous.stats().processes == 1
