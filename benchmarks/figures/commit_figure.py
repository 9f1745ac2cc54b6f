"""Commit → attribute seen in another process, at a steady rate of commits.

Open loop: a commit is made when it is due, whether or not earlier ones have been seen. Where the reader takes several
commits together, each counts as seen when a value at least as new was shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from benchmarks.places import SCHEMA, Place
from benchmarks.processes import Seen, Subscriber, subscriber
from benchmarks.results import Judged, Row, Summary
from benchmarks.subscribers import hot
from hotconfig.core.chain import Change

BOUND_MS: Final = 100.0
RATE_PER_S: Final = 200
WARM_UP: Final = 50
_SERVICE: Final = "bench-commit"
_RECONCILE_S: Final = 10.0


def measure(place: Place) -> list[Row]:
    """One row from the commit, which is bounded, and one from the call of the writer."""
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

    publisher = Publisher(Writer(place.database_url, schema=SCHEMA), RedisAnnouncer(place.redis_url))

    def commit(number: int) -> None:
        publisher.commit(_SERVICE, [Change("threshold", str(number))], by="ann@acme.example", reason="a benchmark")

    with subscriber(hot, place.database_url, place.redis_url, _SERVICE, _RECONCILE_S) as reader:
        called_ns, seen = steadily(commit, WARM_UP + place.pick(5000, 500), reader)
    publisher.close()
    how = f"{RATE_PER_S} commits per second, open loop, one writing and one reading process."
    spans = {"commit": committed_ns, "call of the writer": called_ns}
    return [
        Row(
            figure="commit",
            name=f"{name} → attribute seen",
            unit="ms",
            measured=Summary.of(delays_ms(begun_ns, seen)[WARM_UP:]),
            how=how,
            judged=Judged.P999,
            bound=BOUND_MS if name == "commit" else None,
            below=True,
            warm_up=WARM_UP,
        )
        for name, begun_ns in spans.items()
    ]


def steadily(commit: Callable[[int], None], count: int, reader: Subscriber) -> tuple[list[int], list[Seen]]:
    """Commit the values 1 to ``count`` at :data:`RATE_PER_S`. Returns when each was begun, and what was seen when."""
    called_ns: list[int] = []
    seen: list[Seen] = []
    start_s = time.monotonic()
    for number in range(1, count + 1):
        seen += reader.seen_by_now()
        time.sleep(max(0.0, start_s + number / RATE_PER_S - time.monotonic()))
        called_ns.append(monotonic_ns())
        commit(number)
    while not seen or seen[-1][1] < count:
        seen.append(reader.seen())
    return called_ns, seen


def delays_ms(begun_ns: list[int], seen: list[Seen]) -> list[float]:
    """How long after its beginning each of the values 1, 2, 3, … or a later one was seen."""
    delays: list[float] = []
    shown = iter(seen)
    at_ns, value = next(shown)
    for number, begun in enumerate(begun_ns, start=1):
        while value < number:
            at_ns, value = next(shown)
        delays.append((at_ns - begun) / 1e6)
    return delays
