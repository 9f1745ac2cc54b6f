"""The oracle finds what is planted: readers that are broken in ways that real libraries are."""

from __future__ import annotations

import pytest

from tests.faults.harness.plants import PLANTS
from tests.faults.harness.seeds import Verdict, run_seeds

SEEDS = range(101, 131)
RULES = {
    "no-gate": {"a", "b"},
    "cursor-first": {"b", "d"},
    "attribute-by-attribute": {"c"},
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("plant", PLANTS)
def test_the_oracle_finds_a_planted_bug_within_thirty_seeds(plant: str) -> None:
    found: set[str] = set()

    def report(verdict: Verdict) -> bool:
        found.update(violation.rule for violation in verdict.violations)
        return bool(found & RULES[plant])

    run_seeds(SEEDS, report, jobs=2, plants=(plant,))
    assert found & RULES[plant]
