"""Names and paths of a memory: any text is a name, and up to which depth and length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shoal
from shoal.memory.path import MAX_NAMES, MAX_PATH_BYTES, escape, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Backend

ODD = [
    *(
        "v1.2",
        ".",
        "..",
        "\\",
        "\\.",
        ".\\",
        "a\\",
        "\n",
        "a\nb",
        "\0",
        "a\0b",
        " ",
        " a ",
        "*",
        "[a]",
        "/",
        "a/b",
        "$",
    ),
    *("имя", "名前", "😀", "e\u0301", "\u00e9", "\ufeff", "\uffff", "\U0010ffff", "\x7f", "\x80", "\xff", "x" * 5000),
    *("0", "-1", "None", "get", "path", "default"),
]
BAD = [".", "a.", ".a", "a..b", "\\", "a\\", r"\a", "\ud800", "a.\udfff", "x" * (MAX_PATH_BYTES + 1)]
CALLS: dict[str, Callable[[shoal.MemoryObject, Any], object]] = {
    "get": lambda m, path: m.get(path),
    "getitem": lambda m, path: m[path],
    "get_versioned": lambda m, path: m.get_versioned(path),
    "is_exist": lambda m, path: m.is_exist(path),
    "in": lambda m, path: path in m,
    "ttl": lambda m, path: m.ttl(path),
    "metadata": lambda m, path: m.metadata(path),
    "view": lambda m, path: m.view(path),
    "set": lambda m, path: m.set(path, 1),
    "overwrite": lambda m, path: m.set(path, 1, overwrite=True),
    "setitem": lambda m, path: m.__setitem__(path, 1),
    "new_object": lambda m, path: m.new_object(path),
    "new_object over": lambda m, path: m.new_object(path, overwrite=True),
    "delete": lambda m, path: m.delete(path),
    "delitem": lambda m, path: m.__delitem__(path),
    "compare_and_set": lambda m, path: m.compare_and_set(path, 1, 0),
    "incr": lambda m, path: m.incr(path),
    "modify": lambda m, path: m.modify(path, lambda value: value, default=0),
    "touch": lambda m, path: m.touch(path, 5),
    "create_array": lambda m, path: m.create_array(path, 1, "u1").__enter__(),
    "fields": lambda m, path: m._fields(path),
    "get_encoded": lambda m, path: m._get_encoded(path),
    "set_encoded": lambda m, path: m._set_encoded(path, b"\x01", None),
}


@pytest.mark.parametrize("name", ODD, ids=lambda name: ascii(name)[1:15])
def test_any_text_is_a_name(memory: shoal.MemoryObject, name: str) -> None:
    path = escape(name)
    memory.set(path, 1)
    assert memory[path] == 1
    assert memory.get_field_names() == [path]
    assert memory.to_dict() == {name: 1}
    assert memory._fields() == [(name, False)]
    ref = memory.set(f"{path}.{path}.x", 2, overwrite=True)
    assert memory.get(ref) == 2
    assert memory.to_dict() == {name: {name: {"x": 2}}}
    assert memory._child(name, name).get("x") == 2
    assert memory._child(name, name) == memory.get(f"{path}.{path}")
    assert memory.get(path).path.endswith(path)
    assert list(memory.get(path)) == [path]
    assert memory.delete(path)
    assert memory.to_dict() == {}


def test_all_these_are_different(memory: shoal.MemoryObject) -> None:
    memory.update({name: n for n, name in enumerate(ODD)})
    assert {name: memory.get(escape(name)) for name in ODD} == {name: n for n, name in enumerate(ODD)}
    assert memory.get_field_names() == sorted(map(escape, ODD))


def test_an_escaped_dot_is_no_separator(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    memory.set(r"a\.b", 2)
    memory.set(r"a\\.b", 3)
    assert memory.to_dict() == {"a": {"b": 1}, "a.b": 2, "a\\": {"b": 3}}
    assert memory.get_field_names() == sorted(["a", r"a\.b", r"a\\"])


def test_what_joins_to_the_same_text_is_not_the_same(memory: shoal.MemoryObject) -> None:
    """A separator of the backend's own must not be in the way."""
    for a, b in (("x\0", "y"), ("x", "\0y"), ("x\xff", "y"), ("x\x1f", "y"), ("x/", "y"), ("x:", "y")):
        memory._child(a).set(escape(b), [a, b])
        memory.set(escape(a + b), a + b)
        memory.set(escape(f"{a}\0{b}"), 0)
        assert memory.get(join((a, b))) == [a, b]
        assert memory.get(escape(a + b)) == a + b
        memory.clear()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3), min_size=2, max_size=2).map(
            tuple
        ),
        st.integers(),
        max_size=6,
    )
)
def test_names_come_back_as_they_were(memory: shoal.MemoryObject, fields: dict[tuple[str, ...], int]) -> None:
    memory.clear()
    for names, value in fields.items():
        memory.set(join(names), value)
    found = {(a, b): value for a, inner in memory.to_dict().items() for b, value in inner.items()}
    assert found == fields
    assert {(a, b) for a, _ in memory._fields() for b, _ in memory._fields(escape(a))} == fields.keys()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_is_no_path(memory: shoal.MemoryObject, call: Callable[[shoal.MemoryObject, Any], object]) -> None:
    memory.set("a", 1)
    for path in BAD:
        with pytest.raises(shoal.InvalidKey) as caught:
            call(memory, path)
        assert not isinstance(caught.value, TypeError | shoal.PathConflict)
    for path in (None, 5, b"a", object()):
        with pytest.raises(shoal.KeyTypeError):
            call(memory, path)
    assert memory.to_dict() == {"a": 1}


@pytest.mark.parametrize("path", BAD)
def test_what_is_no_path_of_an_object(store: shoal.Store, path: str) -> None:
    with pytest.raises(shoal.InvalidKey):
        store.memory(path)
    with pytest.raises(shoal.KeyTypeError):
        store.memory(None)  # type: ignore[arg-type]


def test_names_of_a_child_are_checked(memory: shoal.MemoryObject) -> None:
    for names in [("",), ("a", ""), ("\ud800",), ("x" * (MAX_PATH_BYTES + 1),), ("a",) * (MAX_NAMES + 1)]:
        with pytest.raises(shoal.InvalidKey):
            memory._child(*names)


def test_the_deepest_path(memory: shoal.MemoryObject) -> None:
    left = MAX_NAMES - len(memory._names)
    deepest = ".".join(f"n{n}" for n in range(left))
    memory.set(deepest, "deep")
    assert memory[deepest] == "deep"
    above = memory.get(deepest.rpartition(".")[0])
    assert above.to_dict() == {f"n{left - 1}": "deep"}
    here = memory
    for n in range(left - 1):
        here = here.get(f"n{n}")
    assert here == above
    expected: Any = "deep"
    for n in reversed(range(left)):
        expected = {f"n{n}": expected}
    assert memory.to_dict() == expected
    memory.from_dict({})
    memory.from_dict(expected)
    assert memory.to_dict() == expected


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_past_the_deepest_path(memory: shoal.MemoryObject, call: Callable[[shoal.MemoryObject, Any], object]) -> None:
    path = ".".join(["n"] * (MAX_NAMES - len(memory._names)))
    memory.set(path.rpartition(".")[0] + ".m", 1)
    with pytest.raises(shoal.InvalidKey) as caught:
        call(memory, path + ".n")
    assert caught.value.limit == MAX_NAMES
    with pytest.raises(shoal.InvalidKey):
        call(memory, path + ".n" * 1000)
    with pytest.raises(shoal.InvalidKey):
        call(memory._child(*path.split(".")), "n")
    assert memory.is_exist(path.rpartition(".")[0] + ".m")
    assert not memory.is_exist(path)


def test_the_longest_path(backend: Backend) -> None:
    memory = backend.open(size="16MiB").memory()
    for path in ("a" * MAX_PATH_BYTES, "b." + "я" * ((MAX_PATH_BYTES - 2) // 2), ".".join(["c" * 1000] * 64)):
        memory.set(path, 1)
        assert memory[path] == 1
        names = path.split(".")
        assert memory._fields(".".join(names[:-1])) == [(names[-1], False)]
        memory.delete(names[0])
    longest = "a" * MAX_PATH_BYTES
    for place, path in ((memory, longest + "a"), (memory.new_object("x"), longest), (memory, "x." + longest)):
        with pytest.raises(shoal.InvalidKey) as caught:
            place.set(path, 1)
        assert caught.value.limit == MAX_PATH_BYTES
    assert memory.to_dict() == {"x": {}}


def test_a_deep_dict_is_refused_before_anything_is_written(memory: shoal.MemoryObject) -> None:
    deep: dict[str, Any] = {"value": 1}
    for _ in range(MAX_NAMES):
        deep = {"n": deep}
    endless: dict[str, Any] = {"value": 1}
    endless["self"] = endless
    for mapping in (deep, endless):
        for write in (memory.update, memory.from_dict):
            with pytest.raises(shoal.InvalidKey) as caught:
                write({"first": 1, "then": mapping})
            assert caught.value.limit == MAX_NAMES
    assert memory.to_dict() == {}


class Odd(str):
    """Text that says other things of itself than it is."""

    __slots__ = ()

    def __len__(self) -> int:
        return 0

    def __radd__(self, other: str) -> str:
        return "elsewhere"


def test_what_counts_is_the_text(store: shoal.Store) -> None:
    for memory in (store.memory(), store.memory("a.b")):
        ref = memory.set(Odd("c.d"), 1)
        assert type(ref.path) is str
        assert ref.path == join((*memory._names, "c", "d"))
        assert memory.get(Odd("c.d")) == memory[Odd("c.d")] == 1
        with pytest.raises(shoal.KeyNotFound) as caught:
            memory[Odd("c.e")]
        assert caught.value.key == join((*memory._names, "c", "e"))
        scope = store.scope(read=["elsewhere"], write=["elsewhere"]).memory(memory.path)
        with pytest.raises(shoal.AccessDenied):
            scope.set(Odd("c.d"), 2)
        assert memory.delete(Odd("c.d"))


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda m: m.incr("b.text"), "a.b.text"),
        (lambda m: m.view("b.number"), "a.b.number"),
        (lambda m: m.view("b"), "a.b"),
        (lambda m: m.view(""), "a"),
        (lambda m: m.compare_and_set("b.text", 1, -1), "a.b.text"),
    ],
    ids=["incr", "view", "view of an object", "view of itself", "compare_and_set"],
)
def test_errors_carry_the_whole_path(
    store: shoal.Store, call: Callable[[shoal.MemoryObject], object], key: str
) -> None:
    memory = store.memory("a")
    memory.update({"b": {"text": "text", "number": 1}})
    with pytest.raises(shoal.InvalidValue) as caught:
        call(memory)
    assert caught.value.key == key


def test_the_root_is_no_entry(store: shoal.Store) -> None:
    root = store.memory()
    for call in (root.view, root.metadata, root.ttl, root.get_versioned):
        with pytest.raises(shoal.KeyNotFound) as caught:
            call("")
        assert caught.value.key == ""
    with pytest.raises(shoal.InvalidValue):
        root.new_object("", ttl=-1)


def test_a_path_can_be_given_by_name(store: shoal.Store) -> None:
    memory = store.memory("a")
    with memory.create_array(path="b", shape=3, dtype="u1") as array:
        array[:] = 7
    assert memory.view(path="b").tolist() == memory.get(path="b").tolist() == [7, 7, 7]
    assert memory.is_exist(path="b")
    assert memory.touch(path="b", ttl=None)
    assert memory.delete(path="b")
    assert memory.new_object(path="b").path == memory.set(path="b.c", value=1).path[:3]
