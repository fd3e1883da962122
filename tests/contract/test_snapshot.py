"""Snapshot files: what comes back, and what damaged and foreign files get."""

from __future__ import annotations

import os
import stat
import threading
from datetime import date
from typing import TYPE_CHECKING

import pytest
from snapshot_files import joined, records

import shoal

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Backend

ENTRIES = {"a": 1, "b": None, "ключ": "значение", "list": [1, (2, 3), {"x": b"y"}], "big": "x" * 100_000}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the snapshot goes."""
    return tmp_path / "snapshot"


def test_there_and_back(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.update(ENTRIES)
    assert store.dump(path) == len(ENTRIES)
    other = backend.open("other")
    other["z"] = 1
    assert other.load(path) == len(ENTRIES)
    assert other == {**ENTRIES, "z": 1}
    assert store == ENTRIES


def test_a_snapshot_crosses_between_backends(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.update(ENTRIES)
    store.dump(path)
    with shoal.open("memory://") as memory:
        memory.load(path)
        assert memory == ENTRIES
        memory["new"] = 1
        memory.dump(path)
    assert backend.open("back").load(path) == len(ENTRIES) + 1


def test_an_empty_store(backend: Backend, store: shoal.Store, path: Path) -> None:
    assert store.dump(path) == 0
    assert backend.open("other").load(path) == 0


def test_replace_removes_what_was_there(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.update(a=1)
    store.dump(path)
    other = backend.open("other")
    beside = backend.namespace(other, "beside")
    other["z"] = beside["z"] = 1
    other.load(path, replace=True)
    assert dict(other) == {"a": 1}
    assert dict(beside) == {"z": 1}


def test_a_namespace_goes_into_whatever_namespace_loads_it(backend: Backend, store: shoal.Store, path: Path) -> None:
    source = backend.namespace(store, "source")
    source["a"], store["b"] = 1, 2
    assert source.dump(path) == 1
    target = backend.namespace(backend.open("other"), "target")
    target.load(path)
    assert dict(target) == {"a": 1}
    assert target.namespaces() == ["default", "target"]


def test_all_namespaces_and_their_settings(backend: Backend, store: shoal.Store, path: Path) -> None:
    store["a"] = 1
    backend.namespace(store, "n/1", ttl=1000, max_keys=5, eviction="sieve")["b"] = 2
    backend.namespace(store, "empty")
    known = backend.namespace(store, "known", max_keys=9)
    known["c"] = 3
    assert known.dump(path, all_namespaces=True) == 3

    other = backend.open("other")
    backend.namespace(other, "known", max_keys=7)["old"] = 0
    assert other.load(path) == 3
    assert other.namespaces() == ["default", "empty", "known", "n/1"]
    assert dict(other) == {"a": 1}
    assert dict(backend.namespace(other, "n/1")) == {"b": 2}
    assert dict(backend.namespace(other, "known")) == {"c": 3, "old": 0}
    figures = other.stats().namespaces
    assert (figures["n/1"].ttl, figures["n/1"].max_keys, figures["n/1"].eviction) == (1000, 5, "sieve")
    assert figures["known"].max_keys == 7  # an existing namespace keeps its own
    other.load(path, replace=True)
    assert dict(backend.namespace(other, "known")) == {"c": 3}


def test_expiry_goes_on_while_it_lies_there(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.set("goes", 1, ttl=0.05)
    store.set("stays", 2, ttl=1000)
    store.set("always", 3)
    assert store.dump(path) == 3
    backend.outlive(store, "goes")
    other = backend.open("other", ttl=500)
    assert other.load(path) == 2
    assert other.list_keys() == ["always", "stays"]
    assert 900 < other.ttl("stays") <= 1000  # type: ignore[operator]
    assert other.ttl("always") is None


def test_the_file_replaces_an_older_one_as_a_whole(store: shoal.Store, path: Path) -> None:
    path.write_bytes(b"something else")
    store["a"] = 1
    store.dump(str(path))
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_dump_that_fails_leaves_the_older_one(store: shoal.Store, path: Path) -> None:
    store["a"] = 1
    store.dump(path)
    before = path.read_bytes()
    store.close()
    with pytest.raises(shoal.StoreClosed):
        store.dump(path)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_a_dump_that_fails_half_way_leaves_no_trace(
    store: shoal.Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store["a"] = 1

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(shoal.StorageError, match="No space left") as caught:
        store.dump(path)
    assert caught.value.path == str(path)
    assert list(path.parent.iterdir()) == []


def test_places_that_cannot_be_written_or_read(store: shoal.Store, tmp_path: Path) -> None:
    nowhere = tmp_path / "missing" / "file"
    for call in (store.dump, store.load):
        with pytest.raises(shoal.StorageError) as caught:
            call(nowhere)
        assert caught.value.path == str(nowhere)
        with pytest.raises(shoal.StorageError):
            call(tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(shoal.StorageError):
        store.load(fifo)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["fifo"]


def test_every_truncation_is_found(store: shoal.Store, path: Path) -> None:
    store.update(a=1, b="two")
    store.dump(path)
    data = path.read_bytes()
    store.clear()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(shoal.StorageError) as caught:
            store.load(path, replace=True)
        assert caught.value.path == str(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(shoal.StorageError):
        store.load(path)
    assert dict(store) == {}


def test_every_damaged_byte_is_found_and_nothing_is_loaded(store: shoal.Store, path: Path) -> None:
    store.update(a=1, b="two")
    store.dump(path)
    data = path.read_bytes()
    store.clear()
    store["before"] = 1
    for place in range(len(data)):
        for mask in (1 << place % 8, 0xFF):
            path.write_bytes(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
            with pytest.raises(shoal.StorageError):
                store.load(path, replace=True)
    assert dict(store) == {"before": 1}


def test_the_format_is_what_the_document_says(store: shoal.Store, path: Path) -> None:
    store.update(a=1)
    store.dump(path)
    header, namespace, entry, end = records(path.read_bytes())
    assert header == b"\x93SHOAL\r\n\x02\x00\x00\x00"
    assert namespace[13:] == bytes(8) + bytes(8) + b"\0" + b"default"
    assert entry[:1] == b"E"
    assert entry.endswith(b"\x01\x00a\x01")
    assert joined([header, namespace, entry]) == header + namespace + entry + end


@pytest.mark.parametrize("case", ["entry first", "two namespaces", "no namespace", "twice", "entry missing"])
def test_records_in_the_wrong_place(store: shoal.Store, path: Path, case: str) -> None:
    store.update(a=1, b=2)
    store.dump(path)
    header, namespace, one, two, end = records(path.read_bytes())
    path.write_bytes(
        {
            "entry first": joined([header, one, namespace, two]),
            "two namespaces": joined([header, namespace, one, namespace, two]),
            "no namespace": joined([header, one, two]),
            "twice": header + namespace + one + one + end,
            "entry missing": header + namespace + one + end,
        }[case]
    )
    with pytest.raises(shoal.StorageError):
        store.load(path)
    assert dict(store) == {"a": 1, "b": 2}


def test_files_of_others(store: shoal.Store, path: Path) -> None:
    for data in (b"", b"\x93", b"PK\x03\x04" + bytes(100), b"\x93SHOAL\n\n" + bytes(50)):
        path.write_bytes(data)
        with pytest.raises(shoal.StorageError, match="not a snapshot"):
            store.load(path)
    for version in (0, 3):
        path.write_bytes(b"\x93SHOAL\r\n" + version.to_bytes(2, "little") + b"\x00\x00" + bytes(50))
        with pytest.raises(shoal.StorageError, match=f"version {version}"):
            store.load(path)
    path.write_bytes(b"\x93SHOAL\r\n\x01\x00\x00\x00E" + b"\xff" * 7 + b"\x7f" + bytes(50))
    with pytest.raises(shoal.StorageError, match="truncated"):  # and no attempt to read 2**63 bytes
        store.load(path)


def test_pickles_are_loaded_only_when_asked_for(backend: Backend, path: Path) -> None:
    import pickle

    with shoal.open("memory://") as source:
        source["plain"] = [date(2020, 1, 1)]
        source["odd"] = {"deep": [(1, OSError(2, "x"))]}
        source.dump(path)
    store = backend.open()
    with pytest.raises(shoal.StorageError, match="allow_pickle") as caught:
        store.load(path)
    assert (caught.value.key, caught.value.path) == ("odd", str(path))
    assert len(store) == 0
    assert store.load(path, allow_pickle=True) == 2
    assert store["plain"] == [date(2020, 1, 1)]
    assert pickle.dumps(store["odd"]) == pickle.dumps({"deep": [(1, OSError(2, "x"))]})


def test_loading_into_a_read_only_store(backend: Backend, store: shoal.Store, path: Path) -> None:
    store["a"] = 1
    store.dump(path)
    reader = backend.open(flag="r")
    assert reader.dump(path, all_namespaces=True) == 1
    with pytest.raises(shoal.AccessDenied):
        reader.load(path, replace=True)
    assert dict(store) == {"a": 1}


def test_dumping_while_others_write(store: shoal.Store, path: Path) -> None:
    stays = {f"stays {n}": n for n in range(300)}
    store.update(stays)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            store[f"comes {n % 500}"] = n
            store.delete(f"comes {(n + 250) % 500}")
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            count = store.dump(path)
            with shoal.open("memory://") as loaded:
                assert loaded.load(path) == count == len(loaded)
                assert stays.items() <= loaded.items()
    finally:
        stop.set()
        writer.join()
