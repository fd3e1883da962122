"""The tables beneath Agno's stores: order, indexes that miss nothing, and what is atomic. None of it needs Agno."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from agno_actors import PROCESSES, at_once

import shoal
from shoal.adapters.agno.records import Table, key_of
from shoal.memory.path import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Crew

    from conftest import Backend


@pytest.fixture
def table(store: shoal.Store) -> Iterator[Table]:
    made = Table(store, "things", ("user", "color"))
    yield made
    made.close()


def ids(table: Table, **wanted: Any) -> list[Any]:
    return [entry.id for entry in table.entries(**wanted)]


def test_rows_come_in_the_order_in_which_they_were_made(table: Table) -> None:
    for number in (5, 3, 9, 1):
        table.put(f"row {number}", {"n": number})
    table.put("row 3", {"n": 33})
    assert [row["n"] for row in table.rows()] == [5, 33, 9, 1]
    table.remove("row 5")
    table.put("row 5", {"n": 55})
    assert [row["n"] for row in table.rows()] == [33, 9, 1, 55]


@pytest.mark.parametrize("name", ["", ".", "a.b\\c", "=x", "~1", "é\n", 7, None, ("a", 1)])
def test_any_id_and_any_value_of_a_field(table: Table, name: Any) -> None:
    table.put(name, {"user": name or "nobody"})
    table.put("other", {"user": "somebody else"})
    assert table.get(name) == {"user": name or "nobody"}
    assert ids(table) == [name, "other"]
    assert ids(table, user=name or "nobody") == [name]
    assert table.remove(name) is not None
    assert ids(table) == ["other"]


def test_what_is_read_is_a_copy(table: Table) -> None:
    row = {"user": "ada", "list": [1]}
    table.put("a", row)
    row["list"].append(2)  # type: ignore[attr-defined]
    table.rows()[0]["list"].append(3)
    assert table.get("a") == {"user": "ada", "list": [1]}


def test_lookups_follow_changes(table: Table) -> None:
    for number in range(6):
        table.put(number, {"user": f"u{number % 2}", "color": "red" if number < 3 else None})
    assert ids(table, user="u0") == [0, 2, 4]
    assert ids(table, color="red") == [0, 1, 2]
    assert ids(table, user="u0", color="red") == [0, 2]
    table.put(0, {"user": "u1", "color": "blue"})
    assert (ids(table, user="u0"), ids(table, color="red"), ids(table, color="blue")) == ([2, 4], [1, 2], [0])
    table.remove(2)
    assert ids(table, user="u0") == [4]
    table.remove_all()
    assert table.rows() == table.rows(user="u1") == []


def test_an_index_is_used(table: Table, backend: Backend) -> None:
    """What a lookup reads is what it finds, however many other rows there are: hits count reads."""
    for number in range(200):
        table.put(number, {"user": f"u{number % 100}"})
    entries = table._entries
    before = entries.stats().hits
    assert len(table.rows(user="u7")) == 2
    assert entries.stats().hits - before < 20


def test_a_condition_is_about_what_is_removed(table: Table) -> None:
    table.put("a", {"user": "ada"})
    assert table.remove("a", lambda row: row["user"] == "bob") is None
    removed = table.remove("a", lambda row: row["user"] == "ada")
    assert removed is not None
    assert removed.row == {"user": "ada"}
    assert table.remove("a") is None
    assert table.get("a") is None
    assert table.rows() == []
    table.put("a", {"user": "eve"})
    assert table.entry("a").number > removed.number  # type: ignore[union-attr]
    assert ids(table, user="eve") == ["a"]


def test_a_row_put_where_one_was_removed_stays(table: Table) -> None:
    for _ in range(50):
        table.put("a", {"user": "ada"})
        table.remove("a")
    table.put("a", {"user": "ada"})
    assert table._entries.ttl("=a") is None
    assert ids(table, user="ada") == ["a"]


@pytest.mark.parametrize(("name", "owner"), [("i" * 66_000, "a"), ("i" * 40_000, "o" * 40_000)])
def test_a_name_that_is_too_long_is_refused_and_leaves_nothing(table: Table, name: str, owner: str) -> None:
    with pytest.raises(shoal.InvalidKey, match="65,535"):
        table.put(name, {"user": owner})
    assert table.rows() == table.rows(user=owner) == []


def test_indexes_of_what_is_gone_go(table: Table, backend: Backend) -> None:
    table.put("stays", {"user": "ada"})
    for number in range(100):
        table.put(number, {"user": f"u{number}", "color": f"c{number}"})
        table.remove(number)
    memory = table._entries.memory()
    for place in ("user=u99", "color=c99"):
        backend.outlive(memory, f"{place}.~99")
    until = time.monotonic() + 30  # (the clock that writes ask first may be late where the machine is busy)
    for number in count():  # writes anywhere: each looks at a few fields beside it that may have expired
        memory.set(f"elsewhere {number % 500}", number)
        left = [name for name in memory.get_field_names() if not name.startswith("elsewhere")]
        if left == ["number", "user=ada"]:
            break
        assert time.monotonic() < until, f"these stay: {left}"
    assert ids(table, user="ada") == ["stays"]


def test_a_change_that_declines_or_fails_changes_nothing(table: Table) -> None:
    assert table.change("a", lambda _: None) is None
    assert table.rows() == []
    table.put("a", {"user": "ada"})

    def fail(row: Any) -> Any:
        raise LookupError

    with pytest.raises(LookupError):
        table.change("a", fail)
    assert table.rows(user="ada") == [{"user": "ada"}]


def test_a_store_over_a_namespace_has_tables_of_its_own(backend: Backend, store: shoal.Store, table: Table) -> None:
    other = Table(backend.namespace(store, "mine"), "things")
    other.put("a", {})
    assert table.rows() == []
    assert other.rows() == [{}]
    other.close()


# ---------------------------------------------------------------------- processes


def append(me: int, store: shoal.Store, times: int) -> None:
    table = Table(store, "things", ("user",))
    for number in range(times):
        table.put((me, number), {"user": f"u{number % 5}"})
        table.change("shared", lambda row: {"user": "all", "n": (row or {"n": 0})["n"] + 1})


def test_processes_lose_no_rows_and_no_changes(crew: Crew) -> None:
    with shoal.open(crew.name(), size="16MiB") as store:
        at_once(crew, append, store, 200)
        table = Table(store, "things", ("user",))
        assert table.get("shared") == {"user": "all", "n": 200 * PROCESSES}
        assert [len(table.rows(user=f"u{n}")) for n in range(5)] == [40 * PROCESSES] * 5
        numbers = [entry.number for entry in table.entries()]
        assert len(set(numbers)) == len(numbers) == 200 * PROCESSES + 1
        table.close()


def quarrel(me: int, store: shoal.Store, times: int) -> None:
    """Write, hand on and remove the same few rows as everybody else."""
    table = Table(store, "things", ("user",))
    for number in range(times):
        which = (number + me) % 4
        if number % 3 == 2:
            table.remove(which)
        else:
            table.put(which, {"user": f"u{(me + number) % 3}"})


def test_lookups_agree_with_rows_after_a_quarrel(crew: Crew) -> None:
    with shoal.open(crew.name(), size="16MiB") as store:
        at_once(crew, quarrel, store, 600)
        table = Table(store, "things", ("user",))
        for user in ("u0", "u1", "u2"):
            has = sorted(entry.id for entry in table.entries() if entry.row["user"] == user)
            assert sorted(ids(table, user=user)) == has
            gone = set(table._keys_at("user", user)) - {key_of(one) for one in has}
            index = table._at(("user", user))
            assert not any(index.get(escape(key)) for key in gone), "nothing that is gone stays in an index"
        table.close()


def remove(me: int, store: shoal.Store, times: int) -> list[int]:
    table = Table(store, "things")
    return [number for number in range(times) if table.remove(number) is not None]


def test_each_row_is_removed_by_one(crew: Crew) -> None:
    with shoal.open(crew.name(), size="16MiB") as store:
        table = Table(store, "things")
        for number in range(300):
            table.put(number, {})
        removed = [number for numbers in at_once(crew, remove, store, 300) for number in numbers]
        assert sorted(removed) == list(range(300))
        table.close()


def move(line: Any, store: shoal.Store) -> None:
    """Write rows, and hand them from user to user, until killed."""
    table = Table(store, "things", ("user",))
    number = 0
    while True:
        table.put(number, {"user": f"u{number % 5}"})
        table.put(number // 2, {"user": f"u{number % 3}"})
        table.remove(number // 3)
        number += 1
        if number == 20:
            line.send("at it")


def test_lookups_miss_nothing_after_a_kill(crew: Crew) -> None:
    with shoal.open(crew.name(), size="16MiB") as store:
        table = Table(store, "things", ("user",))
        for _ in range(5):
            children = [crew.start(move, store) for _ in range(2)]
            for child in children:
                assert child.recv() == "at it"
            for child in children:
                child.kill()
            for user in (f"u{number}" for number in range(5)):
                assert ids(table, user=user) == [entry.id for entry in table.entries() if entry.row["user"] == user]
        table.close()
