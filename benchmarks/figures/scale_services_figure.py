"""One process that binds 1, 10 and 100 services: starting, one change, and an idle stretch, counted at the wire."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

import hotconfig
from benchmarks.commits import committer
from benchmarks.declared import marked
from benchmarks.places import SCHEMA, Place
from benchmarks.processes import subscriber
from benchmarks.relay import relayed
from benchmarks.results import Judged, Row, Summary
from benchmarks.subscribers import hot_services
from benchmarks.turns import ROUND, timed_us

SIZES: Final = (1, 10, 100)
BOUND_MS: Final = 100.0
WARM_UP: Final = 3
RECONCILE_S: Final = 1.0
PAUSE_S: Final = 0.02
_SERVICE: Final = "bench-scale-services"


def measure(place: Place) -> list[Row]:
    """Three rows for each size."""
    return [row for services in SIZES for row in _with_services(place, [f"{_SERVICE}-{n}" for n in range(services)])]


def _with_services(place: Place, services: list[str]) -> Iterable[Row]:
    place.tell(f"{len(services):,} services …")
    idle_s = place.pick(20, 4)
    took_ms, trips = [], []
    for number in range(place.pick(5, 2)):
        with ExitStack() as stack:
            relay = stack.enter_context(relayed(place.database_url))
            timing = hotconfig.Timing(reconcile_s=RECONCILE_S)
            client = hotconfig.HotConfig(relay.url, place.redis_url, schema=SCHEMA, timing=timing)
            stack.enter_context(client)
            classes = [marked(service) for service in services]
            took_ms.append(timed_us(lambda client=client, classes=classes: [client.bind(c) for c in classes]) / 1e3)  # type: ignore[misc]
            if number == 0:
                time.sleep(2 * RECONCILE_S)
                before = relay.round_trips
                time.sleep(idle_s)
                trips.append((relay.round_trips - before) / idle_s * RECONCILE_S)
    delays_ms = _changes(place, services)
    how = f"in one process; {RECONCILE_S:g} s between two comparisons with PostgreSQL."
    yield _row("binding all", "ms", took_ms, f"one after the other, {how}", services)
    idle = f"counted by a relay over {idle_s} idle seconds, divided by the comparisons due in them, {how}"
    yield _row("round trips per comparison while idle", "count", trips, idle, services)
    yield Row(
        figure="scale_services",
        name="commit → attribute seen",
        unit="ms",
        measured=Summary.of(delays_ms),
        how="one change at a time to one of the services, the next time to another, seen in another process.",
        judged=Judged.P999,
        bound=BOUND_MS,
        below=True,
        warm_up=WARM_UP,
        along="services",
        at=len(services),
    )


def _row(name: str, unit: str, sample: list[float], how: str, services: list[str]) -> Row:
    measured = Summary.of(sample)
    return Row("scale_services", name, unit, measured, how, along="services", at=len(services))


def _changes(place: Place, services: list[str]) -> list[float]:
    heard = ROUND.get()
    changes = place.pick(200, 40)
    delays_ms = []
    with (
        subscriber(hot_services, place.database_url, place.redis_url, services) as reader,
        committer(place) as commit,
    ):
        for value in range(1, changes + 1 + WARM_UP):
            committed_ns = commit(services[value % len(services)], "threshold", str(value))
            while (seen := reader.seen())[1] != value:
                pass  # of another service
            delays_ms.append((seen[0] - committed_ns) / 1e6)
            heard(value, changes + WARM_UP)
            time.sleep(PAUSE_S)
    return delays_ms[WARM_UP:]
