"""Classes with 10 to 10,000 keys, all of them set: what binding and one change cost as they grow."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import psycopg

import hotconfig
from benchmarks.commits import committer
from benchmarks.declared import wide
from benchmarks.places import SCHEMA, Place
from benchmarks.processes import Subscriber, subscriber
from benchmarks.results import Judged, Row, Summary
from benchmarks.subscribers import hot_fields
from benchmarks.turns import ROUND, timed_us

SIZES: Final = (10, 100, 1000, 10_000)
QUICK_SIZES: Final = (10, 100, 1000)
BOUND_MS: Final = 100.0
WARM_UP: Final = 3
PAUSE_S: Final = 0.02
_SERVICE: Final = "bench-scale-keys"
_FIRST: Final = 1000
"""A value that the key does not have at the beginning, so that writing it is a change."""
_SEEN_WITHIN_S: Final = 30.0


def measure(place: Place) -> list[Row]:
    """Two rows for each size."""
    return [row for keys in (QUICK_SIZES if place.quick else SIZES) for row in _with_keys(place, keys)]


def _with_keys(place: Place, keys: int) -> Iterable[Row]:
    place.tell(f"{keys:,} keys …")
    service = f"{_SERVICE}-{keys}"
    _fill(place.database_url, service, keys)
    settings_class = wide(keys, service)
    took_ms = []
    for _ in range(place.pick(10, 4)):
        with hotconfig.HotConfig(place.database_url, place.redis_url, schema=SCHEMA) as client:
            took_ms.append(timed_us(lambda client=client: client.bind(settings_class)) / 1e3)  # type: ignore[misc]
    with subscriber(hot_fields, place.database_url, place.redis_url, service, keys) as reader:
        delays_ms = _changes(place, service, reader)
    yield Row(
        figure="scale_keys",
        name="binding",
        unit="ms",
        measured=Summary.of(took_ms),
        how="a class whose keys all have a row in PostgreSQL, bound by a new client that has started.",
        along="keys",
        at=keys,
    )
    yield Row(
        figure="scale_keys",
        name="commit of one key → attribute seen",
        unit="ms",
        measured=Summary.of(delays_ms),
        how="one change at a time, seen in another process; the whole class is validated for every change.",
        judged=Judged.P999,
        bound=BOUND_MS,
        below=True,
        warm_up=WARM_UP,
        along="keys",
        at=keys,
    )


def _fill(database_url: str, service: str, keys: int) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            f"INSERT INTO {SCHEMA}.service_configs (service, key, value)"
            " SELECT %s, 'field_' || number, (number + 1)::text FROM generate_series(0, %s) AS number",
            (service, keys - 1),
        )


def _changes(place: Place, service: str, reader: Subscriber) -> list[float]:
    heard = ROUND.get()
    delays_ms = []
    changes = place.pick(200, 40)
    with committer(place) as commit:
        for number in range(changes + WARM_UP):
            committed_ns = commit(service, "field_0", str(_FIRST + number))
            while (seen := reader.seen(_SEEN_WITHIN_S))[1] < _FIRST + number:
                pass  # an older one
            delays_ms.append((seen[0] - committed_ns) / 1e6)
            heard(number + 1, changes + WARM_UP)
            time.sleep(PAUSE_S)
    return delays_ms[WARM_UP:]
