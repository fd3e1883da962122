"""CPython's own test of mappings, which `dict` itself has to pass."""

from __future__ import annotations

import unittest
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Backend

mapping_tests = pytest.importorskip("test.mapping_tests", reason="this Python comes without its test package")
NAMES = unittest.TestLoader().getTestCaseNames(mapping_tests.BasicTestMappingProtocol)


@pytest.mark.parametrize("name", NAMES)
def test_mapping_protocol(backend: Backend, name: str) -> None:
    numbers = count()

    class Case(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc, name-defined]
        @staticmethod
        def type2test(*args: Any, **entries: Any) -> Any:
            store = backend.open(f"mapping-{next(numbers)}")
            store.update(*args, **entries)
            return store

    Case(name).debug()  # raises what is wrong, instead of collecting it
