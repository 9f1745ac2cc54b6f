"""``store.set`` against one bare committed INSERT over the same kind of connection, on the same server.

Both arms are processes of their own that take turns in blocks, and nobody else is connected: what a process listens to
would wake it in another's turn. An application that writes also follows its settings, so hotconfig's threads run beside
the call that is measured.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import hotconfig
from benchmarks.declared import marked
from benchmarks.places import SCHEMA, Place
from benchmarks.processes import Arm, worker
from benchmarks.results import Row, Summary
from benchmarks.turns import in_blocks, timed_us

QUIET_BOUND: Final = 1.6
PUBLISHED_BOUND: Final = 2.2
BLOCK: Final = 25
WARM_UP: Final = 4
_BY: Final = "ann@acme.example"
_WHY: Final = "too many false alarms"
_TABLE: Final = f"""
    CREATE TABLE IF NOT EXISTS {SCHEMA}.bare (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        service    text NOT NULL,
        key        text NOT NULL,
        value      text,
        changed_by text NOT NULL,
        reason     text,
        changed_at timestamptz NOT NULL DEFAULT now()
    )"""
_INSERT: Final = f"INSERT INTO {SCHEMA}.bare (service, key, value, changed_by, reason) VALUES (%s, %s, %s, %s, %s)"


def measure(place: Place) -> list[Row]:
    """Two rows with a bound, two for information."""
    stores: dict[str, tuple[str | None, int, float | None]] = {
        "one key": (None, 1, QUIET_BOUND),
        "one key, published": (place.redis_url, 1, PUBLISHED_BOUND),
        "five keys": (None, 5, None),
        "five keys, published": (place.redis_url, 5, None),
    }
    return [_beside_the_floor(place, name, *given) for name, given in stores.items()]


def _beside_the_floor(place: Place, name: str, redis_url: str | None, keys: int, bound: float | None) -> Row:
    with worker(bare, place.database_url) as floor, worker(store, place.database_url, redis_url, keys) as writer:
        arms = {"floor": floor, "store": writer}
        samples = in_blocks(arms, BLOCK, blocks=place.pick(100, 20), warm_up=WARM_UP)
    return Row(
        figure="set",
        name=f"store.set, {name}",
        unit="µs",
        measured=Summary.of(samples["store"]),
        how=f"one call after the other, each arm in its own process, in turns by blocks of {BLOCK}.",
        floor=Summary.of(samples["floor"]),
        floor_name="one bare committed INSERT with author, reason and time into a table with a primary key",
        bound=bound,
        warm_up=BLOCK * WARM_UP,
    )


@contextmanager
def bare(database_url: str) -> Generator[Arm]:
    """The floor."""
    from hotconfig.postgres.connect import open_session

    session = open_session(database_url, application_name="benchmarks")
    session.execute(_TABLE)
    numbers = itertools.count()

    def insert() -> None:
        session.execute(_INSERT, ["bench-bare", "threshold", f"0.{next(numbers)}", _BY, _WHY])

    with session:
        yield lambda size: [timed_us(insert) for _ in range(size)]


@contextmanager
def store(database_url: str, redis_url: str | None, keys: int) -> Generator[Arm]:
    """``store.set`` of one key, or of all five."""
    settings_class = marked(f"bench-set-{keys}-{'quiet' if redis_url is None else 'published'}")
    numbers = itertools.count(1)
    with hotconfig.HotConfig(database_url, redis_url, schema=SCHEMA) as client:
        settings = client.bind(settings_class)

        def write() -> None:
            number = next(numbers)
            values = (number / 8, f"gpt-{number}", number, f"LEVEL {number}", number % 2 == 0)
            named = dict(zip(settings_class.model_fields, values, strict=True))
            client.store.update(settings, dict(list(named.items())[:keys]), by=_BY, reason=_WHY)

        yield lambda size: [timed_us(write) for _ in range(size)]
