"""The store as a mapping beyond CPython's own test, and listing by pattern."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, MutableMapping, ValuesView

import pytest

import shoal


def test_it_is_a_mutable_mapping(store: shoal.Store) -> None:
    assert isinstance(store, MutableMapping)
    assert isinstance(store.keys(), KeysView)
    assert isinstance(store.items(), ItemsView)
    assert isinstance(store.values(), ValuesView)


def test_views_are_live(store: shoal.Store) -> None:
    keys, items, values = store.keys(), store.items(), store.values()
    assert (len(keys), len(items), len(values)) == (0, 0, 0)
    store["a"] = 1
    assert list(keys) == ["a"]
    assert list(items) == [("a", 1)]
    assert list(values) == [1]
    assert "a" in keys
    assert ("a", 1) in items
    assert ("a", 2) not in items
    assert ("b", 1) not in items
    assert 1 in values
    assert 2 not in values
    assert keys & {"a", "b"} == {"a"}
    assert keys | {"b"} == {"a", "b"}


def test_iterating_while_entries_come_and_go(store: shoal.Store) -> None:
    stays = {f"stays {n}": n for n in range(100)}
    store.set_many({**stays, **{f"goes {n}": n for n in range(100)}})
    seen = []
    for key, value in store.items():
        if not seen:
            store.delete_many([f"goes {n}" for n in range(100)])
            store.set_many({f"comes {n}": n for n in range(100)})
        seen.append(key)
        assert key.endswith(f" {value}")
    assert len(seen) == len(set(seen))
    assert stays.keys() <= set(seen)


def test_comparison_is_by_content(store: shoal.Store) -> None:
    store.update(a=1, b=[2])
    assert store == {"a": 1, "b": [2]}
    assert {"b": [2], "a": 1}.__eq__(store) is NotImplemented  # so that the store is asked
    assert store != {"a": 1}
    assert store != {"a": 1, "b": 2}
    assert store != {"a": 1, "c": [2]}
    assert store != [("a", 1), ("b", [2])]
    with shoal.open("memory://") as other:
        assert store != other
        other.update(store)
        assert store == other


def test_it_is_not_hashable(store: shoal.Store) -> None:
    with pytest.raises(TypeError):
        hash(store)


def test_merging(store: shoal.Store) -> None:
    store["a"] = 1
    merged = store | {"b": 2}
    assert (merged, type(merged)) == ({"a": 1, "b": 2}, dict)
    assert {"a": 0, "c": 3} | store == {"a": 1, "c": 3}
    assert dict(store) == {"a": 1}
    same = store
    store |= {"b": 2}
    assert store is same
    store |= [("c", 3)]
    assert dict(store) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(TypeError):
        store | 5  # type: ignore[operator]


def test_update_takes_mappings_pairs_and_names(store: shoal.Store) -> None:
    store.update({"a": 1})
    store.update([("b", 2), ("c", 3)], c=4, other=5)
    store.update(self=6)
    store.update()
    assert dict(store) == {"a": 1, "b": 2, "c": 4, "other": 5, "self": 6}
    for wrong in (None, 5, [1]):
        with pytest.raises(TypeError):
            store.update(wrong)


def test_setdefault(store: shoal.Store) -> None:
    assert store.setdefault("key", 1) == 1
    assert store.setdefault("key", 2) == 1
    assert store.setdefault("none") is None
    assert store.setdefault("none", 3) is None


def test_popitem(store: shoal.Store) -> None:
    entries = {"a": 1, "b": None, "c": "x"}
    store.update(entries)
    popped = [store.popitem() for _ in entries]
    assert dict(popped) == entries
    assert len(popped) == len(entries)
    with pytest.raises(KeyError):
        store.popitem()


def test_clear(store: shoal.Store) -> None:
    store.update(a=1, b=2)
    store.clear()
    assert len(store) == 0
    assert list(store) == []
    assert "a" not in store
    store.clear()


def test_truth_is_being_non_empty(store: shoal.Store) -> None:
    assert not store
    store["a"] = 1
    assert store


def test_list_keys_is_sorted_and_scan_is_an_iterator(store: shoal.Store) -> None:
    store.update({"user:2": 1, "user:1": 1, "user:10": 1, "item:1": 1, "ünïcode": 1})
    assert store.list_keys() == ["item:1", "user:1", "user:10", "user:2", "ünïcode"]
    assert store.list_keys("user:*") == ["user:1", "user:10", "user:2"]
    assert store.list_keys("user:?") == ["user:1", "user:2"]
    assert store.list_keys("*:1") == ["item:1", "user:1"]
    assert store.list_keys("[!u]*") == ["item:1", "ünïcode"]
    assert store.list_keys("user:1") == ["user:1"]
    assert store.list_keys("user") == []
    assert store.list_keys("") == []
    scanned = store.scan("user:*")
    assert next(scanned) in {"user:1", "user:2", "user:10"}
    assert len(list(scanned)) == 2


def test_a_prefix_may_end_inside_a_class_or_escape(store: shoal.Store) -> None:
    store.update({"a*b": 1, "a*c": 1, "axb": 1, "a[b": 1})
    assert store.list_keys(r"a\**") == ["a*b", "a*c"]
    assert store.list_keys(r"a\*[bc]") == ["a*b", "a*c"]
    assert store.list_keys("a[*x]b") == ["a*b", "axb"]
    assert store.list_keys(r"a\[b") == ["a[b"]


@pytest.mark.parametrize("pattern", ["[", "[a", "a\\", "[]", "[!]", "[z-a]"])
def test_a_malformed_pattern_is_an_error_at_once(store: shoal.Store, pattern: str) -> None:
    with pytest.raises(shoal.PatternError) as caught:
        store.scan(pattern)
    assert caught.value.pattern == pattern
    with pytest.raises(ValueError):
        store.list_keys(pattern)


def test_many_keys(store: shoal.Store) -> None:
    entries = {f"key/{n}": n for n in range(5000)}
    store.set_many(entries)
    assert len(store) == len(entries)
    assert sorted(store) == sorted(entries)
    assert store.list_keys("key/49??") == [f"key/{n}" for n in range(4900, 5000)]
    assert store == entries
