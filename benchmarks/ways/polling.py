"""Polling: its readers, and changes that come while they sleep."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.places import Place
from benchmarks.processes import Seen
from benchmarks.turns import ROUND
from benchmarks.ways.arms import Trial, Way
from benchmarks.ways.readers import polled
from benchmarks.ways.writers import by_hand, select

INTERVALS_S: Final = (1.0, 5.0)
SERVICE: Final = "quiet"
"""Nobody else writes it."""
_EVERY_S: Final = (0.02, 0.18)
_LAST_WITHIN_S: Final = 15.0


def polling_ways(place: Place, stack: ExitStack) -> list[Way]:
    """A way for each interval. All are written to by the same commits."""
    *_, write = stack.enter_context(by_hand(place, SERVICE))
    how = "one SELECT over a connection that stays open, float(), one attribute set."
    given = [(interval_s, ("database_url", select(SERVICE), interval_s)) for interval_s in INTERVALS_S]
    return [Way(f"polling every {each:g} s", how, polled, args, write, slow=True) for each, args in given]


def late_ms(place: Place, trials: Sequence[Trial]) -> Mapping[str, list[float]]:
    """Commit at random moments for a while; by way, how late each commit was seen, itself or a later one."""
    moments = random.Random(0)
    committed_ns: list[int] = []
    end_s = time.monotonic() + place.pick(60, 10)
    last = place.pick(60, 10) * 10
    while time.monotonic() < end_s:
        time.sleep(moments.uniform(*_EVERY_S))
        committed_ns.append(trials[0].way.write(str(len(committed_ns) + 1)))
        ROUND.get()(min(len(committed_ns), last), last)
    return {trial.way.name: _delays(committed_ns, trial) for trial in trials}


def _delays(committed_ns: Sequence[int], trial: Trial) -> list[float]:
    seen: list[Seen] = [trial.reader.seen(_LAST_WITHIN_S)]
    while seen[-1][1] < len(committed_ns):
        seen.append(trial.reader.seen(_LAST_WITHIN_S))
    delays = []
    shown = iter(seen)
    at_ns, value = next(shown)
    for number, committed in enumerate(committed_ns, start=1):
        while value < number:
            at_ns, value = next(shown)
        delays.append((at_ns - committed) / 1e6)
    return delays
