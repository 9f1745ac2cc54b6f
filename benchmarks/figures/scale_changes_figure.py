"""1 to 10,000 changes per second to one reader, open loop: how late it is, and what a change costs it.

The change sets are signed beforehand and announced without being committed, since no PostgreSQL commits 10,000 times a
second into one chain. A change set is announced when it is due, however late the reader is; where the reader takes
several together, each counts as seen when a value at least as new is shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from benchmarks.crowd import ask, readers
from benchmarks.figures.commit_figure import delays_ms
from benchmarks.places import SCHEMA, Place
from benchmarks.processes import worker
from benchmarks.results import Judged, Row, Summary
from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.wire import Keyring, messages

RATES: Final = (1, 10, 100, 1000, 10_000)
QUICK_RATES: Final = (10, 100, 1000, 10_000)
BOUND_MS: Final = 100.0
TICK_S: Final = 0.002
"""Above 500 per second, those that are due within one tick go out together."""
_SERVICE: Final = "bench-scale-changes"
_NEVER_S: Final = 86_400.0


def measure(place: Place) -> list[Row]:
    """One row for each rate."""
    from hotconfig.postgres.truth import PostgresWriter

    writer = PostgresWriter(place.database_url, schema=SCHEMA)
    keyring = writer.keyring()
    writer.close()
    return [_at_rate(place, rate, keyring) for rate in (QUICK_RATES if place.quick else RATES)]


def _at_rate(place: Place, rate: int, keyring: Keyring) -> Row:
    import redis

    lasts_s = place.pick(10 if rate < 1000 else 5, 2)
    service = f"{_SERVICE}-{rate}"
    place.tell(f"{rate:,} changes per second …")
    packed = list(_packed(service, rate * lasts_s, keyring))
    client = redis.Redis.from_url(place.redis_url)
    connection: Any = client.connection_pool.get_connection()
    with worker(readers, place.database_url, place.redis_url, service, 1, _NEVER_S) as reader:
        before = ask(reader, 0)
        due_ns = _announce(connection, packed, rate)
        sent_s = time.monotonic_ns() / 1e9 - due_ns[0] / 1e9
        after = ask(reader, len(packed))
    connection.disconnect()
    client.close()
    cpu_us = (after.cpu_s - before.cpu_s) * 1e6 / len(packed)
    return Row(
        figure="scale_changes",
        name="due → attribute seen",
        unit="ms",
        measured=Summary.of(delays_ms(due_ns, [(int(at_ns), value) for value, at_ns in after.seen])),
        how=f"open loop for {lasts_s} s; signed change sets with their plain form, announced without a commit.",
        judged=Judged.P999,
        bound=BOUND_MS,
        below=True,
        also={
            "CPU per change [µs]": cpu_us,
            "changes per swap": len(packed) / len(after.seen),
            "queries per change": (after.queries - before.queries) / len(packed),
            "bytes per change": sum(len(data) for data in packed) / len(packed),
            "really sent per second": len(packed) / sent_s,
        },
        along="changes per second",
        at=rate,
    )


def _packed(service: str, count: int, keyring: Keyring) -> Iterator[bytes]:
    """The commands of each change set, as they go over the wire."""
    head = genesis(service)
    for number in range(1, count + 1):
        parent, head = head, Head(number, number.to_bytes(32, "big"))
        change_set = ChangeSet(service, parent, head, (Change("threshold", str(number)),), "", "bench")
        yield b"".join(_command(channel.encode(), data) for channel, data in messages(change_set, keyring))


def _command(channel: bytes, data: bytes) -> bytes:
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(data), data)


def _announce(connection: Any, packed: Sequence[bytes], rate: int) -> list[int]:
    """Send each when it is due. Returns when each was due (ns)."""
    start_ns = time.monotonic_ns() + 50_000_000
    due_ns = [start_ns + round(number / rate * 1e9) for number in range(len(packed))]
    at_once = max(1, round(rate * TICK_S))
    for begin in range(0, len(packed), at_once):
        together = packed[begin : begin + at_once]
        time.sleep(max(0.0, (due_ns[min(begin + at_once, len(packed)) - 1] - time.monotonic_ns()) / 1e9))
        connection.send_packed_command([b"".join(together)])
        for _ in range(2 * len(together)):
            connection.read_response()
    return due_ns
