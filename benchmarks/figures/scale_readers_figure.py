"""One change to 1, 10, 100 and 1,000 readers: latency and cost, a fitted model, and what 10,000 would need.

The readers are whole followers, spread over a few processes, with a connection to Redis each. A few connections to
PostgreSQL are shared by those of a process. On one machine all of them wake up at the same moment for the same cores,
which 1,000 pods on many machines do not: what grows here with their number is above all the readers' own work.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.commits import Commit, committer
from benchmarks.crowd import CONNECTIONS, SEEN_WITHIN_S, ask, readers
from benchmarks.fits import Fit
from benchmarks.meters import POSTGRES_CPU_S, REDIS_BYTES, REDIS_COMMANDS, REDIS_CPU_S, Meters, spent
from benchmarks.places import Place
from benchmarks.processes import Arm, SilentError, worker
from benchmarks.results import Judged, Row, Summary
from benchmarks.turns import ROUND

SIZES: Final = (1, 10, 100, 1000)
QUICK_SIZES: Final = (1, 10, 100)
PROCESSES: Final = 8
PODS: Final = 10_000
BOUND_MS: Final = 100.0
WARM_UP: Final = 3
RECONCILE_S: Final = 10.0
"""The default: 1,000 readers make a hundred comparisons a second."""
PAUSE_S: Final = (0.05, 0.10)
_SERVICE: Final = "bench-scale-readers"
_READERS_CPU_S: Final = "readers' CPU [s]"
_QUERIES: Final = "queries"


@dataclass(frozen=True, slots=True)
class Size:
    """What so many readers showed and cost. ``idle`` is per second; ``busy`` per change, less what idling costs."""

    readers: int
    each_ms: Sequence[float]
    last_ms: Sequence[float]
    idle: dict[str, float]
    busy: dict[str, float]


def measure(place: Place) -> list[Row]:
    """Latency rows with a bound; costs; the model."""
    sizes: list[Size] = []
    given_up: list[Row] = []
    with committer(place) as commit, Meters(place) as meters:
        for count in QUICK_SIZES if place.quick else SIZES:
            place.tell(f"starting {count:,} readers …")
            try:
                sizes.append(_with_readers(place, count, commit, meters))
            except SilentError as error:
                given_up = [_given_up(count, error)]
                break
    return [row for size in sizes for row in _latencies(size)] + given_up + _model(sizes)


def _with_readers(place: Place, count: int, commit: Commit, meters: Meters) -> Size:
    processes = min(PROCESSES, count)
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    service = f"{_SERVICE}-{count}"
    with ExitStack() as stack:
        crowds = [
            stack.enter_context(worker(readers, place.database_url, place.redis_url, service, share, RECONCILE_S))
            for share in shares
        ]
        _changes(crowds, commit, service, range(1, WARM_UP + 1))
        time.sleep(1.0)
        idle_s = place.pick(12, 5)
        idle = _spent(crowds, meters, lambda: time.sleep(idle_s))
        per_second = {name: value / idle_s for name, value in idle.items()}
        changes = range(WARM_UP + 1, WARM_UP + 1 + place.pick(100, 20))
        delays: list[list[float]] = []
        begun_s = time.monotonic()
        busy = _spent(crowds, meters, lambda: delays.extend(_changes(crowds, commit, service, changes)))
        took_s = time.monotonic() - begun_s
    return Size(
        readers=count,
        each_ms=[delay for one in delays for delay in one],
        last_ms=[max(one) for one in delays],
        idle=per_second,
        busy={name: max(0.0, value - per_second[name] * took_s) / len(changes) for name, value in busy.items()},
    )


def _changes(crowds: Sequence[Arm], commit: Commit, service: str, values: range) -> list[list[float]]:
    """Commit these values one after the other. Returns for each how late every reader was, in ms."""
    pauses = random.Random(0)
    heard = ROUND.get()
    delays = []
    for value in values:
        time.sleep(pauses.uniform(*PAUSE_S))
        committed_ns = commit(service, "threshold", str(value))
        seen = [stamp for crowd in crowds for stamp in ask(crowd, value).seen]
        delays.append([(at_ns - committed_ns) / 1e6 for shown, at_ns in seen if shown == value])
        heard(value - values.start + 1, len(values))
    return delays


def _spent(crowds: Sequence[Arm], meters: Meters, during: Callable[[], object]) -> dict[str, float]:
    """What everybody spent while ``during()`` ran."""
    before = _read(crowds, meters)
    during()
    return spent(before, _read(crowds, meters))


def _read(crowds: Sequence[Arm], meters: Meters) -> dict[str, float]:
    reports = [ask(crowd, 0) for crowd in crowds]
    return meters.read() | {
        _READERS_CPU_S: sum(report.cpu_s for report in reports),
        _QUERIES: sum(report.queries for report in reports),
    }


def _latencies(size: Size) -> list[Row]:
    processes = min(PROCESSES, size.readers)
    how = (
        f"one change at a time, {PAUSE_S[0] * 1e3:g} to {PAUSE_S[1] * 1e3:g} ms apart; {size.readers:,} readers in "
        f"{processes} processes, {CONNECTIONS} connections to PostgreSQL in each; timed from the commit to the swap. "
        "Costs per change are means, less what idle readers cost in that time; "
        f"{RECONCILE_S:g} s between two comparisons with PostgreSQL."
    )
    samples = {"the last reader has it": size.last_ms, "a reader has it": size.each_ms}
    return [
        Row(
            figure="scale_readers",
            name=name,
            unit="ms",
            measured=Summary.of(sample),
            how=how,
            judged=Judged.P999,
            bound=BOUND_MS,
            below=True,
            warm_up=WARM_UP,
            also=_costs(size) if number == 0 else {},
            along="readers",
            at=size.readers,
        )
        for number, (name, sample) in enumerate(samples.items())
    ]


def _costs(size: Size) -> dict[str, float]:
    """What is worth showing, named with its unit."""
    return {
        "queries per idle second": size.idle[_QUERIES],
        "queries per change": size.busy[_QUERIES],
        "bytes out of Redis per change": size.busy[REDIS_BYTES],
        "Redis' CPU per idle second [ms]": size.idle[REDIS_CPU_S] * 1e3,
        "Redis' CPU per change [ms]": size.busy[REDIS_CPU_S] * 1e3,
        "all readers' CPU per idle second [ms]": size.idle[_READERS_CPU_S] * 1e3,
        "all readers' CPU per change [ms]": size.busy[_READERS_CPU_S] * 1e3,
    }


def _given_up(count: int, error: SilentError) -> Row:
    """More readers than this machine can carry are a bound that was missed, and no reason to lose the others."""
    return Row(
        figure="scale_readers",
        name="the last reader has it",
        unit="ms",
        measured=Summary.of([SEEN_WITHIN_S * 1e3]),
        how=f"given up: not all readers started, or had one change within {SEEN_WITHIN_S:g} s ({error}).",
        judged=Judged.P999,
        bound=BOUND_MS,
        below=True,
        along="readers",
        at=count,
    )


def _model(sizes: Sequence[Size]) -> list[Row]:
    """What straight lines through the measured points say about :data:`PODS`."""
    if len(sizes) < 3:
        return []
    rows = [
        _foretold("Redis' CPU, idle", "% of a core", {s.readers: 100 * s.idle[REDIS_CPU_S] for s in sizes}),
        _foretold("Redis' commands, idle", "per second", {s.readers: s.idle[REDIS_COMMANDS] for s in sizes}),
        _foretold("Redis' CPU, one change", "ms", {s.readers: 1e3 * s.busy[REDIS_CPU_S] for s in sizes}),
        _foretold("bytes out of Redis, one change", "bytes", {s.readers: s.busy[REDIS_BYTES] for s in sizes}),
        _foretold("queries, idle", "per second", {s.readers: s.idle[_QUERIES] for s in sizes}),
    ]
    if POSTGRES_CPU_S in sizes[0].idle:
        cpu = {s.readers: 100 * s.idle[POSTGRES_CPU_S] for s in sizes}
        rows.append(_foretold("PostgreSQL's CPU, idle", "% of a core", cpu))
    return rows


def _foretold(name: str, unit: str, points: dict[int, float]) -> Row:
    fit = Fit.through({float(x): y for x, y in points.items()})
    return Row(
        figure="scale_readers",
        name=f"{PODS:,} pods, foretold: {name}",
        unit=unit,
        measured=Summary.of([fit.at(PODS)]),
        how=f"{fit.base:.3g} + {fit.slope:.3g} per reader, least squares; {RECONCILE_S:g} s between two comparisons "
        f"with PostgreSQL. The smaller runs alone foretell {fit.foretold:.3g} for {fit.largest:,.0f} readers, where "
        f"{fit.found:.3g} was measured.",
    )
