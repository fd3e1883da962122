"""The soak: a short one passes, and what it watches for is noticed when it happens."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shoal
from shoal.testing import soak
from shoal.testing.labour import COUNTERS, LONGEST, OWN, Books, Labourer, prepare
from shoal.testing.ledger import Broken
from shoal.testing.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_nothing_breaks_while_processes_are_killed() -> None:
    figures = soak.run(seed=1, seconds=60, processes=3, say=print, kills=100)
    assert figures.kills == 100
    assert figures.operations > 1000
    assert figures.checks >= 2


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--seconds", "30", "--kills", "5", "--processes", "2", "--seed", "7"]) == 0
    assert capsys.readouterr().out.startswith("seed 7: nothing is broken.")


@pytest.fixture
def books() -> Iterator[Books]:
    made = Books(1)
    yield made
    made.close()


def lose_a_write(store: Any) -> None:
    store.update({f"own {key}": "" for key in range(OWN)})
    for key in range(OWN):
        del store[f"own {key}"]


def bring_one_back(store: Any) -> None:
    store.update({f"own {key}": encode((key + 1 << 34) + (1 << 2) + 3) for key in range(OWN)})


def mix_up(store: Any) -> None:
    store["own 1"], store["own 2"] = store["own 2"], store["own 1"]


def tear(store: Any) -> None:
    store.update({f"own {key}": b"\1\2\3\4\5\6\7\0" * 60 for key in range(OWN)})


def miscount(store: Any) -> None:
    for counter in range(COUNTERS):
        store.incr(f"counter {counter}", -1)


def lose_an_array(store: Any) -> None:
    store.delete_many(["array 0", "array 1"])


def tear_an_array(store: Any) -> None:
    store["array 0"] = store["array 1"] = np.append(np.full(8999, 3), 4)


def lose_what_nobody_touches(store: Any) -> None:
    del store["stable 50"]


def forget_to_expire(store: Any) -> None:
    for key in range(4):
        store.touch(f"timed 0 {key}", None)
    threading.Event().wait(LONGEST)  # until it should be gone


def expire_early(store: Any) -> None:
    for key in range(4):
        store.touch(f"timed 0 {key}", 1e-9)


def provoke(damage: Callable[[], None], labourer: Labourer, task: str) -> None:
    for _ in range(2000):
        if task == "expire":
            labourer.expire()
        damage()
        getattr(labourer, task)()


DAMAGES: list[tuple[Callable[[Any], None], str, str]] = [
    (lose_a_write, "read", "is lost"),
    (bring_one_back, "read", "holds write 1, not one from"),
    (mix_up, "read", "another key's value"),
    (tear, "read", "is torn"),
    (miscount, "count", "not one from"),
    (lose_an_array, "view_array", "is lost"),
    (tear_an_array, "view_array", "holds write|is torn"),
    (lose_what_nobody_touches, "enumerate", "99 of the 100"),
    (forget_to_expire, "expire", "after its time"),
    (expire_early, "expire", "before its time"),
]


@pytest.mark.parametrize(("damage", "task", "message"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_what_goes_wrong_is_noticed(
    name: str, books: Books, damage: Callable[[Any], None], task: str, message: str
) -> None:
    """A labourer works for a while and finds nothing; then something is changed that only a broken store would."""
    with shoal.open(name, "n", size=soak.SIZE) as store:
        prepare(store)
        labourer = Labourer(store, books, 0, random.Random(3))
        for _ in range(1500):
            labourer.write()
            labourer.read()
            labourer.count()
            labourer.expire()
        for _ in range(9):
            labourer.make_array()
            labourer.view_array()
            labourer.enumerate()
            labourer.remember()
            labourer.limit()
            labourer.contend()
        with pytest.raises(Broken, match=message):
            provoke(lambda: damage(store), labourer, task)
