"""What a reader costs while nothing changes and per change: queries, bytes, CPU. Counted, not timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.meters import spent
from benchmarks.places import Place
from benchmarks.ways.arms import Ends, Trial, Way, counted, reading
from benchmarks.ways.clocks import cpu_s

Counters = Mapping[str, float]

_SETTLE_S: Final = 1.0
_QUERIES: Final = "queries"
_BYTES: Final = "bytes"
_CPU_MS: Final = "reader's CPU"
_UNITS: Final = {_CPU_MS: " [ms]"}


@dataclass(frozen=True, slots=True)
class Cost:
    """``idle`` is per second, extrapolated from ``idle_s``; ``busy`` per change, less what idling costs."""

    idle_s: float
    idle: Counters
    busy: Counters

    def also(self) -> dict[str, float]:
        """As a row shows it."""
        idle = {f"{name} per idle minute{_UNITS.get(name, '')}": 60 * value for name, value in self.idle.items()}
        return idle | {f"{name} per change{_UNITS.get(name, '')}": value for name, value in self.busy.items()}

    def how(self) -> str:
        """How it was counted."""
        changes = " Costs per change are means, less what idling costs." if self.busy else ""
        return (
            f" Costs are the reader's; a minute is extrapolated from {self.idle_s:.1f} s; queries are round trips to "
            f"PostgreSQL and bytes those of both directions, counted by a TCP relay.{changes}"
        )


class _Counted:
    """One reader behind its relays."""

    def __init__(self, way: Way, place: Place, etcd: int | None, stack: ExitStack) -> None:
        self._ends: Ends = counted(place, etcd, way, stack)
        self.trial = Trial(way, stack.enter_context(reading(way, self._ends)))

    def read(self) -> Counters:
        relays = self._ends.relays
        return {
            _QUERIES: float(relays["postgres"].round_trips) if "postgres" in relays else 0.0,
            _BYTES: float(sum(relay.bytes for relay in relays.values())),
            _CPU_MS: cpu_s(self.trial.reader.pid) * 1e3,
        }


def costs_of(
    place: Place, etcd: int | None, ways: Sequence[Way], *, idle: Callable[[Sequence[Trial]], None]
) -> dict[str, Cost]:
    """Count for each way. ``idle`` gets all of them and returns when they have idled long enough.

    A slow way is told nothing else, so that it has no costs per change.
    """
    with ExitStack() as stack:
        readers = [_Counted(way, place, etcd, stack) for way in ways]
        told = [reader for reader in readers if not reader.trial.way.slow]
        for reader in told:
            reader.trial.wake()
        time.sleep(_SETTLE_S)
        before, begun_s = [reader.read() for reader in readers], time.monotonic()
        idle([reader.trial for reader in readers])
        idle_s = time.monotonic() - begun_s
        per_second = {
            reader.trial.way.name: {name: value / idle_s for name, value in spent(then, reader.read()).items()}
            for reader, then in zip(readers, before, strict=True)
        }
        busy = {reader.trial.way.name: _busy(reader, place, per_second) for reader in told}
    return {name: Cost(idle_s, found, busy.get(name, {})) for name, found in per_second.items()}


def _busy(reader: _Counted, place: Place, per_second: Mapping[str, Counters]) -> Counters:
    size = place.pick(200, 40)
    before, begun_s = reader.read(), time.monotonic()
    changes = len(reader.trial(size))
    took_s = time.monotonic() - begun_s
    idle = per_second[reader.trial.way.name]
    return {
        name: max(0.0, value - idle[name] * took_s) / changes for name, value in spent(before, reader.read()).items()
    }
