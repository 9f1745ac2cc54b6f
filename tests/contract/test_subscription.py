"""What every subscription promises, held by the one that hears from Redis: on Valkey, and through broken pieces."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest
from redis import Redis

from hotconfig.core.errors import HotConfigError
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.redis.subscribe import OVERSIZE, RedisSubscription
from tests.support.waiting import eventually


class Ear:
    def __init__(self, subscription: RedisSubscription) -> None:
        self.subscription = subscription
        self.heard: list[Event] = []

    def hears(self, event: Event) -> bool:
        self.heard += self.subscription.receive(1000)
        return event in self.heard


@pytest.fixture
def ear(redis_url: str) -> Iterator[Ear]:
    subscription = RedisSubscription.open(redis_url, ["ai"])
    yield Ear(subscription)
    subscription.close()


def test_a_subscription_is_confirmed_and_so_is_every_further_one(ear: Ear) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    assert ear.subscription.follow(["email"])
    eventually(lambda: ear.hears(Confirmed("config:email:*")))


def test_every_ping_is_answered(ear: Ear) -> None:
    for _ in range(3):
        ear.heard.clear()
        ear.subscription.ping()
        eventually(lambda: ear.hears(Pong()))


def test_messages_come_as_they_were_sent(ear: Ear, redis_url: str) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    with Redis.from_url(redis_url) as client:
        for data in (b"0.90", b"", b"\r\n$5\r\n", bytes(range(256))):
            assert client.publish("config:ai:threshold", data) == 1
            eventually(partial(ear.hears, Message(b"config:ai:threshold", data)))


def test_a_flood_of_large_messages_is_taken_in_bounded_pieces(ear: Ear, redis_url: str) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    with Redis.from_url(redis_url) as client:
        for number in range(30):  # below what Redis keeps for a slow subscriber
            client.publish("config:ai:threshold", b"%d" % number + b"x" * 900_000)
    largest, heard = 0, 0

    def hears_all() -> bool:
        nonlocal largest, heard
        events = ear.subscription.receive(1000)
        largest, heard = max(largest, len(events)), heard + len(events)
        return heard == 30

    eventually(hears_all)
    assert largest <= 6


def test_what_is_too_long_is_a_hint_and_what_follows_is_heard(ear: Ear, redis_url: str) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    with Redis.from_url(redis_url) as client:
        client.publish("config:ai:threshold", b"x" * 3_000_000)
        client.publish("config:ai:threshold", b"0.90")
    eventually(lambda: ear.hears(Message(b"config:ai:threshold", b"0.90")))
    assert Message(b"config:ai:threshold", OVERSIZE) in ear.heard


def test_receiving_never_blocks(ear: Ear) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    done = threading.Event()

    def receive() -> None:
        for _ in range(100):
            ear.subscription.receive(1000)
        done.set()

    threading.Thread(target=receive, daemon=True).start()
    assert done.wait(1.0)


def test_a_closed_connection_is_an_error_of_ours(ear: Ear, redis_url: str) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    with Redis.from_url(redis_url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def refused() -> bool:
        try:
            ear.subscription.receive(1)
        except HotConfigError:
            return True
        return False

    eventually(refused)
