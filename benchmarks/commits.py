"""Committing in the measuring process, with the moment at which PostgreSQL had committed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any, Final

from benchmarks.places import SCHEMA, Place
from hotconfig.core.chain import Change

_BY: Final = "ann@acme.example"
_WHY: Final = "a benchmark"

Commit = Callable[[str, str, str], int]
"""``commit(service, key, text)`` commits and announces, and returns when it was committed (monotonic clock, ns)."""


@contextmanager
def committer(place: Place, *, announced: bool = True) -> Generator[Commit]:
    """Lend a function that commits one change; only PostgreSQL tells of those that are not ``announced``."""
    from hotconfig.core.ports import Order, Written
    from hotconfig.postgres.truth import PostgresWriter
    from hotconfig.redis.publish import RedisAnnouncer
    from hotconfig.runtime.publishing import Publisher

    committed_ns: list[int] = []

    class Writer(PostgresWriter):
        def write(self, order: Order) -> Written:
            written = super().write(order)
            committed_ns.append(monotonic_ns())
            return written

    announcer = RedisAnnouncer(place.redis_url) if announced else None
    publisher: Any = Publisher(Writer(place.database_url, schema=SCHEMA), announcer)

    def commit(service: str, key: str, text: str) -> int:
        publisher.commit(service, [Change(key, text)], by=_BY, reason=_WHY)
        return committed_ns.pop()

    try:
        yield commit
    finally:
        publisher.close()
