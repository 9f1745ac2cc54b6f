"""What a reader costs while nothing changes and per change: queries, bytes, CPU. Counted, not timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.meters import spent
from benchmarks.places import Place
from benchmarks.ways.arms import Ends, Trial, Way, Ways, counted, reading
from benchmarks.ways.clocks import cpu_s

Counters = Mapping[str, float]

_SETTLE_S: Final = 1.0
_QUERIES: Final = "queries"
_BYTES: Final = "bytes"
_CPU_MS: Final = "reader's CPU"
_SERVERS_CPU_MS: Final = "servers' CPU"
_UNITS: Final = {_CPU_MS: " [ms]", _SERVERS_CPU_MS: " [ms]"}


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
            f" Costs are the reader's, but for the servers' CPU; a minute is extrapolated from {self.idle_s:.1f} s; "
            f"queries are round trips to PostgreSQL, bytes those of both directions, counted by a TCP relay.{changes}"
        )


class _Counted:
    """One reader behind its relays."""

    def __init__(self, way: Way, place: Place, etcd: int | None, stack: ExitStack) -> None:
        self._ends: Ends = counted(place, etcd, way, stack)
        self.trial = Trial(way, stack.enter_context(reading(way, self._ends)))
        self.served = bool(self._ends.relays)

    def read(self) -> Counters:
        relays = self._ends.relays
        return {
            _QUERIES: float(relays["postgres"].round_trips) if "postgres" in relays else 0.0,
            _BYTES: float(sum(relay.bytes for relay in relays.values())),
            _CPU_MS: cpu_s(self.trial.reader.pid) * 1e3,
        }


def costs_of(
    place: Place, made: Ways, ways: Sequence[Way], *, idle: Callable[[Sequence[Trial]], None]
) -> dict[str, Cost]:
    """Count for each way. ``idle`` gets all of them and returns when they have idled long enough.

    A slow way is told nothing else, so that it has no costs per change.
    """
    with ExitStack() as stack:
        readers = [_Counted(way, place, made.etcd, stack) for way in ways]
        told = [reader for reader in readers if not reader.trial.way.slow]
        for reader in told:
            reader.trial.wake()
        time.sleep(_SETTLE_S)
        servers = _Servers(made.servers_cpu_s)
        before, begun_s = [reader.read() for reader in readers], time.monotonic()
        idle([reader.trial for reader in readers])
        idle_s = time.monotonic() - begun_s
        per_second = {
            reader.trial.way.name: {name: value / idle_s for name, value in spent(then, reader.read()).items()}
            for reader, then in zip(readers, before, strict=True)
        }
        busy = {
            reader.trial.way.name: _busy(reader, place.pick(200, 40), per_second[reader.trial.way.name], servers)
            for reader in told
        }
    return {name: Cost(idle_s, found, busy.get(name, {})) for name, found in per_second.items()}


class _Servers:
    """CPU time of the servers, less what they use while all readers idle."""

    def __init__(self, cpu_s: Callable[[], float | None]) -> None:
        self._cpu_s = cpu_s
        self._idle_share = 0.0
        before = self.read()
        time.sleep(_SETTLE_S)
        after = self.read()
        self._idle_share = 0.0 if before is None or after is None else (after[0] - before[0]) / (after[1] - before[1])

    def read(self) -> tuple[float, float] | None:
        """CPU time, and when it was read; None where nobody tells."""
        found_s = self._cpu_s()
        return None if found_s is None else (found_s, time.monotonic())

    def since(self, before: tuple[float, float] | None) -> float | None:
        """What they used for what happened since."""
        after = self.read()
        if before is None or after is None:
            return None
        return max(0.0, after[0] - before[0] - self._idle_share * (after[1] - before[1]))


def _busy(reader: _Counted, size: int, idle: Counters, servers: _Servers) -> Counters:
    servers_before = servers.read()
    before, begun_s = reader.read(), time.monotonic()
    changes = len(reader.trial(size))
    took_s = time.monotonic() - begun_s
    found = {name: max(0.0, value - idle[name] * took_s) for name, value in spent(before, reader.read()).items()}
    servers_s = servers.since(servers_before)
    if reader.served and servers_s is not None:
        found[_SERVERS_CPU_MS] = servers_s * 1e3
    return {name: value / changes for name, value in found.items()}
