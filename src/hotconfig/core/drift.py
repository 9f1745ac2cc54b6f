"""Drift: commits that a routine comparison found and of which no message had told.

Owns the definition. A read of PostgreSQL drifts for a service when it moved that service's head though

* nothing had asked for it: it was merely due, and no hint came while it was under way;
* news was being heard: connected and confirmed, without a break up to now;
* within ``GRACE_S`` afterwards no message of the service came that repeats or precedes what was found. (The read may
  have been quicker than the message, and a silent server is noticed only after 1.5 s.)

So drift means that somebody commits without announcing, or that messages get lost on the way. Pure: the clock is handed
in, in monotonic seconds.
"""

from __future__ import annotations

from typing import Final

GRACE_S: Final = 2.0


class DriftWatch:
    """Services under suspicion, and until when. One thread's own."""

    def __init__(self) -> None:
        self.suspects: dict[str, float] = {}

    def suspect(self, service: str, now_s: float) -> None:
        """A read found a commit that nobody had told of."""
        self.suspects.setdefault(service, now_s + GRACE_S)

    def heard(self, service: str) -> None:
        """A message came after all."""
        self.suspects.pop(service, None)

    def interrupted(self) -> None:
        """News broke off: what was missed is an outage's, not drift."""
        self.suspects.clear()

    def confirmed(self, now_s: float) -> int:
        """How many suspicions have come true by now; each is told once."""
        true = [service for service, until_s in self.suspects.items() if until_s <= now_s]
        for service in true:
            del self.suspects[service]
        return len(true)
