"""What measures: the statistics, the contenders, and the command. No figure is judged."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from typing import Any

import pytest

from shoal.bench import contention, harness, points, quiet, timers
from shoal.bench.contender import Contender, LeftOut, opened
from shoal.bench.stores import ALL
from shoal.cli import main

VALUE = points.VALUES["str"]


class Scripted(Contender):
    """Needs no store: its works give scripted figures."""

    name = "scripted"
    figures = (10.0, 30.0, 20.0)

    def open(self, keys: int, payload: int = 0) -> None:
        self.left = list(self.figures)


class Doubled(Scripted):
    figures = (20.0, 60.0, 10.0)


class Missing(Scripted):
    def open(self, keys: int, payload: int = 0) -> None:
        import no_such_package_anywhere  # noqa: F401 # type: ignore[import-not-found]


class Failing(Scripted):
    def open(self, keys: int, payload: int = 0) -> None:
        raise OSError("no room")


class Breaking(Scripted):
    figures = (1.0,)


def scripted(store: Scripted, options: dict[str, Any]) -> dict[str, Any]:
    return {"work": lambda: store.left.pop(0)}


# ------------------------------------------------ statistics


def test_percentiles() -> None:
    values = list(range(1000))
    assert [timers.percentile(values, at) for at in (0, 0.5, 0.99, 0.999, 1)] == [0, 500, 990, 999, 999]
    assert timers.percentile([7], 0.999) == 7
    assert math.isnan(timers.percentile([], 0.5))


def test_calls_fit_a_budget() -> None:
    calls = []
    assert timers.fitting(lambda: calls.append(1), budget=1e-9, most=10_000) == 50
    assert timers.fitting(lambda: calls.append(1), budget=60, most=10_000) == 10_000
    assert len(calls) <= 11_000


def test_every_key_of_whole_batches_is_called_once() -> None:
    seen: list[str] = []
    keys = [str(i) for i in range(2 * timers.BATCH + 7)]
    assert timers.along(seen.append, keys)() > 0
    assert seen == keys[: 2 * timers.BATCH]
    written: list[tuple[str, int]] = []
    timers.along(lambda *pair: written.append(pair), keys[:3], 5)()
    assert written == [("0", 5), ("1", 5), ("2", 5)]


def test_rounds_become_medians_spreads_and_ratios() -> None:
    figures, notes = harness.run(scripted, {"keys": 0}, 3, {"one": Scripted, "two": Doubled})
    one, two = figures
    assert (one.contender, one.work, one.samples, one.rounds) == ("one", "work", (10.0, 30.0, 20.0), 3)
    assert one.median == 20.0
    assert one.spread == 1.0
    assert two.relative_to(one) == 2.0  # of the rounds' ratios 2, 2 and 0.5; that of the medians is 1
    assert len(notes) == 1


def test_disturbed_rounds_are_made_again_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of two cores, those that others use in each round: the second and the fourth are disturbed.
    clock, others = 0.0, iter([0.0, 0.9, 0.1, 0.5, 0.05])
    used = 0.0

    def measure() -> None:
        nonlocal clock, used
        clock += 10
        used += 10 * next(others)

    monkeypatch.setattr(quiet.time, "monotonic", lambda: clock)
    monkeypatch.setattr(quiet, "_used", lambda: (clock + used, clock))
    rounds = quiet.Rounds(3, patience=100)
    for _ in rounds:
        measure()
    assert rounds.loads == pytest.approx([0.0, 0.9, 0.1, 0.5, 0.05])
    assert rounds.best == [0, 2, 4]
    assert rounds.among(["a", "b", "c", "d", "e"]) == ["a", "c", "e"]
    assert rounds.among(["a"]) == ["a"]
    assert "0.05 of" in rounds.note()
    assert "2 rounds were left out" in rounds.note()
    # Without patience, as many rounds as were asked for; with some, as many as fit.
    for patience, made in ((0, 2), (25, 4)):
        others = iter([0.9] * 9)
        rounds = quiet.Rounds(2, patience)
        for _ in rounds:
            measure()
        assert len(rounds.loads) == made
        assert len(rounds.best) == 2


@pytest.mark.skipif(not quiet.PROC.joinpath("stat").exists(), reason="the load of others is read from /proc")
def test_what_a_process_and_its_children_use_is_not_that_of_others() -> None:
    before = quiet._used()
    subprocess.run([sys.executable, "-c", "sum(range(8_000_000))"], check=True)
    after = quiet._used()
    assert after[1] - before[1] >= 0.05
    assert after[0] - before[0] >= 0.05


def test_who_cannot_take_part_is_left_out_with_a_note() -> None:
    stores = {"missing": Missing, "failing": Failing, "breaking": Breaking, "one": Scripted}
    figures, notes = harness.run(scripted, {"keys": 0}, 3, stores)
    assert [figure.contender for figure in figures] == ["one"]
    assert notes[0].startswith("missing left out: No module named")
    assert notes[1] == "failing failed: OSError: no room"
    assert "breaking failed at work: IndexError: pop from empty list" in notes


def test_zipfian_keys_are_the_same_in_each_run_and_favour_few() -> None:
    drawn = contention.zipf(1000, 20_000, seed=1)
    assert drawn == contention.zipf(1000, 20_000, seed=1)
    assert drawn != contention.zipf(1000, 20_000, seed=2)
    assert set(drawn) <= set(range(1000))
    most = statistics.multimode(drawn)[0]
    assert statistics.multimode(contention.zipf(1000, 20_000, seed=2)) == [
        most
    ]  # hot keys are the same in all processes
    assert 0.1 < drawn.count(most) / len(drawn) < 0.17  # 1 / H(1000) = 0.134


# ------------------------------------------------ contenders


@pytest.mark.parametrize("name", ALL)
def test_a_contender_does_what_it_is_measured_for(name: str) -> None:
    try:
        store = opened(ALL[name], 100)
    except LeftOut as reason:
        pytest.skip(str(reason))
    try:
        store.load([(points.key(i), VALUE) for i in range(20)])
        for kind in store.kinds - {"array"}:
            store.set(kind, points.VALUES[kind])
            assert store.get(kind) == points.VALUES[kind]
        assert store.get(points.key(19)) == VALUE
        assert store.get("absent") is None
        assert store.contains(points.key(3))
        store.delete(points.key(3))
        assert not store.contains(points.key(3))
        assert store.used() >= 0
        if store.incr:
            for _ in range(3):
                store.incr("n")
            assert store.count("n") == 3
    finally:
        store.close()


def test_two_processes_find_what_each_other_wrote() -> None:
    stores = {name: ALL[name] for name in ("dict", "shoal", "sqlite3")}
    figures, _ = contention.run(stores, 200, 1, 0.01)
    assert {figure.contender for figure in figures} == {"shoal", "sqlite3"}
    assert {figure.mode for figure in figures} == set(contention.MODES)
    assert [figure.wrong for figure in figures] == [""] * 10
    for figure in figures:
        assert len(figure.per_second) == len(contention.MODES[figure.mode])
        assert figure.total > 0
        for process in figure.latency_ns:
            assert process["p50"] <= process["p99"] <= process["p99.9"]


class Torn(ALL["shoal"]):  # type: ignore[name-defined, misc]
    """Gives back half of what was written, and counts every other time."""

    name = "torn"

    def _bind(self) -> None:
        super()._bind()
        get, incr = self.get, self.incr
        self.get = lambda key: value[:16] + "z" * 16 if isinstance(value := get(key), str) else value
        self.calls = 0

        def forgetful(key: str) -> None:
            self.calls += 1
            if self.calls % 2:
                incr(key)

        self.incr = forgetful


def test_wrong_reads_and_lost_increments_are_found() -> None:
    figures, _ = contention.run({"torn": Torn}, 200, 1, 0.01, ["one writes, one reads", "incr of one key"])
    reads, increments = figures
    assert "of what nobody wrote" in reads.wrong
    assert "increments made" in increments.wrong


# ------------------------------------------------ the command


def test_the_command_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json", "--seconds", "0.5", "--keys", "300", "--only", "dict,shoal"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {figure["contender"] for figure in result["one_process"]} == {"shoal", "dict"}
    works = {figure["work"] for figure in result["one_process"] if figure["kind"] == "str"}
    assert works == {"get", "set, overwrite", "get, absent", "contains", "set, new", "delete"}
    assert [figure["contender"] for figure in result["two_processes"]] == ["shoal", "shoal"]
    assert all(figure["median"] > 0 for figure in result["one_process"])
    assert [line for line in result["notes"] if "failed" in line] == []


def test_the_command_tells_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--seconds", "0.1", "--keys", "100", "--only", "shoal"]) == 0
    printed = capsys.readouterr()
    assert "100 keys of 12 characters" in printed.out
    assert "90 % reads, per second" in printed.out
    assert "cores busy" in printed.err


def test_a_store_that_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "shoal,etcd"]) == 2
    assert "no such store: etcd" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--seconds", "x"], ["--keys", "5"], ["--keys", "-1"]])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", *options])
    assert end.value.code == 2
    assert capsys.readouterr().out == ""
