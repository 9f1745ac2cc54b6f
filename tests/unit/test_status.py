"""What a process counts of itself."""

from __future__ import annotations

import dataclasses

from hotconfig.core.outcomes import Stale
from hotconfig.core.status import Counters


def test_what_is_older_than_the_head_is_counted_under_another_name_than_the_state() -> None:
    counters = Counters()
    counters.count(Stale("ai"))
    assert counters == Counters(outdated=1)
    assert "stale" not in {field.name for field in dataclasses.fields(Counters)}
