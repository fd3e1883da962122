"""A read-only handle cannot write, and reading through it changes not one byte of the arena."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from processes import mappings, segment

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

    from processes import Crew

WRITES: dict[str, Callable[[Any], object]] = {
    "setitem": lambda s: s.__setitem__("text", 2),
    "delitem": lambda s: s.__delitem__("text"),
    "set": lambda s: s.set("text", 2),
    "set a large value": lambda s: s.set("text", b"x" * 100_000),
    "add": lambda s: s.add("new", 2),
    "replace": lambda s: s.replace("text", 2),
    "swap": lambda s: s.swap("text", 2),
    "delete": lambda s: s.delete("text"),
    "pop": lambda s: s.pop("text"),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("new", 2),
    "update": lambda s: s.update(text=2),
    "clear": lambda s: s.clear(),
    "compare_and_set": lambda s: s.compare_and_set("text", 2, s.metadata("text").version),
    "modify": lambda s: s.modify("text", str.upper),
    "incr": lambda s: s.incr("number"),
    "decr": lambda s: s.decr("number"),
    "set_many": lambda s: s.set_many({"text": 2}),
    "delete_many": lambda s: s.delete_many(["text"]),
    "touch": lambda s: s.touch("text", 5),
    "drop_namespace": lambda s: s.drop_namespace("other"),
    "settings": lambda s: s.namespace("default", max_keys=3),
    "sweep": lambda s: s.sweep(),
    "destroy": lambda s: s.destroy(),
}


def fill(store: Any) -> None:
    store.update({f"key {n}": "x" * n for n in range(500)})
    store.update(text="text", number=1, large=b"x" * 300_000, array=np.arange(50_000), nested={"a": [1, (2, 3)]})
    store.set("timed", 1, ttl=1000)
    store.set("gone", 1, ttl=0.001)
    with store.namespace("other") as other:
        other["text"] = "other"


def digest(name: str) -> str:
    with segment(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_everything(line: Any, name: str) -> None:
    """All that a reader can do."""
    with shoal.open(name, "r") as store:
        for _ in range(3):
            entries = dict(store.items())
            assert entries.keys() == set(store) == set(store.list_keys())
            assert (len(store), entries["nested"]) == (len(entries), {"a": [1, (2, 3)]})
            assert store.get("absent") is None
            assert store.get("gone") is None
            assert "gone" not in store
            assert store.list_keys("key 1*")
            assert store.get_many(["text", "absent", "large"]) == {"text": "text", "large": b"x" * 300_000}
            assert store.get_versioned("text")[1] == store.metadata("text").version
            assert store.ttl("timed") > 900
            assert store.namespaces() == ["default", "other"]
            assert store.stats().namespaces["other"].entries == 1
            with store.namespace("other") as other:
                assert other["text"] == "other"
        line.send("read")
        line.recv()


def test_reading_changes_nothing(crew: Crew, name: str) -> None:
    with shoal.open(name, size="16MiB") as store:
        fill(store)
        before = digest(name)
        reader = crew.start(read_everything, name)
        assert reader.recv() == "read"
        assert digest(name) == before
        reader.send("end")
        reader.result()
        assert digest(name) == before


def test_a_reader_counts_as_a_writer_does(name: str) -> None:
    """Bytes, too, of keys and of memory, beside what has expired; and however often somebody counted before."""
    with shoal.open(name, size="16MiB") as store:
        fill(store)
        store.memory("agent").update({"name": "ada", "notes": {"long": "x" * 1000}})
        while "gone" in store:
            pass  # for a millisecond
        with shoal.open(name, "r") as reader:
            read = reader.stats().namespaces
            written = store.stats().namespaces
            assert read == written == reader.stats().namespaces
            assert read["default"].bytes > 300_000
            assert read["default"].field_bytes > 1000


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_every_write_is_denied(name: str, call: Callable[[Any], object]) -> None:
    with shoal.open(name, size="16MiB") as store:
        fill(store)
        with shoal.open(name, "r") as reader:
            before = digest(name)
            with pytest.raises(shoal.AccessDenied) as caught:
                call(reader)
            assert isinstance(caught.value, PermissionError)
            assert digest(name) == before
        assert segment(name).exists()


def test_the_memory_itself_cannot_be_written(crew: Crew, name: str) -> None:
    reader = crew.start(only_read, name)  # started first: it inherits no mapping
    with shoal.open(name, size="4MiB") as store:
        store["key"] = 1
        reader.send("open")
        assert reader.result() == ["r--s"]


def only_read(line: Any, name: str) -> list[str]:
    line.recv()
    with shoal.open(name, "r") as store:
        assert store["key"] == 1
        return mappings(name)
