"""The short part of the fuzzing: seeded, so that a failure can be repeated. ``nox -s fuzz`` feeds a million."""

from __future__ import annotations

import pytest

from tests.fuzz.running import fuzz
from tests.fuzz.targets import SHARES, TARGETS

INPUTS = 20_000
SEED = 20_261_124


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_input_gets_an_exception_out_of(target: str) -> None:
    fuzz(target, INPUTS * SHARES[target] // 100, SEED)
