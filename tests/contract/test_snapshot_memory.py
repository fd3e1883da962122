"""Snapshots of memory: what comes back, in what order it is written, and files of before there was memory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from snapshot_files import again, joined, records

import shoal

if TYPE_CHECKING:
    from conftest import Backend

GOLDEN = Path(__file__).parents[1] / "golden" / "snapshot-v1"
TREE = {
    "user": {"name": "john", "tags": [1, (2, "x")], "deep": {"er": {"est": None}}},
    "v1.2": {"back\\slash": True, "ключ": "значение"},
    "empty": {},
    "value": {"beside": {}, "an": "object"},
    "large": "x" * 100_000,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the snapshot goes."""
    return tmp_path / "snapshot"


def count(tree: Any) -> int:
    """How many values a tree has."""
    return sum(map(count, tree.values())) if isinstance(tree, dict) else 1


def test_there_and_back(backend: Backend, store: shoal.Store, path: Path) -> None:
    store["user"] = "a key, which is no field"
    store.memory().from_dict(TREE)
    assert store.dump(path) == count(TREE) + 1
    other = backend.open("other")
    assert other.load(path) == count(TREE) + 1
    assert other.memory().to_dict() == store.memory().to_dict() == TREE
    assert dict(other) == {"user": "a key, which is no field"}
    # What came back is memory as any other.
    other.memory("user.deep")["er.new"] = 1
    assert other.memory().delete("empty")
    assert other.memory()["user"].to_dict() == {**TREE["user"], "deep": {"er": {"est": None, "new": 1}}}  # type: ignore[dict-item]


def test_memory_crosses_between_backends(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.memory().from_dict(TREE)
    store.dump(path)
    with shoal.open("memory://") as memory:
        memory.load(path)
        assert memory.memory().to_dict() == TREE
        memory.memory()["new"] = 1
        memory.dump(path)
    back = backend.open("back")
    back.load(path)
    assert back.memory().to_dict() == {**TREE, "new": 1}


def test_only_memory(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.memory().new_object("nothing.in.it")
    assert store.dump(path) == 0
    other = backend.open("other")
    assert other.load(path) == 0
    assert other.memory().to_dict() == {"nothing": {"in": {"it": {}}}}


def test_of_all_namespaces(backend: Backend, store: shoal.Store, path: Path) -> None:
    beside = backend.namespace(store, "n/1", ttl=1000)
    store.memory()["a.b"] = 1
    beside.memory()["a.b"] = 2
    beside.memory().set("a.c", 3, ttl=None)
    assert store.dump(path) == 1
    assert store.dump(path, all_namespaces=True) == 3
    other = backend.open("other")
    assert other.load(path) == 3
    assert other.memory().to_dict() == {"a": {"b": 1}}
    loaded = backend.namespace(other, "n/1").memory()
    assert loaded.to_dict() == {"a": {"b": 2, "c": 3}}
    assert 900 < loaded.ttl("a.b") <= 1000  # type: ignore[operator]
    assert loaded.ttl("a.c") is None


def test_expiry_goes_on_while_it_lies_there(backend: Backend, store: shoal.Store, path: Path) -> None:
    memory = store.memory()
    memory.new_object("session", ttl=1000)
    memory.set("session.token", "x", ttl=500)
    memory.set("session.user", "y", ttl=None)
    memory.new_object("gone.object", ttl=0.05)
    memory["gone.object.a"] = memory["gone.object.b.c"] = 1
    memory.new_object("gone.object.empty")
    memory["gone.object2"] = "stays"
    memory.set("gone.field", 1, ttl=0.05)
    assert store.dump(path) == 6
    for going in ("gone.object", "gone.field"):
        while memory.is_exist(going):
            threading.Event().wait(0.001)
    other = backend.open("other", ttl=77)
    assert other.load(path) == 3
    loaded = other.memory()
    assert loaded.to_dict() == {"session": {"token": "x", "user": "y"}, "gone": {"object2": "stays"}}
    assert 900 < loaded.ttl("session") <= 1000  # type: ignore[operator]
    assert 400 < loaded.ttl("session.token") <= 500  # type: ignore[operator]
    assert loaded.ttl("session.user") is loaded.ttl("gone") is None
    assert loaded.ttl("gone.object2") is None


def test_what_is_in_the_way(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.memory().from_dict({"a": {"b": 1}, "c": "value", "both": {"x": "new", "sub": {"y": 1}}, "empty": {}, "e": {}})
    store.dump(path)
    other = backend.open("other")
    before = {
        "a": "value",
        "c": {"object": {"with": "fields"}},
        "both": {"x": "old", "z": 2, "sub": {"w": 3}},
        "d": 1,
        "e": 5,
    }
    other.memory().from_dict({**before, "empty": {"is": "kept"}})
    other.load(path)
    assert other.memory().to_dict() == {
        "a": {"b": 1},
        "c": "value",
        "both": {"x": "new", "z": 2, "sub": {"w": 3, "y": 1}},
        "d": 1,
        "e": {},
        "empty": {"is": "kept"},
    }


def test_replace_removes_what_was_there(backend: Backend, store: shoal.Store, path: Path) -> None:
    store.memory()["a"] = 1
    store.dump(path)
    other = backend.open("other")
    beside = backend.namespace(other, "beside")
    other.memory()["z.y"] = beside.memory()["z"] = 1
    other.load(path, replace=True)
    assert other.memory().to_dict() == {"a": 1}
    assert beside.memory().to_dict() == {"z": 1}


def test_sensory_memory_is_not_dumped(backend: Backend, store: shoal.Store, path: Path) -> None:
    with store.run("k") as ctx:
        ctx.sensory_memory["secret"] = "sensory"
        ctx.short_term_memory["a"] = 1
        assert store.dump(path, all_namespaces=True) == 1
        assert b"secret" not in path.read_bytes()
        store.load(path, replace=True)
        assert ctx.sensory_memory["secret"] == "sensory"  # and nothing of it is removed
    other = backend.open("other")
    other.load(path)
    assert other.memory().to_dict() == {"k": {"a": 1}}


def test_pickles_in_memory_are_loaded_only_when_asked_for(backend: Backend, path: Path) -> None:
    with shoal.open("memory://") as source:
        source.memory()["plain.a"] = 1
        source.memory()["odd.one"] = [OSError(2, "x")]
        source.dump(path)
    store = backend.open()
    with pytest.raises(shoal.StorageError, match="allow_pickle") as caught:
        store.load(path)
    assert (caught.value.key, caught.value.path) == ("odd.one", str(path))
    assert store.memory().to_dict() == {}
    assert store.load(path, allow_pickle=True) == 2


def test_every_damaged_byte_is_found(store: shoal.Store, path: Path) -> None:
    store.memory().from_dict({"a": {"b": 1}, "c": {}})
    store.dump(path)
    data = path.read_bytes()
    store.memory().delete()
    store.memory()["before"] = 1
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        with pytest.raises(shoal.StorageError):
            store.load(path, replace=True)
        path.write_bytes(data[:place])
        with pytest.raises(shoal.StorageError):
            store.load(path, replace=True)
    assert store.memory().to_dict() == {"before": 1}


def test_the_format_is_what_the_document_says(store: shoal.Store, path: Path) -> None:
    store["key"] = 1
    store.memory()[r"a\.b.c"] = 5
    store.dump(path)
    header, _, entry, outer, inner, end = records(path.read_bytes())
    assert header == b"\x93SHOAL\r\n\x02\x00\x00\x00"
    assert [piece[:1] for piece in (entry, outer, inner, end)] == [b"E", b"O", b"F", b"Z"]
    assert outer[13 + 32 :] == b"\x04\0\0\0" + rb"a\.b"
    assert inner[13 + 32 :] == b"\x06\0\0\0" + rb"a\.b.c" + b"\x05"
    assert end[13:21] == (3).to_bytes(8, "little")


@pytest.mark.parametrize(
    "case",
    ["orphan", "after its object's end", "object with a value", "field without one", "of version 1", "no namespace"],
)
def test_records_in_the_wrong_place(store: shoal.Store, path: Path, case: str) -> None:
    store.memory().from_dict({"a": {"b": 1}, "z": {"y": 1}})
    store.dump(path)
    header, namespace, *rest, _ = records(path.read_bytes())
    by_path = {piece[13 + 36 :].split(b"\x01")[0]: piece for piece in rest}
    a, ab, z, zy = (by_path[name] for name in (b"a", b"a.b", b"z", b"z.y"))
    path.write_bytes(
        {
            "orphan": joined([header, namespace, ab]),
            "after its object's end": joined([header, namespace, a, z, ab, zy]),
            "object with a value": joined([header, namespace, again(b"O" + ab[1:])]),
            "field without one": joined([header, namespace, again(b"F" + a[1:])]),
            "of version 1": joined([header[:8] + b"\x01" + header[9:], namespace, a]),
            "no namespace": joined([header, a]),
        }[case]
    )
    store.memory().delete()
    with pytest.raises(shoal.StorageError, match="damaged"):
        store.load(path, replace=True)
    path.write_bytes(joined([header, namespace, z, zy, a, ab]))  # any order of siblings is right
    assert store.load(path) == 2
    assert store.memory().to_dict() == {"a": {"b": 1}, "z": {"y": 1}}


@pytest.mark.parametrize("place", [b"", b"a..b", b".", b"a.", rb"a\x", b"\xff", b"a." * 64 + b"a"])
def test_paths_that_cannot_be(store: shoal.Store, path: Path, place: bytes) -> None:
    store.memory()["a"] = 1
    store.dump(path)
    header, namespace, field, _ = records(path.read_bytes())
    body = field[13 : 13 + 32] + len(place).to_bytes(4, "little") + place + b"\x01"
    path.write_bytes(joined([header, namespace, again(field[:1] + len(body).to_bytes(8, "little") + bytes(4) + body)]))
    with pytest.raises(shoal.StorageError, match="damaged"):
        store.load(path)


def test_files_of_version_1_are_read(backend: Backend, store: shoal.Store) -> None:
    store.memory()["a"] = 1
    assert store.load(GOLDEN) == 3
    assert dict(store) == {"a": 1, "b": [1, (2, "x")]}
    assert dict(backend.namespace(store, "n/1")) == {"c": {"d": None}}
    assert store.memory().to_dict() == {"a": 1}
    store.load(GOLDEN, replace=True)
    assert store.memory().to_dict() == {}


def test_dumping_while_others_write(store: shoal.Store, path: Path) -> None:
    memory = store.memory()
    stays = {f"stays {n}": {"x": n, "deep": {"er": n}} for n in range(50)}
    memory.from_dict(stays)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            memory.set(f"comes {n % 30}.a.b", n, overwrite=True)
            memory.set(f"turns {n % 30}", n, overwrite=True) if n % 2 else memory.new_object(f"turns {n % 30}.x", True)
            memory.delete(f"comes {(n + 15) % 30}")
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            written = store.dump(path)
            with shoal.open("memory://") as loaded:
                assert loaded.load(path) == written == count(loaded.memory().to_dict())
                found = loaded.memory().to_dict()
                assert {name: found[name] for name in stays} == stays
    finally:
        stop.set()
        writer.join()
