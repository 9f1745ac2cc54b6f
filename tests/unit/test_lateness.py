"""How late the line ran: the worst of this window and the one before, told once."""

from __future__ import annotations

import pytest

from hotconfig.core.lateness import NOTABLE_S, WINDOW_S, Lateness


def test_the_worst_is_kept() -> None:
    lateness = Lateness()
    for late_s in (0.1, 0.5, 0.2):
        lateness.add(1000.0, late_s)
    assert lateness.worst_s(1001.0) == 0.5


@pytest.mark.parametrize(
    ("age_s", "expected_s"), [(0.0, 0.5), (WINDOW_S, 0.5), (2 * WINDOW_S - 0.1, 0.5), (2 * WINDOW_S, 0.0)]
)
def test_it_is_forgotten_after_two_windows_at_the_latest(age_s: float, expected_s: float) -> None:
    lateness = Lateness()
    lateness.add(1000.0, 0.5)
    assert lateness.worst_s(1000.0 + age_s) == expected_s


def test_the_window_before_still_counts_when_a_new_one_has_begun() -> None:
    lateness = Lateness()
    lateness.add(1000.0, 0.5)
    lateness.add(1000.0 + WINDOW_S, 0.1)
    assert lateness.worst_s(1000.0 + WINDOW_S) == 0.5
    lateness.add(1000.0 + 2 * WINDOW_S, 0.2)
    assert lateness.worst_s(1000.0 + 2 * WINDOW_S) == 0.2


def test_only_the_first_notable_lateness_of_a_window_is_worth_a_word() -> None:
    lateness = Lateness()
    words = [lateness.add(1000.0 + second, late_s) for second, late_s in enumerate((0.1, NOTABLE_S, 5.0, 0.1))]
    assert words == [False, True, False, False]
    assert lateness.add(1000.0 + WINDOW_S, NOTABLE_S)
