"""What every subscription promises: at one server (Valkey, Redis, TLS, unix socket), behind Sentinels, in memory …"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hotconfig.core.errors import HotConfigError
from hotconfig.core.ports import Confirmed, Event, Message, Pong, Subscription
from hotconfig.core.resp import OVERSIZE
from hotconfig.embedded.valkey import _wheel_binary
from hotconfig.redis.subscribe import RedisSubscription
from hotconfig.testing.memory import MemoryChannel
from tests.support.redis_servers import QUOTED, Cluster, RedisProcess, Watched, started, write_certificates
from tests.support.waiting import eventually

PLACES = ["valkey", "redis", "tls", "unix", "sentinel", "sentinel-tls", "cluster", "cluster-tls", "memory"]


@dataclass(frozen=True)
class Place:
    """A URL to subscribe at, another server of the same place to publish at, and all of its servers."""

    url: str
    publisher: RedisProcess
    servers: tuple[RedisProcess, ...]

    def open(self, services: list[str], *, subscribe_all: bool = False) -> Subscription:
        return RedisSubscription.open(self.url, services, subscribe_all=subscribe_all)

    def publish(self, channel: str, data: bytes) -> None:
        with self.publisher.client() as client:
            client.publish(channel, data)

    def cut(self) -> None:
        for server in self.servers:
            server.ask("CLIENT", "KILL", "TYPE", "pubsub")


class MemoryPlace:
    """The same in memory."""

    def __init__(self) -> None:
        self.channel = MemoryChannel()

    def open(self, services: list[str], *, subscribe_all: bool = False) -> Subscription:
        return self.channel.open(services, subscribe_all=subscribe_all)

    def publish(self, channel: str, data: bytes) -> None:
        self.channel.publish(channel, data)

    def cut(self) -> None:
        self.channel.cut()


AnyPlace = Place | MemoryPlace


class Ear:
    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.heard: list[Event] = []

    def hears(self, event: Event) -> bool:
        self.heard += self.subscription.receive(1000)
        return event in self.heard


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyPlace]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    directory = tmp_path_factory.mktemp(request.param)
    kind, _, secure = str(request.param).rpartition("-") if "-" in request.param else (request.param, "", "")
    tls = directory if "tls" in (kind, secure) else None
    if tls is not None:
        write_certificates(tls, "127.0.0.1")
    match kind:
        case "sentinel":
            with started(Watched(directory / "all", tls=tls)) as watched:
                yield Place(watched.url, watched.master, tuple(watched.servers))
        case "cluster":
            with started(Cluster(directory / "all", tls=tls)) as cluster:
                # Subscribed at one of two nodes, published at the third: it goes over the cluster's bus.
                yield Place(cluster.url_for(nodes=cluster.nodes[1:]), cluster.nodes[0], tuple(cluster.nodes))
        case _:
            yield from _single(kind, directory, tls)


def _single(kind: str, directory: Path, tls: Path | None) -> Iterator[Place]:
    lines = [f"unixsocket {directory / 'socket'}"] if kind == "unix" else []
    binary = _wheel_binary() if kind == "valkey" else None
    with RedisProcess(directory / "server", lines, binary=binary, tls=tls) as server:
        url = f"unix://:{QUOTED}@{directory / 'socket'}" if kind == "unix" else server.url
        yield Place(url, server, (server,))


@pytest.fixture
def ear(place: AnyPlace) -> Iterator[Ear]:
    subscription = place.open(["ai"])
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


def test_messages_come_as_they_were_sent(ear: Ear, place: AnyPlace) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    for data in (b"0.90", b"", b"\r\n$5\r\n", bytes(range(256))):
        place.publish("config:ai:threshold", data)
        eventually(partial(ear.hears, Message(b"config:ai:threshold", data)))


def test_a_flood_of_large_messages_is_taken_in_bounded_pieces(ear: Ear, place: AnyPlace) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    for number in range(30):  # below what Redis keeps for a slow subscriber
        place.publish("config:ai:threshold", b"%d" % number + b"x" * 900_000)
    largest, heard = 0, 0

    def hears_all() -> bool:
        nonlocal largest, heard
        events = ear.subscription.receive(1000)
        largest, heard = max(largest, len(events)), heard + len(events)
        return heard == 30

    eventually(hears_all)
    assert largest <= 6


def test_what_is_too_long_is_a_hint_and_what_follows_is_heard(ear: Ear, place: AnyPlace) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    place.publish("config:ai:threshold", b"x" * 3_000_000)
    place.publish("config:ai:threshold", b"0.90")
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


def test_a_closed_connection_is_an_error_of_ours(ear: Ear, place: AnyPlace) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    place.cut()

    def refused() -> bool:
        try:
            ear.subscription.receive(1)
        except HotConfigError:
            return True
        return False

    eventually(refused)


def test_everything_may_be_heard_at_once(place: AnyPlace) -> None:
    ear = Ear(place.open(["ai"], subscribe_all=True))
    try:
        eventually(lambda: ear.hears(Confirmed("config:*")))
        assert not ear.subscription.follow(["email"])
        place.publish("config:other:key", b"1")
        eventually(lambda: ear.hears(Message(b"config:other:key", b"1")))
    finally:
        ear.subscription.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_abandoned_copy_takes_nothing_from_the_original(ear: Ear, place: AnyPlace) -> None:
    eventually(lambda: ear.hears(Confirmed("config:ai:*")))
    child = os.fork()
    if child == 0:
        ear.subscription.abandon()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    place.publish("config:ai:threshold", b"0.90")
    eventually(lambda: ear.hears(Message(b"config:ai:threshold", b"0.90")))
