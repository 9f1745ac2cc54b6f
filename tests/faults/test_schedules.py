"""Fifty random fault schedules: whatever happens, what readers show is what PostgreSQL held.

``python -m tests.faults`` runs more of them; docs/fault-testing.md says how to read what it finds.
"""

from __future__ import annotations

import pytest

from tests.faults.harness.seeds import Verdict, run_seeds

SEEDS = range(1, 51)
JOBS = 3


@pytest.mark.timeout(900)  # a hundred seconds on two cores; machines may have other things to do
def test_no_schedule_makes_a_reader_break_the_contract() -> None:
    verdicts: list[Verdict] = []

    def report(verdict: Verdict) -> bool:
        verdicts.append(verdict)
        return bool(verdict.violations)

    run_seeds(SEEDS, report, jobs=JOBS)
    broken = [str(verdict) for verdict in verdicts if verdict.violations]
    assert not broken, "\n".join(broken)
    assert len(verdicts) == len(SEEDS)
    # Three readers, a writer, and a child where its parent lived long enough to fork.
    assert all(verdict.observations["Settled"] >= 4 for verdict in verdicts)
