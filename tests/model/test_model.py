"""The models of the protocol: every state of them is right, and of each variant that lacks a step some state is not."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from check import MODELS, NEEDS, RIGHT, explore

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, NEEDS)), reason="the models are explored by spin and gcc (apt-get install spin)"
)
VARIANTS = [(model, variant) for model, variants in MODELS.items() for variant in variants if variant != RIGHT]


@pytest.mark.parametrize("kills", [0, pytest.param(None, marks=pytest.mark.stress)])
@pytest.mark.parametrize("model", MODELS)
def test_no_state_is_wrong(model: str, kills: int | None) -> None:
    outcome = explore(model, kills=kills)
    assert outcome.error == ""
    assert outcome.states > (30_000 if kills == 0 else 1_000_000)


@pytest.mark.stress
@pytest.mark.parametrize(("model", "variant"), VARIANTS)
def test_a_removed_step_is_found(model: str, variant: str) -> None:
    assert explore(model, variant).error
