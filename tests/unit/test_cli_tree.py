"""`shoal tree`: the memory of a namespace as text and as JSON."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Run


@pytest.fixture(params=["memory", "shm"])
def store(request: pytest.FixtureRequest) -> Iterator[shoal.Store]:
    """Return an open store, which the command finds by its URL."""
    name = f"tree-{uuid.uuid4().hex}"
    with shoal.open(f"{request.param}://{name}", size="8MiB") as opened:
        yield opened
    assert name not in [info.name for info in shoal.list_arenas()]


def test_fields_with_types_and_values(run: Run, store: shoal.Store) -> None:
    store["key"] = "is no field"
    memory = store.memory()
    memory.update({"user": {"name": "john", "age": 13, "tags": ["a", (1,)]}, "v1.2": None, "empty": {}})
    memory["user.deep.er"] = 1.5
    memory["last"] = {"is": "one value"}
    result = run("tree", store.url)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        ".",
        "├── empty (0 fields)",
        "├── last: dict = {'is': 'one value'}",
        "├── user",
        "│   ├── age: int = 13",
        "│   ├── deep",
        "│   │   └── er: float = 1.5",
        "│   ├── name: str = 'john'",
        "│   └── tags: list = ['a', (1,)]",
        "└── v1.2: none = None",
    ]


def test_a_reference_is_shown_as_one(run: Run, store: shoal.Store) -> None:
    store.memory()["ref"] = store.memory().set("a", 1)
    assert run("tree", store.url).out.splitlines()[2].startswith("└── ref: ref = MemoryRef(path='a'")


def test_large_values_are_sizes(run: Run, store: shoal.Store) -> None:
    memory = store.memory()
    memory["array"] = np.zeros(1000)
    memory["short"] = "x" * 300
    memory["text"] = "x" * 5000
    lines = run("tree", store.url).out.splitlines()
    assert lines[1] == "├── array: <array of 8,064 bytes>"
    assert lines[2].startswith("├── short: str = 'xxxxx")
    assert len(lines[2]) < 100
    assert lines[3] == "└── text: <str of 5,003 bytes>"


def test_a_subtree_and_a_value(run: Run, store: shoal.Store) -> None:
    store.memory().update({"a": {"b": {"c": [1, "x"], "d.e": 2}}, "f": 3})
    assert run("tree", store.url, "a.b").out == "b\n├── c: list = [1, 'x']\n└── d.e: int = 2\n"
    assert run("tree", store.url, "a.b.c").out == '[1, "x"]\n'
    assert run("tree", store.url, r"a.b.d\.e", "--json").json == 2
    assert run("tree", store.url, "a", "--json").json == {"b": {"c": [1, "x"], "d.e": 2}}


def test_depth(run: Run, store: shoal.Store) -> None:
    store.memory().update({"a": {"b": {"c": {"d": 1}}, "e": 2, "f": {}}, "g": 3})
    assert run("tree", store.url, "--depth", 0).out == ". (2 fields)\n"
    assert run("tree", store.url, "--depth", 1).out == ".\n├── a (3 fields)\n└── g: int = 3\n"
    assert run("tree", store.url, "a", "--depth", 2).out.splitlines() == [
        "a",
        "├── b",
        "│   └── c (1 field)",
        "├── e: int = 2",
        "└── f (0 fields)",
    ]
    assert run("tree", store.url, "--json").json == {"a": {"b": {"c": {"d": 1}}, "e": 2, "f": {}}, "g": 3}
    assert run("tree", store.url, "--json", "--depth", 2).json == {
        "a": {"b": {"$fields": 1}, "e": 2, "f": {"$fields": 0}},
        "g": 3,
    }
    assert run("tree", store.url, "--json", "--depth", 0).json == {"$fields": 2}


@pytest.mark.parametrize("depth", ["-1", "x", "1.5"])
def test_what_is_no_depth_is_wrong_usage(run: Run, store: shoal.Store, depth: str) -> None:
    assert run("tree", store.url, f"--depth={depth}").code == 2


def test_json_of_what_json_lacks(run: Run, store: shoal.Store) -> None:
    memory = store.memory()
    ref = memory.set("bytes", b"\xff")
    memory["ref"] = ref
    memory["tuple"] = (1, float("nan"))
    assert run("tree", store.url, "--json").json == {
        "bytes": {"$bytes": "/w=="},
        "ref": {**ref._asdict()},
        "tuple": [1, "nan"],
    }


def test_an_empty_memory(run: Run, store: shoal.Store) -> None:
    assert run("tree", store.url) == (0, ". (0 fields)\n", "")
    assert run("tree", store.url, "--json").json == {}


def test_what_is_not_there(run: Run, store: shoal.Store) -> None:
    store.memory()["a"] = 1
    for path in ("b", "a.b"):
        result = run("tree", store.url, path)
        assert (result.code, result.out) == (1, "")
        assert repr(path) in result.err
    assert run("tree", store.url, "a..b").code == 2
    assert run("tree", f"{store.url}-missing").code == 3


def test_of_a_namespace(run: Run, store: shoal.Store) -> None:
    with store.namespace("beside") as beside:
        beside.memory()["a"] = 1
    assert run("tree", store.url, "-n", "beside", "--json").json == {"a": 1}
    assert run("tree", store.url, "-n", "missing").code == 3
    assert store.namespaces() == ["beside", "default"]


def test_control_characters_are_shown_not_obeyed(run: Run, store: shoal.Store) -> None:
    store.memory()["a\nb\x1b[31m"] = "x\ny\x1b[31m"
    out = run("tree", store.url).out
    assert out == ".\n└── 'a\\nb\\x1b[31m': str = 'x\\ny\\x1b[31m'\n"


def test_what_cannot_be_read_here_does_not_stop_it(run: Run, store: shoal.Store) -> None:
    memory = store.memory()
    memory["a"] = 1
    memory._set_encoded("b", b"\xd4\x64\x00", None)  # an extension type of another program
    assert run("tree", store.url).out == ".\n├── a: int = 1\n└── b: <ext of 3 bytes>, which cannot be read here\n"


def test_sensory_memory_is_not_in_it(run: Run, store: shoal.Store) -> None:
    with store.run("k") as ctx:
        ctx.sensory_memory["a"] = 1
        assert run("tree", store.url).out == ". (0 fields)\n"
