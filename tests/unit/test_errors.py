"""The exceptions: what they are, what they carry, that they survive pickling."""

from __future__ import annotations

import copy
import pickle

import pytest

import shoal
from shoal import errors

ALL = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.KeyNotFound, KeyError),
        (errors.InvalidKey, ValueError),
        (errors.KeyTypeError, TypeError),
        (errors.KeyTypeError, errors.InvalidKey),
        (errors.InvalidValue, TypeError),
        (errors.PatternError, ValueError),
        (errors.AccessDenied, PermissionError),
        (errors.StorageError, OSError),
        (errors.CapacityExceeded, errors.StorageError),
        (errors.CorruptArena, errors.StorageError),
        (errors.IncompatibleArena, errors.StorageError),
        (errors.StoreBusy, errors.StorageError),
        (errors.StoreClosed, errors.StorageError),
        (errors.StoreNotFound, errors.StorageError),
    ],
)
def test_what_they_are(error: type[Exception], base: type[Exception]) -> None:
    assert issubclass(error, base)


@pytest.mark.parametrize("error", ALL)
def test_all_have_one_root_and_are_exported(error: type[errors.ShoalError]) -> None:
    assert issubclass(error, errors.ShoalError)
    assert getattr(shoal, error.__name__) is error


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("carry", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_they_carry_what_they_are_about(error: type[errors.ShoalError], carry: object) -> None:
    raised = error("what happened", key="k", path="$.a", limit=5, pattern="*", name="swarm")
    back = carry(raised)  # type: ignore[operator]
    assert type(back) is error
    assert str(back) == "what happened"
    assert (back.key, back.path, back.limit, back.pattern, back.name) == ("k", "$.a", 5, "*", "swarm")


@pytest.mark.parametrize("error", ALL)
def test_what_does_not_apply_is_none(error: type[errors.ShoalError]) -> None:
    raised = error("what happened")
    assert (raised.key, raised.path, raised.limit, raised.pattern, raised.name) == (None, None, None, None, None)


def test_the_text_of_a_key_error_is_readable() -> None:
    assert str(errors.KeyNotFound("no such key: 'k'", key="k")) == "no such key: 'k'"
