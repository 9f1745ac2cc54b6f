"""What hotconfig costs, in counts and ratios that no machine's mood changes: the gate against creeping regressions.

Each bound says why it is what it is. Raise one only together with the reason. Times are measured by the benchmark
suite, which fails nobody. Where something is counted several times, the least counts: on a machine that stutters, a
late pong has PostgreSQL asked once more.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest
import redis

import hotconfig
from benchmarks.declared import marked, wide
from benchmarks.relay import Relay, relayed
from tests.support.callgrind import instructions
from tests.support.waiting import eventually

BIND: Final = 2
"""Round trips of a bind: one reads values and head in one statement, one registers the class's schema, and bind() does
not wait for that. It does not grow with the number of keys, nor with what was bound before."""
COMMIT: Final = 1
"""Round trips of a commit: the server-side function does all of it, history and chain included."""
PUBLISHED: Final = 2
"""Messages of a commit of one key: the signed change set and the plain form, sent together."""
APPLY: Final = 0
"""Round trips of a reader that hears a change set whose parent is its head."""
IDLE_PER_COMPARISON: Final = 1
"""One statement compares the heads of all services that a process has bound."""
PINGS_PER_S: Final = 2.0
"""The subscriber pings every half second. Nothing else goes to Redis while nothing changes."""
READ: Final = 1.03
"""Instructions of a read, as a multiple of a plain pydantic-settings instance's. The bytecode is the same, and the way
through it; that a live object's dict was exchanged costs a handful of instructions of some 400."""

RECONCILE_S: Final = 0.5
IDLE_S: Final = 3.0
STRETCHES: Final = 4
SETTLE_S: Final = 0.5
SELDOM: Final = hotconfig.Timing(reconcile_s=3600, stale_after_s=9000)


@pytest.fixture
def wire(migrated_url: str) -> Generator[Relay]:
    """PostgreSQL, with every round trip counted."""
    with relayed(migrated_url) as relay:
        yield relay


@pytest.fixture
def news(redis_url: str) -> Generator[redis.Redis]:
    """A look at the server's own counters."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def calls(news: redis.Redis, command: str) -> int:
    found: Any = news.info("commandstats")
    counted: int = found.get(f"cmdstat_{command}", {}).get("calls", 0)
    return counted


@pytest.mark.parametrize("keys", [1, 100, 1000])
def test_binding_takes_two_round_trips_however_many_keys_there_are(wire: Relay, redis_url: str, keys: int) -> None:
    spent = []
    with hotconfig.HotConfig(wire.url, redis_url, timing=SELDOM) as client:
        for number in range(3):
            before = wire.round_trips
            client.bind(wide(keys, f"costs-{keys}-{number}"))
            threading.Event().wait(SETTLE_S)  # for whatever bind() set going
            spent.append(wire.round_trips - before)
    assert min(spent) == BIND, spent


def test_a_commit_is_one_round_trip_and_two_messages(wire: Relay, redis_url: str, news: redis.Redis) -> None:
    with hotconfig.HotConfig(wire.url, redis_url, timing=SELDOM) as client:
        settings = client.bind(marked("costs-commit"))
        client.store.set(settings, threshold=0.5, by="ann@acme.example", reason="connects")
        spent = []
        for number in range(1, 4):
            trips, published = wire.round_trips, calls(news, "publish")
            client.store.set(settings, threshold=0.5 + number / 10, by="ann@acme.example", reason="counted")
            spent.append((wire.round_trips - trips, calls(news, "publish") - published))
    assert min(trips for trips, _ in spent) == COMMIT
    assert min(published for _, published in spent) == PUBLISHED


def test_a_reader_that_hears_a_change_asks_postgresql_nothing(wire: Relay, migrated_url: str, redis_url: str) -> None:
    settings_class = marked("costs-apply")
    with (
        hotconfig.HotConfig(wire.url, redis_url, timing=SELDOM) as reader,
        hotconfig.HotConfig(migrated_url, redis_url, timing=SELDOM) as writer,
    ):
        shown, written = reader.bind(settings_class), writer.bind(settings_class)
        spent = []
        for number in range(1, 6):
            before = wire.round_trips
            writer.store.set(written, threshold=float(number), by="ann@acme.example", reason="counted")
            eventually(lambda number=number: shown.threshold == number)  # type: ignore[misc]
            spent.append(wire.round_trips - before)
    assert min(spent) == APPLY, spent


def test_an_idle_process_sends_one_statement_for_each_comparison_and_its_pings(
    wire: Relay, redis_url: str, news: redis.Redis
) -> None:
    """One comes after ``reconcile_s``, give or take a quarter: with the default of 10 s, 8 a minute at most."""
    timing = hotconfig.Timing(reconcile_s=RECONCILE_S)
    with hotconfig.HotConfig(wire.url, redis_url, timing=timing) as client:
        for number in range(10):
            client.bind(marked(f"costs-idle-{number}"))
        stretches = [_idle(wire, client, news) for _ in range(STRETCHES)]
    assert min(per_read for _, per_read, _ in stretches) <= IDLE_PER_COMPARISON, stretches
    assert min(per_s for per_s, _, _ in stretches) <= 1 / (0.75 * RECONCILE_S) + 1 / IDLE_S, stretches
    assert min(pings for _, _, pings in stretches) <= PINGS_PER_S + 1 / IDLE_S, stretches
    assert max(per_s for per_s, _, _ in stretches) > 0, "it did compare"


def _idle(wire: Relay, client: hotconfig.HotConfig, news: redis.Redis) -> tuple[float, float, float]:
    """Round trips per second, round trips per read, and Redis's pings per second, in one stretch."""
    begun_s, trips, pings = monotonic(), wire.round_trips, calls(news, "ping")
    reads = client.status().counters["reads"]
    threading.Event().wait(IDLE_S)  # for nothing: that nothing happens is what is counted
    lasted_s = monotonic() - begun_s
    asked = wire.round_trips - trips
    return (
        asked / lasted_s,
        asked / max(1, client.status().counters["reads"] - reads),  # type: ignore[operator]
        (calls(news, "ping") - pings) / lasted_s,
    )


@pytest.mark.timeout(400)
def test_a_read_takes_the_instructions_of_a_plain_attribute(tmp_path: Path) -> None:
    counted = instructions(Path(__file__).parent / "programs" / "count_instructions.py", tmp_path, timeout_s=300)
    plain, live = counted["plain"] - counted["nothing"], counted["live"] - counted["nothing"]
    assert plain > 0
    assert live / plain <= READ, counted
