"""Servers that are not there, go away, freeze and come back: values stay, the state says so, changes arrive."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator

import pytest

import hotconfig
from hotconfig import State, Timing
from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.integration.settings import BY, AISettings, ClientFactory, Recorder, write_by_hand
from tests.support.servers import freeze, thaw
from tests.support.waiting import Eventually

QUICK = Timing(poll_s=0.1)
NEVER_POLL = Timing(poll_s=600, reconcile_s=600)


@pytest.fixture
def silent_redis() -> Generator[str]:
    """The URL of a port at which nobody listens, kept from being taken."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{bound.getsockname()[1]}/0"


# Redis -------------------------------------------------------------------------------------------------------


def test_redis_that_is_not_there_degrades_and_does_not_prevent(
    start_client: ClientFactory, silent_redis: str, migrated_url: str, eventually: Eventually
) -> None:
    client = start_client(redis=silent_redis, timing=QUICK)
    ai = client.bind(AISettings)
    eventually(lambda: client.status().state is State.DEGRADED)
    status = client.status()
    assert status.redis == "away"
    assert status.last_error is not None
    assert "Redis" in status.last_error
    commit = client.store.set(ai, threshold=0.9, by=BY)
    assert (commit.changed, commit.announced) == (True, False)
    client.wait_for(commit)
    write_by_hand(migrated_url, "ai", threshold="0.5")
    eventually(lambda: ai.threshold == 0.5)


def test_redis_that_comes_up_later_is_taken_up(
    start_client: ClientFactory, own_valkey: EmbeddedValkey, eventually: Eventually
) -> None:
    freeze(own_valkey)
    try:
        client = start_client(redis=own_valkey.url, timing=QUICK)
        ai = client.bind(AISettings)
        eventually(lambda: client.status().state is State.DEGRADED, 2.5)
    finally:
        thaw(own_valkey)
    eventually(lambda: client.status().state is State.READY, 10)
    assert client.status().redis == "connected"
    commit = client.store.set(ai, threshold=0.9, by=BY)
    assert commit.announced
    client.wait_for(commit)


def test_changes_keep_coming_while_redis_is_dead_and_after_it_is_back(
    start_client: ClientFactory, own_valkey: EmbeddedValkey, migrated_url: str, eventually: Eventually
) -> None:
    client = start_client(redis=own_valkey.url, timing=QUICK)
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.8, by=BY))
    told = Recorder[AISettings]()
    client.on_change(ai, told)

    own_valkey.kill()
    eventually(lambda: client.status().state is State.DEGRADED)
    assert ai.threshold == 0.8
    write_by_hand(migrated_url, "ai", threshold="0.85")
    eventually(lambda: ai.threshold == 0.85)

    own_valkey.restart()
    eventually(lambda: client.status().state is State.READY, 10)
    commit = client.store.set(ai, threshold=0.9, by=BY)
    assert commit.announced
    client.wait_for(commit)
    assert [change.new.threshold for change in told.wait(2)] == [0.85, 0.9]


def test_once_resubscribed_the_news_arrive_by_redis_again(
    start_client: ClientFactory, own_valkey: EmbeddedValkey, eventually: Eventually
) -> None:
    client = start_client(redis=own_valkey.url, timing=NEVER_POLL, listen=False)
    writer = start_client(redis=own_valkey.url)
    ai, writers = client.bind(AISettings), writer.bind(AISettings)
    own_valkey.kill()
    eventually(lambda: client.status().state is State.DEGRADED)
    missed = writer.store.set(writers, threshold=0.8, by=BY)
    assert not missed.announced
    own_valkey.restart()
    client.wait_for(missed, 10)  # resubscribing reads: nobody polls or listens here
    eventually(lambda: client.status().state is State.READY)
    reads = client.status().counters["reads"]
    client.wait_for(writer.store.set(writers, threshold=0.9, by=BY))
    assert client.status().counters["reads"] == reads
    assert ai.threshold == 0.9


def test_a_frozen_redis_is_noticed_within_two_seconds(
    start_client: ClientFactory, own_valkey: EmbeddedValkey, migrated_url: str, eventually: Eventually
) -> None:
    client = start_client(redis=own_valkey.url, timing=QUICK)
    ai = client.bind(AISettings)
    eventually(lambda: client.status().state is State.READY)
    freeze(own_valkey)
    try:
        eventually(lambda: client.status().state is State.DEGRADED, 2.0)
        write_by_hand(migrated_url, "ai", threshold="0.9")
        eventually(lambda: ai.threshold == 0.9)
        begun_s = time.monotonic()
        commit = client.store.set(ai, threshold=0.8, by=BY)
        assert (commit.changed, commit.announced) == (True, False)
        assert time.monotonic() - begun_s < 3.0
    finally:
        thaw(own_valkey)
    eventually(lambda: client.status().state is State.READY, 10)


@pytest.mark.parametrize("redis", [None, "away"])
def test_without_redis_postgresql_itself_tells(
    start_client: ClientFactory, silent_redis: str, migrated_url: str, redis: str | None, eventually: Eventually
) -> None:
    client = start_client(redis=redis and silent_redis, timing=NEVER_POLL)
    ai = client.bind(AISettings)
    for threshold in (0.8, 0.9):  # the first may come before LISTEN stands, and is read when it does
        write_by_hand(migrated_url, "ai", threshold=str(threshold))
        eventually(lambda threshold=threshold: ai.threshold == threshold)  # type: ignore[misc]


# PostgreSQL --------------------------------------------------------------------------------------------------


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres) -> str:
    from hotconfig.postgres.migrate import migrate

    migrate(own_postgres.url)
    return own_postgres.url


def test_values_stay_and_writes_fail_typed_and_soon_while_postgresql_is_stopped(
    start_client: ClientFactory, own_postgres: EmbeddedPostgres, own_database: str, eventually: Eventually
) -> None:
    client = start_client(own_database, timing=Timing(poll_s=0.1, reconcile_s=0.1, stale_after_s=0.5))
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))

    own_postgres.kill()
    begun_s = time.monotonic()
    with pytest.raises(hotconfig.RetryableError, match=r"'ai'|PostgreSQL") as caught:
        client.store.set(ai, threshold=0.8, by=BY)
    assert time.monotonic() - begun_s < 11.0
    assert isinstance(caught.value, hotconfig.DatabaseUnavailableError | hotconfig.OutcomeUnknownError)
    eventually(lambda: client.status().state is State.STALE)
    assert ai.threshold == 0.9

    own_postgres.restart()
    eventually(lambda: client.status().state is State.READY, 15)
    client.wait_for(client.store.set(ai, threshold=0.8, by=BY))
    assert ai.threshold == 0.8


def test_a_frozen_postgresql_blocks_no_reader_and_no_write_for_long(
    start_client: ClientFactory, own_postgres: EmbeddedPostgres, own_database: str
) -> None:
    client = start_client(own_database, timing=Timing(poll_s=0.1, reconcile_s=0.1))
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    freeze(own_postgres)
    try:
        begun_s = time.monotonic()
        with pytest.raises(hotconfig.OutcomeUnknownError, match=r"'ai'.*config_history for commit_id"):
            client.store.set(ai, threshold=0.8, by=BY)
        assert time.monotonic() - begun_s < 16.0
        assert ai.threshold == 0.9
    finally:
        thaw(own_postgres)


def test_starting_without_postgresql_fails_typed_and_in_time(migrated_url: str, silent_redis: str) -> None:
    nobody = silent_redis.replace("redis://", "postgresql://hotconfig:hidden-password@").replace("/0", "/hotconfig")
    client = hotconfig.HotConfig(nobody)
    begun_s = time.monotonic()
    with pytest.raises(hotconfig.DatabaseUnavailableError) as caught:
        client.start(timeout=1.0)
    assert time.monotonic() - begun_s < 3.0
    assert "127.0.0.1" in str(caught.value)
    assert "hidden-password" not in str(caught.value)
    client.close()


def test_a_quiet_redis_stays_connected(migrated_url: str, redis_url: str) -> None:
    with hotconfig.HotConfig(migrated_url, redis_url) as client:
        client.bind(AISettings)
        assert not threading.Event().wait(2.5), "four pings, with nothing else to hear"
        status = client.status()
        assert (status.redis, status.counters["connections"], status.counters["connection_failures"]) == (
            "connected",
            1,
            0,
        )
