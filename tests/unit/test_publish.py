"""The announcer on a Redis in memory: what goes out, in which order, and that a dead connection is not used again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import fakeredis
import pytest

from hotconfig.core.chain import Change
from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.wire import decode
from hotconfig.redis import publish
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.redis.route import SingleRoute
from hotconfig.redis.url import Address, parse_redis_url
from tests.support.fakes import KEYRING, MemoryTruth


class FakeRoute(SingleRoute):
    """Leads to a server in memory."""

    def __init__(self, url: str, server: fakeredis.FakeServer) -> None:
        super().__init__(parse_redis_url(url))
        self._client: Any = fakeredis.FakeRedis(server=server, protocol=2)

    def connect(self, client_name: str, shard: Address | None = None) -> Any:  # noqa: ARG002 - as the port has it
        connection = self._client.connection_pool.make_connection()
        connection.connect()
        return connection


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> fakeredis.FakeServer:
    server = fakeredis.FakeServer()

    monkeypatch.setattr(publish, "find_route", lambda url: FakeRoute(url, server))
    return server


@pytest.fixture
def announcer(server: fakeredis.FakeServer) -> Iterator[RedisAnnouncer]:
    announcer = RedisAnnouncer("redis://nowhere")
    yield announcer
    announcer.close()


def test_the_signed_change_set_goes_first_and_the_plain_texts_follow(
    server: fakeredis.FakeServer, announcer: RedisAnnouncer
) -> None:
    ear: Any = cast("Any", fakeredis.FakeRedis(server=server)).pubsub()
    ear.psubscribe("config:ai:*")
    assert ear.get_message(timeout=1)["type"] == "psubscribe"
    change_set = MemoryTruth().commit("ai", Change("threshold", "0.90"), Change("model", "gpt-4o"))
    announcer.announce(change_set, KEYRING)
    heard = [ear.get_message(timeout=1) for _ in range(3)]
    assert decode(heard[0]["channel"], heard[0]["data"], KEYRING) == change_set
    assert [(message["channel"], message["data"]) for message in heard[1:]] == [
        (b"config:ai:threshold", b"0.90"),
        (b"config:ai:model", b"gpt-4o"),
    ]
    ear.close()


def test_a_server_that_is_away_is_said_and_the_next_announcement_works(
    server: fakeredis.FakeServer, announcer: RedisAnnouncer
) -> None:
    truth = MemoryTruth()
    announcer.announce(truth.commit("ai", Change("threshold", "0.1")), KEYRING)
    server.connected = False
    with pytest.raises(RedisUnavailableError):
        announcer.announce(truth.commit("ai", Change("threshold", "0.2")), KEYRING)
    server.connected = True
    announcer.announce(truth.commit("ai", Change("threshold", "0.3")), KEYRING)
