"""In a cluster: any node hears and tells everything, and a node that dies is left for another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotconfig.core.errors import ConfigurationError, RedisUnavailableError
from hotconfig.redis.connect import find_route
from hotconfig.redis.subscribe import RedisSubscription
from tests.support.redis_clients import pair
from tests.support.redis_servers import Cluster, RedisProcess, started
from tests.support.waiting import eventually


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of this test's own."""
    with started(Cluster(tmp_path / "cluster")) as cluster:
        yield cluster


def subscribers(node: RedisProcess) -> int:
    with node.client() as client:
        return len(client.client_list(_type="pubsub"))


def test_a_killed_node_is_left_for_another(migrated_url: str, cluster: Cluster) -> None:
    first, _, last = cluster.nodes
    with pair(migrated_url, cluster.url_for(nodes=[first]), cluster.url_for(nodes=[last])) as both:
        both.hears()
        first.kill()
        both.hears()
        first.start()
        last.kill()  # where the writer is
        both.hears()
        both.assert_nothing_invented()


def test_a_frozen_node_is_left_for_another(migrated_url: str, cluster: Cluster) -> None:
    first, _, last = cluster.nodes
    with pair(migrated_url, cluster.url_for(nodes=[first]), cluster.url_for(nodes=[last])) as both:
        both.hears()
        first.freeze()
        both.hears()
        first.thaw()
        both.hears()


def test_nodes_that_the_url_does_not_name_are_learnt_and_outlive_those_that_it_names(
    migrated_url: str, cluster: Cluster
) -> None:
    named = cluster.nodes[0]
    with pair(migrated_url, cluster.url_for(nodes=[named])) as both:
        both.hears()
        assert subscribers(named)
        named.kill()
        both.hears()
        assert any(map(subscribers, cluster.nodes[1:]))


def test_everything_is_heard_whatever_its_slot(migrated_url: str, cluster: Cluster) -> None:
    subscription = RedisSubscription.open(cluster.url, [], subscribe_all=True)
    heard: list[object] = []
    try:
        eventually(lambda: subscription.receive(10))
        for number, node in enumerate(cluster.nodes * 3):
            node.ask("PUBLISH", f"config:service{number}:key", "1")

        def hears_all() -> bool:
            heard.extend(subscription.receive(100))
            return len(heard) == 9

        eventually(hears_all)
    finally:
        subscription.close()


def test_no_node_at_all_is_worth_another_attempt(cluster: Cluster) -> None:
    cluster.stop()
    with pytest.raises(RedisUnavailableError, match="no node"):
        RedisSubscription.open(cluster.url, ["ai"])


def test_a_password_that_every_node_refuses_is_for_a_person_to_mend(cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match="password") as caught:
        RedisSubscription.open(cluster.url_for(":hush-hush"), ["ai"])
    assert "hush-hush" not in str(caught.value)


def test_a_cluster_has_no_other_database() -> None:
    with pytest.raises(ConfigurationError, match="database 0 only"):
        find_route("redis+cluster://a:1,b:2/1")
