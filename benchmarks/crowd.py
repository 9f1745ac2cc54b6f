"""Many readers in one process: whole followers, each with its threads and its own connection to Redis.

They share a few connections to PostgreSQL, as they would behind PgBouncer: 1,000 processes would have 1,000, which no
PostgreSQL out of the box takes. Every query still is a query of its own, and is counted.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, Final

from benchmarks.declared import marked
from benchmarks.places import SCHEMA
from benchmarks.processes import Arm

CONNECTIONS: Final = 4
_START_WITHIN_S: Final = 90.0
SEEN_WITHIN_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Report:
    """What a crowd says when it is asked."""

    cpu_s: float
    """Of its whole process, since its start."""
    queries: float
    """Sent to PostgreSQL by all of its readers, since the start."""
    seen: Sequence[tuple[float, float]]
    """Every swap since the last report: which value, and when on the monotonic clock (ns)."""


def ask(crowd: Arm, value: int) -> Report:
    """Wait until every reader of the crowd shows this value or a later one; 0 does not wait."""
    cpu_s, queries, *stamps = crowd(value)
    return Report(cpu_s, queries, list(zip(stamps[::2], stamps[1::2], strict=True)))


@contextmanager
def readers(database_url: str, redis_url: str, service: str, count: int, reconcile_s: float) -> Generator[Arm]:
    """So many readers of one service, all of them live. To be run by :func:`benchmarks.processes.worker`."""
    from hotconfig import Timing
    from hotconfig.core import line
    from hotconfig.core.candidate import Blueprint
    from hotconfig.core.followed import Followed
    from hotconfig.core.live import swap
    from hotconfig.redis.subscribe import RedisSubscription
    from hotconfig.runtime.follower import Follower

    _allow_descriptors(32 * count + 256)
    seen: list[tuple[float, float]] = []
    newest: dict[int, float] = {}

    def stamped(live: Any, candidate: Any) -> None:
        swap(live, candidate)
        seen.append((candidate.threshold, monotonic_ns()))
        newest[id(live)] = candidate.threshold

    line.__dict__["swap"] = stamped  # what the line calls
    desk = _Desk(database_url)
    timing = Timing(reconcile_s=reconcile_s, stale_after_s=min(86_400.0, 4 * reconcile_s + 30))
    blueprint = Blueprint(marked(service))
    followers = [
        Follower(
            _Seat(desk, number),
            lambda services: RedisSubscription.open(redis_url, services),
            None,
            lambda _: None,
            timing,
        )
        for number in range(count)
    ]
    for follower in followers:
        follower.start()
    for loaded in [follower.follow(Followed(blueprint)) for follower in followers]:
        loaded.result(_START_WITHIN_S)
    _until(lambda: all(follower.connected for follower in followers), _START_WITHIN_S)

    def report(value: int) -> list[float]:
        if value:
            _until(lambda: sum(shown >= value for shown in list(newest.values())) >= count, SEEN_WITHIN_S)
        taken, seen[:] = list(seen), []
        return [time.process_time(), desk.asked, *(number for stamp in taken for number in stamp)]

    try:
        yield report
    finally:
        for follower in followers:
            follower.stop(0)
        desk.close()


class _Desk:
    """The few connections to PostgreSQL, and how often they were used."""

    def __init__(self, database_url: str) -> None:
        from hotconfig.postgres.truth import PostgresReader

        self._readers = [(threading.Lock(), PostgresReader(database_url, schema=SCHEMA)) for _ in range(CONNECTIONS)]
        self.asked = 0.0

    def load(self, number: int, asked: Mapping[str, Any]) -> Any:
        lock, reader = self._readers[number % CONNECTIONS]
        with lock:
            self.asked += 1
            return reader.load(asked)

    def close(self) -> None:
        for _, reader in self._readers:
            reader.close()


class _Seat:
    """One reader's way to the desk."""

    def __init__(self, desk: _Desk, number: int) -> None:
        self._desk = desk
        self._number = number

    def load(self, asked: Mapping[str, Any]) -> Any:
        return self._desk.load(self._number, asked)

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        """Once per class and process, which is not what is measured."""

    def close(self) -> None:
        """The desk closes."""

    def abandon(self) -> None:
        """Nobody forks here."""


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _until(holds: Callable[[], bool], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"readers were not there within {within_s:g} s")
        time.sleep(_LOOK_EVERY_S)
