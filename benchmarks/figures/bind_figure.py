"""Binding a class with 100 fields, all of them set in PostgreSQL: round trips, and how long it takes."""

from __future__ import annotations

from typing import Final

import psycopg

import hotconfig
from benchmarks.declared import wide
from benchmarks.places import SCHEMA, Place
from benchmarks.relay import relayed
from benchmarks.results import Judged, Row, Summary
from benchmarks.turns import timed_us

FIELDS: Final = 100
BOUND: Final = 2
_SERVICE: Final = "bench-wide"


def measure(place: Place) -> list[Row]:
    """One row for the round trips, one for the time."""
    settings_class = wide(FIELDS, _SERVICE)
    with psycopg.connect(place.database_url) as connection:
        connection.cursor().executemany(
            f"INSERT INTO {SCHEMA}.service_configs (service, key, value) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [(_SERVICE, f"field_{number}", str(number + 1)) for number in range(FIELDS)],
        )
    round_trips: list[float] = []
    took_ms: list[float] = []
    for _ in range(place.pick(30, 8)):
        with relayed(place.database_url) as relay, _client(relay.url, place.redis_url) as client:
            before = relay.round_trips
            client.bind(settings_class)
            round_trips.append(relay.round_trips - before)
        with _client(place.database_url, place.redis_url) as client:
            took_ms.append(timed_us(lambda client=client: client.bind(settings_class)) / 1e3)  # type: ignore[misc]
    how = f"a class with {FIELDS} fields, each with a row of its own, bound by a new client that has started."
    return [
        Row(
            figure="bind",
            name="round trips to PostgreSQL",
            unit="count",
            measured=Summary.of(round_trips),
            how=f"{how} Counted by a relay, on all connections, until bind() returned.",
            judged=Judged.MAXIMUM,
            bound=BOUND,
        ),
        Row(figure="bind", name="time", unit="ms", measured=Summary.of(took_ms), how=how),
    ]


def _client(database_url: str, redis_url: str) -> hotconfig.HotConfig:
    return hotconfig.HotConfig(database_url, redis_url, schema=SCHEMA)
