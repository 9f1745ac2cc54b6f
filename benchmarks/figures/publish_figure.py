"""Publish → attribute seen in another process, against a bare redis-py ``listen()`` loop that stores the value.

One process publishes, one process per arm subscribes. The clock starts before the publishing call and is read again
right after the value is stored. One message is under way at a time, with pauses of random length between.
"""

from __future__ import annotations

import random
import time
from time import monotonic_ns
from typing import Final

from benchmarks.places import SCHEMA, Place
from benchmarks.processes import subscriber
from benchmarks.results import Row, Summary
from benchmarks.subscribers import bare, hot
from benchmarks.turns import in_turns
from hotconfig.core.chain import Change, ChangeSet, Head, genesis

BOUND: Final = 1.5
WARM_UP: Final = 50
PAUSE_S: Final = (0.001, 0.004)
_SERVICE: Final = "bench-publish"
_CHANNEL: Final = "bench:bare"
_NEVER_S: Final = 86_400.0
"""The change sets of this figure are announced without being committed; a reconciliation would undo them."""


def measure(place: Place) -> list[Row]:
    """One row with a bound."""
    import redis

    from hotconfig.postgres.truth import PostgresWriter
    from hotconfig.redis.publish import RedisAnnouncer

    writer = PostgresWriter(place.database_url, schema=SCHEMA)
    keyring = writer.keyring()
    writer.close()
    announcer, client = RedisAnnouncer(place.redis_url), redis.Redis.from_url(place.redis_url)
    pauses = random.Random(0)
    head = genesis(_SERVICE)
    with (
        subscriber(bare, place.redis_url, _CHANNEL) as bare_loop,
        subscriber(hot, place.database_url, place.redis_url, _SERVICE, _NEVER_S) as hot_line,
    ):

        def publish_value() -> float:
            time.sleep(pauses.uniform(*PAUSE_S))
            begun_ns = monotonic_ns()
            client.publish(_CHANNEL, b"0.9")
            return (bare_loop.seen()[0] - begun_ns) / 1e3

        def publish_commit() -> float:
            nonlocal head
            parent, head = head, Head(head.revision + 1, (head.revision + 1).to_bytes(32, "big"))
            change = Change("threshold", f"0.{head.revision}1")
            time.sleep(pauses.uniform(*PAUSE_S))
            begun_ns = monotonic_ns()
            announcer.announce(
                ChangeSet(_SERVICE, parent, head, (change,), "2026-01-01T00:00:00.000000Z", "ann@acme.example"), keyring
            )
            return (hot_line.seen()[0] - begun_ns) / 1e3

        arms = {"bare": publish_value, "hotconfig": publish_commit}
        samples = in_turns(arms, place.pick(5000, 800), warm_up=WARM_UP)
    announcer.close()
    client.close()
    return [
        Row(
            figure="publish",
            name="publish → attribute seen",
            unit="µs",
            measured=Summary.of(samples["hotconfig"]),
            how="a signed change set and the plain text in one pipeline, against the bare value; subscribers in "
            "processes of their own, one message under way at a time.",
            floor=Summary.of(samples["bare"]),
            floor_name="a redis-py listen() loop that stores the value",
            bound=BOUND,
            warm_up=WARM_UP,
        )
    ]
