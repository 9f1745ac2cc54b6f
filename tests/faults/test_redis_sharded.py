"""In a cluster with ``sharded=yes``: signed change sets stay within a shard, and are heard wherever that is."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from hotconfig.core.chain import Change
from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.redis.connect import find_route
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.redis.sharded import ShardedSubscription
from tests.support.fakes import KEYRING, MemoryTruth
from tests.support.redis_clients import PATIENCE_S, pair
from tests.support.redis_servers import Cluster, RedisProcess, started
from tests.support.waiting import eventually

SHARDED = "sharded=yes"
COMMITS = b"config:ai:@commits"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of this test's own."""
    with started(Cluster(tmp_path / "cluster")) as cluster:
        yield cluster


def owner(cluster: Cluster, channel: bytes = COMMITS) -> RedisProcess:
    slot = key_slot(channel)
    return cluster.nodes[0 if slot <= 5460 else 1 if slot <= 10922 else 2]


def shard_subscribers(node: RedisProcess) -> int:
    answer: list[Any] = node.ask("PUBSUB", "SHARDNUMSUB", COMMITS.decode())
    return int(answer[1])


def test_changes_come_by_the_node_that_owns_the_slot_and_need_no_read(migrated_url: str, cluster: Cluster) -> None:
    with pair(migrated_url, cluster.url_for(query=SHARDED)) as both:
        both.hears()
        assert [shard_subscribers(node) for node in cluster.nodes if node is not owner(cluster)] == [0, 0]
        assert shard_subscribers(owner(cluster)) == 2, "the reader, and the writer's own"


def test_everything_may_be_heard_as_well(migrated_url: str, cluster: Cluster) -> None:
    bundle = ShardedSubscription.open(find_route(cluster.url_for(query=SHARDED)), [], subscribe_all=True)
    try:
        assert eventually(lambda: bundle.receive(10)) == [Confirmed("config:*")]
        cluster.nodes[1].ask("PUBLISH", "config:other:key", "1")
        assert eventually(lambda: bundle.receive(10)) == [Message(b"config:other:key", b"1")]
    finally:
        bundle.close()


def test_a_pong_means_that_every_node_answered(cluster: Cluster) -> None:
    services = ["ai", "email", "webhook", "api", "logging", "features", "s1", "s2"]
    assert len({owner(cluster, f"config:{name}:@commits".encode()).port for name in services}) == 3
    bundle = ShardedSubscription.open(find_route(cluster.url_for(query=SHARDED)), services, subscribe_all=False)
    heard: list[Event] = []

    def pongs() -> int:
        heard.extend(bundle.receive(1))
        return sum(isinstance(event, Pong) for event in heard)

    try:
        bundle.ping()
        eventually(lambda: pongs() == 1)
        cluster.nodes[2].freeze()
        bundle.ping()
        cluster.nodes[1].ask("PUBLISH", "config:s1:last", "1")
        before = len(heard)
        eventually(lambda: pongs() == 1 and len(heard) > before)
        cluster.nodes[2].thaw()
        eventually(lambda: pongs() == 2, PATIENCE_S)
    finally:
        bundle.close()


def test_a_service_of_a_further_node_asks_for_a_new_connection(cluster: Cluster) -> None:
    bundle = ShardedSubscription.open(find_route(cluster.url_for(query=SHARDED)), ["ai"], subscribe_all=False)
    names = [f"s{number}" for number in range(20)]
    near = next(name for name in names if owner(cluster, f"config:{name}:@commits".encode()) is owner(cluster))
    far = next(name for name in names if owner(cluster, f"config:{name}:@commits".encode()) is not owner(cluster))
    try:
        assert bundle.follow([near])
        with pytest.raises(RedisUnavailableError, match="further node"):
            bundle.follow([far])
    finally:
        bundle.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_abandoned_copy_takes_nothing_from_the_original(cluster: Cluster) -> None:
    bundle = ShardedSubscription.open(find_route(cluster.url_for(query=SHARDED)), ["ai", "email"], subscribe_all=False)
    try:
        eventually(lambda: bundle.receive(10))
        child = os.fork()
        if child == 0:
            bundle.abandon()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        owner(cluster).ask("SPUBLISH", COMMITS.decode(), "1")
        assert select.select([bundle.fileno()], [], [], PATIENCE_S)[0]
        eventually(lambda: Message(COMMITS, b"1") in bundle.receive(10))
    finally:
        bundle.close()


def move_slot(cluster: Cluster) -> RedisProcess:
    """Give the slot of ``ai`` to another node, and return that."""
    old = owner(cluster)
    new = next(node for node in cluster.nodes if node is not old)
    identity = new.ask("CLUSTER", "MYID").decode()
    for node in (new, old, *cluster.nodes):
        node.ask("CLUSTER", "SETSLOT", key_slot(COMMITS), "NODE", identity)
    return new


def test_a_slot_that_moves_is_followed(migrated_url: str, cluster: Cluster) -> None:
    with pair(migrated_url, cluster.url_for(query=SHARDED)) as both:
        both.hears()
        new = move_slot(cluster)
        eventually(lambda: shard_subscribers(new) == 2, PATIENCE_S)
        both.hears()


def test_the_first_announcement_after_a_slot_has_moved_is_made_at_its_new_owner(cluster: Cluster) -> None:
    announcer, truth = RedisAnnouncer(cluster.url_for(query=SHARDED)), MemoryTruth()
    announcer.announce(truth.commit("ai", Change("threshold", "0.1")), KEYRING)
    move_slot(cluster)
    bundle = ShardedSubscription.open(find_route(cluster.url_for(query=SHARDED)), ["ai"], subscribe_all=False)
    heard: list[Event] = []

    def hears_the_signed_form() -> bool:
        heard.extend(bundle.receive(100))
        return any(isinstance(event, Message) and event.channel == COMMITS for event in heard)

    try:
        eventually(lambda: Confirmed(COMMITS.decode()) in bundle.receive(1))
        announcer.announce(truth.commit("ai", Change("threshold", "0.2")), KEYRING)
        eventually(hears_the_signed_form)
    finally:
        bundle.close()
        announcer.close()


def test_while_the_owner_is_dead_nothing_is_announced_and_then_all_is_made_good(
    migrated_url: str, cluster: Cluster
) -> None:
    with pair(migrated_url, cluster.url_for(query=SHARDED)) as both:
        both.hears()
        dead = owner(cluster)
        dead.kill()
        eventually(both.is_away, PATIENCE_S)
        missed = both.write()
        assert not missed.announced
        dead.start()
        eventually(lambda: both.shows(missed), PATIENCE_S)
        both.hears()
