"""``hotconfig doctor`` finds its way to Redis through Sentinels and into a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotconfig.cli.checks.news import check_news
from hotconfig.cli.checks.rounds import time_news
from tests.support.redis_servers import Cluster, Watched, started


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with started(Watched(tmp_path / "watched")) as watched:
        yield watched


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with started(Cluster(tmp_path / "cluster")) as cluster:
        yield cluster


def states(url: str) -> dict[str, str]:
    return {finding.check: finding.state for finding in (*check_news(url), *time_news(url))}


def test_sentinels_and_master_are_looked_at(watched: Watched) -> None:
    found = states(watched.url)
    assert set(found.values()) == {"ok"}
    assert {"Sentinels", "Redis", "subscribing", "publishing", "Redis round trip"} <= found.keys()
    watched.sentinels[1].kill()
    found = states(watched.url)
    assert (found["Sentinels"], found["Redis"], found["Redis round trip"]) == ("warning", "ok", "ok")


def test_a_sentinel_in_place_of_a_server_is_told_apart(watched: Watched) -> None:
    sentinel = watched.sentinels[0]
    url = f"redis://{sentinel.address}"
    (found,) = [finding for finding in check_news(url) if finding.check == "Redis"]
    assert (found.state, "redis+sentinel://" in found.advice) == ("problem", True)


def test_sharded_publish_is_tried_where_the_url_wants_it(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "writer", "on", ">x", "&config:*", "+publish", "+subscribe", "+psubscribe", "+ping")
        node.ask("ACL", "SETUSER", "writer", "+client", "+cluster|slots", "+ssubscribe")
    url = cluster.url_for("writer:x", query="sharded=yes")
    found = {finding.check: finding for finding in check_news(url)}
    assert (found["subscribing"].state, found["publishing"].state) == ("ok", "note")
    assert "+spublish" in found["publishing"].advice
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "writer", "+spublish")
    assert {finding.check: finding.state for finding in check_news(url)}["publishing"] == "ok"


def test_a_cluster_and_its_nodes_are_looked_at(cluster: Cluster) -> None:
    found = states(cluster.url)
    assert set(found.values()) == {"ok"}
    assert {"cluster", "Redis", "subscribing", "publishing", "Redis round trip"} <= found.keys()
    cluster.nodes[1].kill()
    found = states(cluster.url)
    assert (found["cluster"], found["Redis"], found["Redis round trip"]) == ("warning", "ok", "ok")
    for node in cluster.nodes:
        node.kill()
    found = states(cluster.url)
    assert (found["cluster"], found["Redis"], found["Redis round trip"]) == ("problem", "problem", "problem")
