"""Many readers that all have a reason to look at PostgreSQL at once: one small query each, and not in step.

The readers are whole followers, threads and Redis connections included, in one process. They share eight connections to
PostgreSQL, where as many processes would have one each: what is counted and timed is the queries.
"""

from __future__ import annotations

import resource
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
import redis

from hotconfig import Timing
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Head
from hotconfig.core.followed import Followed
from hotconfig.core.ports import Answer
from hotconfig.postgres.truth import PostgresReader
from hotconfig.redis.subscribe import RedisSubscription
from hotconfig.runtime.follower import Follower
from tests.integration.settings import EmailSettings, write_by_hand
from tests.support.storm import Blower, change_sets, keyring, news
from tests.support.waiting import eventually

READERS = [100, pytest.param(1000, marks=pytest.mark.long)]
RECONCILE_S = 4.0


class Desk:
    """What all readers ask of PostgreSQL: who, when, and how much came back."""

    def __init__(self, database_url: str) -> None:
        self._readers = [(threading.Lock(), PostgresReader(database_url, schema="hotconfig")) for _ in range(8)]
        self.asked: list[tuple[int, float, int]] = []

    def load(self, who: int, asked: Mapping[str, Head]) -> Answer:
        lock, reader = self._readers[who % len(self._readers)]
        at_s = monotonic()
        with lock:
            answer = reader.load(asked)
        self.asked.append((who, at_s, sum(len(loaded.changes) for loaded in answer.loaded)))
        return answer

    def close(self) -> None:
        for _, reader in self._readers:
            reader.close()


class OneReader:
    """One reader's way to the desk."""

    def __init__(self, desk: Desk, who: int) -> None:
        self._desk = desk
        self._who = who

    def load(self, asked: Mapping[str, Head]) -> Answer:
        return self._desk.load(self._who, asked)

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        """Not asked here."""

    def close(self) -> None:
        """The desk closes."""

    def abandon(self) -> None:
        """No fork here."""


class Crowd:
    """Followers of one service."""

    def __init__(self, desk: Desk, redis_url: str, size: int, reconcile_s: float) -> None:
        self.desk = desk
        blueprint = Blueprint(EmailSettings)
        self.followed: list[Followed[Any]] = [Followed(blueprint) for _ in range(size)]
        self.followers = [
            Follower(
                OneReader(desk, who),
                lambda services: RedisSubscription.open(redis_url, services),
                None,
                lambda _: None,
                Timing(reconcile_s=reconcile_s),
            )
            for who in range(size)
        ]

    def start(self) -> None:
        lives = []
        for follower, followed in zip(self.followers, self.followed, strict=True):
            follower.start()
            lives.append(follower.follow(followed))
        for live in lives:
            live.result(120)
        eventually(lambda: all(follower.connected for follower in self.followers), 60)

    def settle(self, quiet_s: float = 1.0) -> None:
        """Wait until nobody has asked anything for so long."""
        began_s = monotonic()
        eventually(lambda: monotonic() - max([began_s, *(at_s for _, at_s, _ in self.desk.asked)]) > quiet_s, 60)

    def stop(self) -> None:
        for follower in self.followers:
            follower._stopping = True
            follower._inbox.wake()
        for follower in self.followers:
            assert follower.stop(30)

    def all_show(self, revision: int) -> bool:
        return all(one.shown is not None and one.shown.revision == revision for one in self.followed)


@contextmanager
def crowd(database_url: str, redis_url: str, size: int, reconcile_s: float) -> Generator[Crowd]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 8192:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    desk = Desk(database_url)
    made = Crowd(desk, redis_url, size, reconcile_s)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        desk.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", READERS)
def test_all_lose_redis_at_once_and_each_asks_once_for_what_it_missed(
    migrated_url: str, redis_url: str, size: int
) -> None:
    write_by_hand(migrated_url, "email", **{f"unknown_{number}": "x" * 100 for number in range(100)})
    with crowd(migrated_url, redis_url, size, 600) as readers:
        readers.settle()
        readers.desk.asked.clear()
        write_by_hand(migrated_url, "email", max_retries="8")
        began_s = monotonic()
        with redis.Redis.from_url(redis_url) as admin:
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: readers.all_show(2), 120)
        took_s = monotonic() - began_s
        asked = list(readers.desk.asked)
    each = Counter(who for who, _, _ in asked)
    first_s, last_s = min(at_s for _, at_s, _ in asked), max(at_s for _, at_s, _ in asked)
    within_s = last_s - first_s
    print(f"{size} readers: {len(asked)} queries within {within_s:.2f} s, all shown after {took_s:.2f} s")  # noqa: T201
    assert len(each) == size
    assert max(each.values()) <= 3  # a reconnection that was refused in the crush tries again
    assert len(asked) <= 1.5 * size
    assert max(rows for _, _, rows in asked) == 1  # what changed, not the hundred keys


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", READERS)
def test_one_announced_change_costs_no_query_at_all(migrated_url: str, redis_url: str, size: int) -> None:
    with crowd(migrated_url, redis_url, size, 600) as readers:
        readers.settle()
        readers.desk.asked.clear()
        write_by_hand(migrated_url, "email", max_retries="8")
        wind = Blower(redis_url)
        wind.blow(news(change_sets(migrated_url, "email"), keyring(migrated_url)))
        wind.close()
        eventually(lambda: readers.all_show(1), 60)
        # Where a thousand share one interpreter, some miss a pong, connect anew, and ask; that is no query per change.
        assert len(readers.desk.asked) <= size // 50 - 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", READERS)
def test_comparing_with_postgresql_goes_out_of_step(migrated_url: str, redis_url: str, size: int) -> None:
    with crowd(migrated_url, redis_url, size, RECONCILE_S) as readers:
        readers.desk.asked.clear()
        with redis.Redis.from_url(redis_url) as admin:  # from here on they are in step, as far as they can be
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: len({who for who, _, _ in readers.desk.asked}) == size, 60)
        readers.settle(0.2)  # they compare every few seconds: a slow machine may leave no longer pause between them
        readers.desk.asked.clear()
        eventually(lambda: len(readers.desk.asked) >= size, 60)
        asked = sorted(at_s for _, at_s, _ in readers.desk.asked[:size])
    slots = Counter(int((at_s - asked[0]) / 0.1) for at_s in asked)
    print(f"{size} readers: {size} queries in {len(slots)} slots of 0.1 s, at most {max(slots.values())} in one")  # noqa: T201
    assert asked[-1] - asked[0] > RECONCILE_S / 5  # they would be RECONCILE_S / 2 apart with a machine of our own
    assert max(slots.values()) < size / 2
