"""Users with the rights that ``docs/redis.md`` gives them get along; those with less are told what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotconfig.core.chain import Change
from hotconfig.core.errors import AccessDeniedError
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.redis.connect import find_route
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.redis.sharded import open_subscription
from hotconfig.redis.subscribe import RedisSubscription
from tests.support.fakes import KEYRING, MemoryTruth
from tests.support.redis_servers import MASTER, QUOTED, Cluster, RedisProcess, Watched, started
from tests.support.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"
RULES = dict(re.findall(r"^user (\S+) (on .*)$", PAGE.read_text(), re.MULTILINE))


def admit(server: RedisProcess, *users: str, more: str = "") -> None:
    """Make users as the page says."""
    for user in users:
        server.ask("ACL", "SETUSER", user, "reset", *RULES[user].split(), *more.split())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("acl") / "redis") as server:
        admit(server, "ai-service", "config-admin")
        yield server


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with started(Watched(tmp_path_factory.mktemp("acl") / "watched", sentinel_password="for-each-other")) as watched:
        for process in watched.servers:
            admit(process, "ai-service", "ai-service-ha", "config-admin", "config-admin-ha")
        for sentinel in watched.sentinels:
            admit(sentinel, "watcher")
        yield watched


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(Cluster(tmp_path_factory.mktemp("acl") / "cluster")) as cluster:
        for node in cluster.nodes:
            admit(node, "ai-service", "config-admin", more="+cluster|slots")
        yield cluster


def assert_they_get_along(reader_url: str, writer_url: str) -> None:
    """A reader subscribes, pings and hears what a writer announces."""
    announcer, subscription = RedisAnnouncer(writer_url), RedisSubscription.open(reader_url, ["ai"])
    heard: list[Event] = []

    def hears(event: Event) -> bool:
        heard.extend(subscription.receive(100))
        return event in heard

    try:
        eventually(lambda: hears(Confirmed("config:ai:*")))
        subscription.ping()
        eventually(lambda: hears(Pong()))
        announcer.announce(MemoryTruth().commit("ai", Change("threshold", "0.90")), KEYRING)
        eventually(lambda: hears(Message(b"config:ai:threshold", b"0.90")))
    finally:
        announcer.close()
        subscription.close()


def test_the_rights_on_the_page_are_enough_at_one_server(server: RedisProcess) -> None:
    assert_they_get_along(
        f"redis://ai-service:secret@{server.address}/0", f"redis://config-admin:secret@{server.address}/0"
    )


def test_the_rights_on_the_page_are_enough_behind_sentinels(watched: Watched) -> None:
    query = "sentinel_username=watcher&sentinel_password=secret"
    assert_they_get_along(
        watched.url_for("ai-service-ha:secret", query), watched.url_for("config-admin-ha:secret", query)
    )


def test_the_rights_on_the_page_are_enough_in_a_cluster(cluster: Cluster) -> None:
    assert_they_get_along(cluster.url_for("ai-service:secret"), cluster.url_for("config-admin:secret"))


def test_the_rights_on_the_page_are_enough_for_sharded_publish(cluster: Cluster) -> None:
    for node in cluster.nodes:
        admit(node, "ai-service", more="+cluster|slots +ssubscribe")
        admit(node, "config-admin", more="+cluster|slots +spublish")
    route = find_route(cluster.url_for("ai-service:secret", query="sharded=yes"))
    announcer = RedisAnnouncer(cluster.url_for("config-admin:secret", query="sharded=yes"))
    subscription = open_subscription(route, ["ai"], subscribe_all=False)
    heard: list[Event] = []

    def hears(channel: bytes) -> bool:
        heard.extend(subscription.receive(100))
        return any(isinstance(event, Message) and event.channel == channel for event in heard)

    try:
        eventually(lambda: subscription.receive(10))
        announcer.announce(MemoryTruth().commit("ai", Change("threshold", "0.90")), KEYRING)
        eventually(lambda: hears(b"config:ai:threshold"))
        assert hears(b"config:ai:@commits")
    finally:
        announcer.close()
        subscription.close()


def test_without_the_right_to_ask_for_nodes_those_of_the_url_are_known(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "ai-service", "-cluster|slots")
    try:
        assert_they_get_along(
            cluster.url_for("ai-service:secret", nodes=cluster.nodes[:1]), cluster.url_for("config-admin:secret")
        )
    finally:
        for node in cluster.nodes:
            admit(node, "ai-service", more="+cluster|slots")


def test_a_service_that_is_not_granted_is_refused_with_the_way_out(server: RedisProcess) -> None:
    url = f"redis://ai-service:secret@{server.address}/0"
    for services, everything in ((["email"], False), (["ai"], True)):
        subscription = RedisSubscription.open(url, services, subscribe_all=everything)
        with pytest.raises(AccessDeniedError, match=r"&config:<service>:\*") as caught:
            eventually(lambda subscription=subscription: subscription.receive(10))  # type: ignore[misc]
        assert "secret" not in str(caught.value)
        subscription.close()


def test_a_reader_may_not_announce(server: RedisProcess) -> None:
    announcer = RedisAnnouncer(f"redis://ai-service:secret@{server.address}/0")
    with pytest.raises(AccessDeniedError, match=r"\+publish"):
        announcer.announce(MemoryTruth().commit("ai", Change("threshold", "0.90")), KEYRING)
    announcer.close()


def test_behind_sentinels_the_role_has_to_be_told(watched: Watched) -> None:
    query = "sentinel_username=watcher&sentinel_password=secret"
    with pytest.raises(AccessDeniedError, match=r"\+role"):
        RedisSubscription.open(watched.url_for("ai-service:secret", query), ["ai"])


def test_no_url_of_any_kind_shows_its_passwords(watched: Watched, cluster: Cluster, server: RedisProcess) -> None:
    urls = (
        server.url,
        cluster.url,
        watched.url_for(query="sentinel_password=for-each-other"),
        f"redis+sentinel://{QUOTED}@[::1]:1,b/{MASTER}",
    )
    for url in urls:
        said = repr(find_route(url).url) + find_route(url).url.where
        assert not any(secret in said for secret in (QUOTED, "pass word", "for-each-other"))
