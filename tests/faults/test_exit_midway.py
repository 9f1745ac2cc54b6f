"""The interpreter ends in the middle of everything: with 0, without a word, at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.programs.leaving import MOMENTS
from tests.faults.running import PATIENCE_S, ROOT, environment

pytestmark = pytest.mark.timeout(1800)

SHORT, LONG = 2 * len(MOMENTS), 200
"""How often; ``nox -s exits`` takes the long way, on every Python."""


def leave(database_url: str, redis_url: str, *numbers: int) -> subprocess.CompletedProcess[str]:
    """Run the program: one seed in an interpreter of its own, or a first seed and how many, each in a forked child."""
    command = [sys.executable, "-W", "error", "-m", "tests.faults.programs.leaving", *map(str, numbers)]
    count = numbers[-1] if len(numbers) > 1 else 1
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(database_url, redis_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S + 8 * count,
        check=False,
    )


@pytest.mark.parametrize("moment", range(len(MOMENTS)), ids=[moment.__name__ for moment in MOMENTS])
def test_a_program_may_end(migrated_url: str, redis_url: str, moment: int) -> None:
    ended = leave(migrated_url, redis_url, moment)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_without_redis_a_program_may_end_at_any_moment(migrated_url: str) -> None:
    ended = leave(migrated_url, "", 0, len(MOMENTS))
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")


def test_a_program_may_end_at_any_moment(migrated_url: str, redis_url: str) -> None:
    ended = leave(migrated_url, redis_url, len(MOMENTS), SHORT)
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")


@pytest.mark.long
def test_a_program_may_end_at_any_of_many_moments(migrated_url: str, redis_url: str) -> None:
    ended = leave(migrated_url, redis_url, 1000, LONG)
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")
