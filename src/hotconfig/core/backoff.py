"""Delays between attempts. Pure: randomness is handed in, nobody sleeps here."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

FIRST_DELAY_S: Final = 0.05
MAX_DELAY_S: Final = 1.0
"""Reconnecting must be quick once a server is back (within one second), so the ceiling is low."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling delays with full jitter, between half of the nominal delay and all of it."""

    first_s: float = FIRST_DELAY_S
    max_s: float = MAX_DELAY_S

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """How long to wait after so many failures in a row (1 or more), in seconds."""
        nominal = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return nominal * rng.uniform(0.5, 1.0)


def jittered(interval_s: float, rng: random.Random) -> float:
    """``interval_s`` give or take a quarter, so that a thousand processes do not ask in step."""
    return interval_s * rng.uniform(0.75, 1.25)


@dataclass(slots=True)
class TokenBucket:
    """At most ``burst`` at once and ``rate_per_s`` in the long run. One thread's own."""

    rate_per_s: float
    burst: float
    tokens: float
    at_s: float

    def ready_at_s(self, now_s: float) -> float:
        """When the next token can be taken, on the same clock as ``now_s``; now or earlier if there is one."""
        self._refill(now_s)
        return now_s if self.tokens >= 1 else now_s + (1 - self.tokens) / self.rate_per_s

    def take(self, now_s: float) -> None:
        """Take one token; the caller asked ``ready_at_s`` first."""
        self._refill(now_s)
        self.tokens -= 1

    def _refill(self, now_s: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now_s - self.at_s) * self.rate_per_s)
        self.at_s = now_s
