"""What a readiness probe may ask."""

from __future__ import annotations

import pytest

from hotconfig import HotConfig, Timing, UsageError

URL = "postgresql://localhost/app"


@pytest.mark.parametrize("max_age_s", [0, 10, 12.9, float("nan")])
def test_an_age_that_a_healthy_process_exceeds_is_refused_even_before_the_start(max_age_s: float) -> None:
    with pytest.raises(UsageError, match=r"every 12\.5 s at most: give 13 or more"):
        HotConfig(URL, "redis://localhost").ready(max_age_s=max_age_s)


@pytest.mark.parametrize("max_age_s", [None, 13, 300, float("inf")])
def test_any_longer_age_may_be_asked_for(max_age_s: float | None) -> None:
    assert not HotConfig(URL).ready(max_age_s=max_age_s)


def test_who_only_polls_may_ask_for_less() -> None:
    client = HotConfig(URL, listen=False)
    assert not client.ready(max_age_s=1.5)
    with pytest.raises(UsageError, match=r"Timing\.poll_s"):
        client.ready(max_age_s=1)
    assert not HotConfig(URL, timing=Timing(reconcile_s=1)).ready(max_age_s=2)
