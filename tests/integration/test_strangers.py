"""What others send over Redis, and what they can hear there: nothing that is forged counts, nothing secret is said."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator

import psycopg
import pytest
import redis

import hotconfig
from hotconfig import Timing
from hotconfig.core.chain import Change, ChangeSet, Head
from hotconfig.core.wire import encode
from tests.integration.settings import (
    BY,
    CANARY,
    AISettings,
    ClientFactory,
    Recorder,
    VaultSettings,
    publish,
    query,
    write_by_hand,
)
from tests.support.waiting import Eventually

COMMITS = "config:ai:@commits"
RECONCILE_NEVER = Timing(reconcile_s=600, poll_s=600)


@pytest.fixture
def quiet(start_client: ClientFactory) -> hotconfig.HotConfig:
    """A client that reads PostgreSQL for no other reason than what it hears."""
    return start_client(timing=RECONCILE_NEVER)


class Tap:
    """Everything that the Redis server is told, by ``MONITOR``."""

    def __init__(self, redis_url: str) -> None:
        self._client = redis.Redis.from_url(redis_url)
        self._monitor = self._client.monitor()  # type: ignore[no-untyped-call]
        self._monitor.__enter__()
        self.heard: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for command in self._monitor.listen():
            self.heard.append(str(command["command"]))
            if command["command"] == "ECHO the-end":
                return

    def stop(self) -> str:
        with redis.Redis.from_url(str(self._url)) as client:
            client.echo("the-end")
        self._thread.join(10)
        return "\n".join(self.heard)

    @property
    def _url(self) -> str:
        settings = self._client.get_connection_kwargs()
        return f"redis://:{settings['password']}@{settings['host']}:{settings['port']}/0"

    def close(self) -> None:
        self._monitor.__exit__(None, None, None)
        self._client.close()


@pytest.fixture
def tap(redis_url: str) -> Generator[Tap]:
    listening = Tap(redis_url)
    yield listening
    listening.close()


def forged(revision: int = 1) -> bytes:
    """A change set that looks like the next one and is signed with a key of the forger's own."""
    from hotconfig.core.chain import genesis

    changes = (Change("threshold", "0.01"),)
    head = Head(revision, b"\1" * 32)
    parent = genesis("ai") if revision == 1 else Head(revision - 1, b"\2" * 32)
    news = ChangeSet("ai", parent, head, changes, "2026-01-01T00:00:00.000000Z", "mallory", None, {})
    return encode(news, {1: b"\3" * 32})


def test_a_forged_change_set_changes_nothing_and_is_told_to_nobody(
    quiet: hotconfig.HotConfig, redis_url: str, eventually: Eventually
) -> None:
    ai = quiet.bind(AISettings)
    told = Recorder[AISettings]()
    quiet.on_change(ai, told)
    hints = int(str(quiet.status().counters["hints"]))
    for revision in (1, 2, 50):
        publish(redis_url, COMMITS, forged(revision))
    eventually(lambda: int(str(quiet.status().counters["hints"])) == hints + 3)
    quiet.wait_for(quiet.store.set(ai, threshold=0.9, by=BY))
    assert [change.new.threshold for change in told.wait(1)] == [0.9]
    standing = quiet.status().services["ai"]
    assert (standing.revision, standing.shown_revision) == (1, 1)


def test_a_replay_of_what_was_said_before_changes_nothing(
    quiet: hotconfig.HotConfig, redis_url: str, eventually: Eventually
) -> None:
    ai = quiet.bind(AISettings)
    with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as recording:
        recording.psubscribe("config:*")
        eventually(lambda: client.pubsub_numpat() >= 2)
        for threshold in (0.8, 0.85, 0.9):
            quiet.wait_for(quiet.store.set(ai, threshold=threshold, by=BY))
        tape = [eventually(lambda: recording.get_message(timeout=1)) for _ in range(6)]
        told = Recorder[AISettings]()
        quiet.on_change(ai, told)
        for message in tape * 3:
            client.publish(message["channel"], message["data"])
        quiet.wait_for(quiet.store.set(ai, model="the end", by=BY))
    assert [change.keys for change in told.wait(1)] == [{"model"}]
    assert ai.threshold == 0.9


def test_a_flood_of_hints_costs_a_bounded_number_of_reads(
    quiet: hotconfig.HotConfig, redis_url: str, eventually: Eventually
) -> None:
    ai = quiet.bind(AISettings)
    told = Recorder[AISettings]()
    quiet.on_change(ai, told)
    before = quiet.status().counters
    with redis.Redis.from_url(redis_url) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(1000):
            pipeline.publish("config:ai:threshold", f"0.{number}")
            pipeline.publish(COMMITS, forged(number + 1))
        pipeline.execute()
    eventually(lambda: int(str(quiet.status().counters["messages"])) >= int(str(before["messages"])) + 2000, 20)
    reads = int(str(quiet.status().counters["reads"])) - int(str(before["reads"]))
    assert 1 <= reads <= 60
    quiet.wait_for(quiet.store.set(ai, threshold=0.9, by=BY))
    assert [change.revision for change in told.wait(1)] == [1]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"\xff\xfe\x00", b"hotconfig1", b"hotconfig1 1 00 {}", b"[" * 100_000, b"x" * 2_000_000, b"NaN"],
    ids=["empty", "nul", "not-utf-8", "tag-alone", "short", "deep", "two-megabytes", "nan"],
)
def test_poison_on_any_channel_leaves_the_line_alive(quiet: hotconfig.HotConfig, redis_url: str, data: bytes) -> None:
    ai = quiet.bind(AISettings)
    for channel in (COMMITS, "config:ai:threshold", "config:ai:", "config:ai:a:b", "config:ai:\n", "config:ai:*"):
        publish(redis_url, channel, data)
    quiet.wait_for(quiet.store.set(ai, threshold=0.9, by=BY))
    assert ai.threshold == 0.9
    assert quiet.status().counters["line_errors"] == 0


def test_a_sensitive_value_is_heard_neither_in_redis_nor_in_logs(
    start_client: ClientFactory, migrated_url: str, tap: Tap, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reader, writer = start_client(timing=RECONCILE_NEVER), start_client()
    vault = reader.bind(VaultSettings)
    told = Recorder[VaultSettings]()
    reader.on_change(vault, told)
    reader.wait_for(writer.store.set(writer.bind(VaultSettings), token_hint=CANARY, region="us", by=BY))
    assert (vault.token_hint, vault.region) == (CANARY, "us")
    (change,) = told.wait(1)
    heard = tap.stop()
    assert "config:vault:token_hint" in heard
    assert "us" in heard
    for said in (heard, caplog.text, repr(change), str(reader.status())):
        assert CANARY not in said
    assert query(migrated_url, "SELECT sensitive FROM hotconfig.config_history ORDER BY key") == [(False,), (True,)]


def test_an_invalid_sensitive_value_is_not_quoted(
    start_client: ClientFactory, migrated_url: str, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    caplog.set_level(logging.DEBUG)
    client = start_client(redis=None, timing=Timing(poll_s=0.05))
    ai = client.bind(AISettings)
    write_by_hand(migrated_url, "ai", threshold=CANARY)
    problems = eventually(lambda: client.status().services["ai"].problems)
    with pytest.raises(hotconfig.InvalidValueError) as caught:
        client.store.set(ai, threshold=CANARY + "again", by=BY)
    for said in (str(problems), caplog.text, str(caught.value), str(caught.value.problems), str(client.status())):
        assert CANARY not in said


def test_secrets_are_refused_with_a_word_on_where_they_belong(
    client: hotconfig.HotConfig, migrated_url: str, tap: Tap
) -> None:
    vault = client.bind(VaultSettings)
    for value in (CANARY, VaultSettings(password=CANARY).password):
        with pytest.raises(hotconfig.SecretValueError, match="password") as caught:
            client.store.set(vault, password=value, by=BY)
        assert CANARY not in str(caught.value)
    assert CANARY not in tap.stop()
    assert query(migrated_url, "SELECT count(*) FROM hotconfig.config_history") == [(0,)]


def test_a_secret_written_by_hand_is_not_taken(
    client: hotconfig.HotConfig, migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    write_by_hand(migrated_url, "vault", password=CANARY)
    with pytest.raises(hotconfig.InvalidStateError, match="password") as caught:
        client.bind(VaultSettings)
    assert CANARY not in str(caught.value)
    assert CANARY not in caplog.text


def test_whoever_cannot_read_the_signing_keys_cannot_follow(migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        found = connection.execute("SELECT count(*), min(octet_length(secret)) FROM hotconfig.signing_keys").fetchone()
        assert found == (1, 32)
        connection.execute("CREATE ROLE stranger")
        try:
            denied = "SELECT has_table_privilege('stranger', 'hotconfig.signing_keys', 'SELECT')"
            assert connection.execute(denied).fetchone() == (False,)
        finally:
            connection.rollback()
