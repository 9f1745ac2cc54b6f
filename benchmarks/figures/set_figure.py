"""``store.set`` against one bare committed INSERT over the same kind of connection, on the same server.

Both arms are processes of their own that take turns in blocks, and nobody else is connected: what a process listens to
would wake it in another's turn. An application that writes also follows its settings, so hotconfig's threads run beside
the call that is measured.

What hotconfig adds to an INSERT is the same everywhere, and what an INSERT takes is the disk's affair. So both are
measured twice: on the disk that is there, and where each commit waits for a millisecond, as on many a disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import conninfo

import hotconfig
from benchmarks.declared import marked
from benchmarks.places import SCHEMA, Place
from benchmarks.processes import Arm, worker
from benchmarks.results import Row, Summary
from benchmarks.turns import in_blocks, timed_us

QUIET_BOUND: Final = 1.6
PUBLISHED_BOUND: Final = 2.2
BLOCK: Final = 25
WAITING_MS: Final = 1
"""About what replicated network disks take to write a commit down."""
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


@dataclass(frozen=True)
class _Case:
    """What is written, and where."""

    name: str
    published: bool = False
    keys: int = 1
    waits: bool = False
    bound: float | None = None


_CASES: Final = (
    _Case("one key", bound=QUIET_BOUND),
    _Case("one key, published", published=True, bound=PUBLISHED_BOUND),
    _Case(f"one key, commits of {WAITING_MS} ms", waits=True, bound=QUIET_BOUND),
    _Case(f"one key, published, commits of {WAITING_MS} ms", published=True, waits=True, bound=PUBLISHED_BOUND),
    _Case("five keys", keys=5),
    _Case("five keys, published", published=True, keys=5),
)


def measure(place: Place) -> list[Row]:
    """Four rows with a bound, two for information; without those that wait where the role may not have it so."""
    may_wait = _may_wait(place.database_url)
    if not may_wait:
        place.tell("set: only a superuser may have commits wait; those rows are left out")
    return [_beside_the_floor(place, case) for case in _CASES if may_wait or not case.waits]


def _beside_the_floor(place: Place, case: _Case) -> Row:
    url = _waiting(place.database_url) if case.waits else place.database_url
    redis_url = place.redis_url if case.published else None
    with worker(bare, url) as floor, worker(store, url, redis_url, case.keys) as writer:
        arms = {"floor": floor, "store": writer}
        samples = in_blocks(arms, BLOCK, blocks=place.pick(100, 20), warm_up=WARM_UP)
    waits = f" PostgreSQL waits for {WAITING_MS} ms at each commit (commit_delay), in both arms." if case.waits else ""
    return Row(
        figure="set",
        name=f"store.set, {case.name}",
        unit="µs",
        measured=Summary.of(samples["store"]),
        how=f"one call after the other, each arm in its own process, in turns by blocks of {BLOCK}.{waits}",
        floor=Summary.of(samples["floor"]),
        floor_name="one bare committed INSERT with author, reason and time into a table with a primary key",
        bound=case.bound,
        warm_up=BLOCK * WARM_UP,
    )


def _waiting(database_url: str) -> str:
    options = f"-c commit_delay={WAITING_MS * 1000} -c commit_siblings=0"
    return conninfo.make_conninfo(database_url, options=options)


def _may_wait(database_url: str) -> bool:
    try:
        psycopg.connect(_waiting(database_url)).close()
    except psycopg.OperationalError:
        return False
    return True


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
