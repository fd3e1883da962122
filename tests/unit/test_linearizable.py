"""The checker itself: histories that have a linearization, and histories that have none."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from shoal.testing.entry import INITIAL, Entry, step
from shoal.testing.history import KEEP, NEVER, Call, Log, Name, Operation, Outcome, Result
from shoal.testing.linearizable import by_key, check, explain

MS = 1_000_000
TRUE, FALSE, ABSENT = Outcome(Result.TRUE), Outcome(Result.FALSE), Outcome(Result.ABSENT)
NO_ANSWER, TORN, REFUSED = Outcome(Result.UNKNOWN), Outcome(Result.TORN), Outcome(Result.REFUSED)


def value(number: int, version: int = 0) -> Outcome:
    return Outcome(Result.DONE, number, version)


def version(number: int) -> Outcome:
    return Outcome(Result.DONE, 0, number)


def did(begin: float, end: float, name: Name, outcome: Outcome, **arguments: Any) -> Operation:
    """An operation, in milliseconds."""
    return Operation(1, int(begin * MS), int(end * MS), Call(name, 0, **arguments), outcome)


def is_linearizable(*history: Operation) -> bool | None:
    return check(sorted(history, key=lambda operation: operation.begin)).linearizable


SET_1 = did(0, 1, Name.SET, version(1), value=4)
GOOD = {
    "nothing": [],
    "one after the other": [
        SET_1,
        did(2, 3, Name.GET, value(4)),
        did(4, 5, Name.DELETE, TRUE),
        did(6, 7, Name.GET, ABSENT),
    ],
    "a read beside a write may see either": [
        did(0, 9, Name.SET, version(1), value=4),
        did(1, 2, Name.GET, ABSENT),
        did(3, 4, Name.GET, value(4)),
    ],
    "writes may take effect in either order": [
        did(0, 9, Name.SET, version(2), value=4),
        did(1, 8, Name.SET, version(1), value=8),
        did(10, 11, Name.GET, value(4)),
    ],
    "each counts": [
        did(0, 9, Name.INCR, value(8), value=4, ttl=KEEP),
        did(0, 9, Name.INCR, value(4), value=4, ttl=KEEP),
    ],
    "one of two adds wins": [
        did(0, 9, Name.ADD, FALSE, value=4),
        did(0, 9, Name.ADD, TRUE, value=8),
        did(10, 11, Name.GET, value(8)),
    ],
    "compared and set": [
        SET_1,
        did(2, 3, Name.COMPARE_AND_SET, TRUE, value=8, version=1),
        did(4, 5, Name.GET_VERSIONED, value(8, 7)),
    ],
    "the version must be absent": [
        did(0, 1, Name.COMPARE_AND_SET, TRUE, value=8),
        did(2, 3, Name.COMPARE_AND_SET, FALSE, value=4),
    ],
    "swapped": [
        did(0, 1, Name.SWAP, ABSENT, value=4),
        did(2, 3, Name.SWAP, value(4), value=8),
        did(4, 5, Name.POP, value(8)),
    ],
    "no number": [
        did(0, 1, Name.SET, version(1), value=5),
        did(2, 3, Name.INCR, REFUSED, value=4),
        did(4, 5, Name.GET, value(5)),
    ],
    "who died may have written": [did(0, 5, Name.SET, NO_ANSWER, value=4), did(6, 7, Name.GET, value(4))],
    "who died may have written nothing": [did(0, 5, Name.SET, NO_ANSWER, value=4), did(6, 7, Name.GET, ABSENT)],
    "expired": [
        did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS),
        did(4, 5, Name.GET, value(4)),
        did(7, 8, Name.GET, ABSENT),
    ],
    "about to expire": [
        did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS),
        did(5.5, 9, Name.EXISTS, TRUE),
        did(5.1, 5.4, Name.TTL, value(MS // 4)),
        did(5.9, 9, Name.EXISTS, FALSE),
    ],
    "touched in time": [
        did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS),
        did(2, 3, Name.TOUCH, TRUE, ttl=50 * MS),
        did(20, 21, Name.GET, value(4)),
        did(22, 23, Name.INCR, value(8), value=4, ttl=KEEP),
        did(60, 61, Name.TTL, ABSENT),
    ],
    "made to last": [
        did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS),
        did(2, 3, Name.TOUCH, TRUE),
        did(20, 21, Name.TTL, value(NEVER)),
        did(20, 21, Name.REPLACE, TRUE, value=8),
    ],
}
BAD = {
    "never written": [SET_1, did(2, 3, Name.GET, value(8))],
    "torn": [SET_1, did(2, 3, Name.GET, TORN)],
    "lost": [SET_1, did(2, 3, Name.GET, ABSENT)],
    "back again": [SET_1, did(2, 3, Name.DELETE, TRUE), did(4, 5, Name.GET, value(4))],
    "new, then old": [
        SET_1,
        did(2, 9, Name.SET, version(2), value=8),
        did(3, 4, Name.GET, value(8)),
        did(5, 6, Name.GET, value(4)),
    ],
    "two that counted the same": [did(0, 9, Name.INCR, value(4), value=4), did(0, 9, Name.INCR, value(4), value=4)],
    "two adds won": [did(0, 9, Name.ADD, TRUE, value=4), did(0, 9, Name.ADD, TRUE, value=8)],
    "two that popped it": [SET_1, did(2, 5, Name.POP, value(4)), did(2, 5, Name.POP, value(4))],
    "two that deleted it": [SET_1, did(2, 5, Name.DELETE, TRUE), did(2, 5, Name.DELETE, TRUE)],
    "a swap that lost a value": [
        SET_1,
        did(2, 3, Name.SWAP, value(4), value=8),
        did(4, 5, Name.SWAP, value(4), value=12),
    ],
    "two that compared the same": [
        SET_1,
        did(2, 9, Name.COMPARE_AND_SET, TRUE, value=8, version=1),
        did(2, 9, Name.COMPARE_AND_SET, TRUE, value=12, version=1),
    ],
    "a version that came back": [SET_1, did(2, 3, Name.DELETE, TRUE), did(4, 5, Name.SET, version(1), value=8)],
    "a value with another's version": [
        SET_1,
        did(2, 3, Name.SET, version(2), value=8),
        did(4, 5, Name.GET_VERSIONED, value(8, 1)),
    ],
    "a conflict with nobody": [SET_1, did(2, 3, Name.COMPARE_AND_SET, FALSE, value=8, version=1)],
    "set, though not there": [did(0, 1, Name.REPLACE, TRUE, value=8)],
    "refused a number": [SET_1, did(2, 3, Name.INCR, REFUSED, value=4)],
    "who died wrote it twice": [
        did(0, 5, Name.SET, NO_ANSWER, value=4),
        did(6, 7, Name.POP, value(4)),
        did(8, 9, Name.GET, value(4)),
    ],
    "who was dead wrote": [
        did(0, 5, Name.SET, NO_ANSWER, value=4),
        did(6, 7, Name.GET, ABSENT),
        did(8, 9, Name.GET, value(4)),
    ],
    "gone too early": [did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS), did(2, 3, Name.GET, ABSENT)],
    "there too long": [did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS), did(7, 8, Name.GET, value(4))],
    "gone, then there": [
        did(0, 9, Name.SET, version(1), value=4, ttl=5 * MS),
        did(1, 2, Name.GET, value(4)),
        did(8, 9, Name.GET, ABSENT),
        did(10, 11, Name.EXISTS, TRUE),
    ],
    "written on after it was gone": [
        did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS),
        did(5, 9, Name.TOUCH, TRUE, ttl=50 * MS),
        did(7, 8, Name.GET, ABSENT),
        did(10, 11, Name.GET, value(4)),
    ],
    "the expiry was lost": [
        did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS),
        did(2, 3, Name.INCR, value(8), value=4, ttl=KEEP),
        did(9, 10, Name.GET, value(8)),
    ],
    "more time than was given": [
        did(0, 1, Name.SET, version(1), value=4, ttl=5 * MS),
        did(2, 3, Name.TTL, value(5 * MS)),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_has_a_linearization_is_accepted(name: str) -> None:
    assert is_linearizable(*GOOD[name]) is True


@pytest.mark.parametrize("name", BAD)
def test_what_has_none_is_rejected_and_shown(name: str) -> None:
    history = sorted(BAD[name], key=lambda operation: operation.begin)
    verdict = check(history)
    assert verdict.linearizable is False
    text = explain(history, verdict)
    assert all(str(history[number]) in text for number in verdict.stuck)
    assert "possible then" in text


def brute_force(history: list[Operation]) -> bool:
    """What linearizable means, without any cleverness: some order, within time, of all that answered and some that did not."""
    must = [operation for operation in history if operation.outcome.result != Result.UNKNOWN]
    may = [operation for operation in history if operation.outcome.result == Result.UNKNOWN]
    for count in range(len(may) + 1):
        for chosen in itertools.combinations(may, count):
            for order in itertools.permutations([*must, *chosen]):
                states: list[Entry] = [INITIAL]
                for operation in order:
                    states = [after for state in states for after in step(state, operation)]
                if states:
                    return True
    return False


def test_the_search_agrees_with_trying_all_orders() -> None:
    """Random histories of few operations, of which many have no linearization."""
    chance = random.Random(1)
    answers = [TRUE, FALSE, ABSENT, value(4), value(8), version(1), version(2), NO_ANSWER]
    names = [Name.GET, Name.SET, Name.ADD, Name.DELETE, Name.POP, Name.INCR, Name.SWAP, Name.TOUCH]
    verdicts = []
    for _ in range(1500):
        history = []
        for _ in range(chance.randrange(2, 6)):
            begin = chance.randrange(12)
            call = {"value": chance.choice([4, 8]), "ttl": chance.choice([NEVER, 5 * MS])}
            name = chance.choice(names)
            fitting = [answer for answer in answers if may_answer(name, answer)]
            history.append(did(begin, begin + chance.randrange(1, 9), name, chance.choice(fitting), **call))
        history.sort(key=lambda operation: operation.begin)
        verdicts.append(check(history).linearizable)
        assert verdicts[-1] == brute_force(history), history
    assert 100 < sum(map(bool, verdicts)) < 1400


def may_answer(name: Name, answer: Outcome) -> bool:
    if answer.result == Result.UNKNOWN:
        return name != Name.GET
    if name in {Name.ADD, Name.DELETE, Name.TOUCH}:
        return answer.result in {Result.TRUE, Result.FALSE}
    if name == Name.SET:
        return answer.version > 0
    return answer.got > 0 or (answer.result == Result.ABSENT and name != Name.INCR)


def test_the_search_is_bounded() -> None:
    """Many writes at once that nobody has read leave a choice that grows like 2 to the power of their number."""
    history = [did(0, 100, Name.SET, NO_ANSWER, value=4 * number) for number in range(1, 30)]
    history.append(did(200, 201, Name.GET, value(2)))
    verdict = check(history, limit=1000)
    assert (verdict.linearizable, verdict.configurations) == (None, 1000)


def test_a_log_keeps_what_was_begun() -> None:
    log = Log(7, capacity=3)
    log.begin(Call(Name.SET, 5, 4, ttl=9))
    log.end(version(3))
    log.begin(Call(Name.GET, 5))
    log.end(value(4))
    log.begin(Call(Name.ADD, 6, 8))
    first, second, third = log.operations(dead_by=NEVER)
    assert (first.process, first.call, first.outcome) == (7, Call(Name.SET, 5, 4, ttl=9), version(3))
    assert first.begin <= first.end <= second.begin <= second.end <= third.begin
    assert (third.outcome, third.end) == (NO_ANSWER, NEVER)
    log.end(TRUE)
    assert log.full
    assert {key: len(history) for key, history in by_key(log.operations(NEVER)).items()} == {5: 2, 6: 1}
    log.close()
