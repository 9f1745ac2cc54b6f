"""Storms: more changes, forgeries and readers at once than anybody should send. What is promised of them holds."""

from __future__ import annotations

import gc
import logging
import secrets
import time
from collections.abc import Generator

import psutil
import pytest
import redis

import hotconfig
from hotconfig import Timing
from hotconfig.core.chain import Change, ChangeSet, Head
from hotconfig.core.schedule import HINTED_READS_BURST, IDLE_READS_PER_S
from hotconfig.core.wire import encode
from tests.integration.settings import BY, AISettings, ClientFactory, EmailSettings, Recorder
from tests.support.storm import Blower, Messages, change_sets, commit_many, keyring, news
from tests.support.waiting import Eventually

QUIET = Timing(reconcile_s=600, poll_s=600)
COMMITS = 10_000
FORGED = 20_000


@pytest.fixture(autouse=True)
def _no_words_on_every_commit(caplog: pytest.LogCaptureFixture) -> None:
    """pytest keeps every record; ten thousand of them are not what is measured here."""
    caplog.set_level(logging.WARNING, logger="hotconfig.follower")


@pytest.fixture
def blower(redis_url: str) -> Generator[Blower]:
    one = Blower(redis_url)
    yield one
    one.close()


def count(client: hotconfig.HotConfig, name: str) -> int:
    return int(str(client.status().counters[name]))


def rss() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def test_ten_thousand_changes_at_once_converge_and_are_taken_together(
    start_client: ClientFactory, migrated_url: str, blower: Blower, eventually: Eventually
) -> None:
    client = start_client(timing=QUIET)
    email, ai = client.bind(EmailSettings), client.bind(AISettings)
    told = Recorder[EmailSettings]()
    client.on_change(email, told)
    committed_per_s = commit_many(migrated_url, "email", "max_retries", COMMITS)
    storm = news(change_sets(migrated_url, "email"), keyring(migrated_url))
    before, builds = rss(), count(client, "reads")
    published_per_s = blower.blow(storm)
    eventually(lambda: client.status().services["email"].shown_revision == COMMITS + 1, 60)
    print(f"{committed_per_s:,.0f} commits/s, {published_per_s:,.0f} messages/s, {len(told.changes):,} calls")  # noqa: T201
    assert email.max_retries == COMMITS
    assert ai == AISettings()
    # Every change that was shown was told once, in order, and most were taken together.
    eventually(lambda: told.changes[-1].new.max_retries == COMMITS, 20)
    revisions = [change.revision for change in told.changes]
    assert revisions == sorted(set(revisions))
    assert [change.old for change in told.changes[1:]] == [change.new for change in told.changes[:-1]]
    assert len(told.changes) < COMMITS / 2
    assert count(client, "reads") - builds <= 5
    assert client.status().listener_dropped == 0
    assert rss() - before < 64 * 1024 * 1024


def test_of_ten_thousand_changes_that_nobody_announced_one_read_brings_the_last(
    start_client: ClientFactory, migrated_url: str, redis_url: str, eventually: Eventually
) -> None:
    client = start_client(timing=QUIET)
    email = client.bind(EmailSettings)
    told = Recorder[EmailSettings]()
    client.on_change(email, told)
    reads = count(client, "reads")
    commit_many(migrated_url, "email", "max_retries", COMMITS)
    with redis.Redis.from_url(redis_url) as other:
        other.publish("config:email:max_retries", str(COMMITS))
    eventually(lambda: email.max_retries == COMMITS, 20)
    assert [change.revision for change in told.wait(1)] == [COMMITS + 1]
    assert count(client, "reads") == reads + 1


def forgeries(number: int) -> Messages:
    """Change sets that nobody signed, plain values that nobody wrote, and noise."""
    made: Messages = []
    for revision in range(1, number // 4 + 1):
        head = Head(revision, secrets.token_bytes(32))
        parent = Head(revision - 1, secrets.token_bytes(32))
        changes = (Change("threshold", "0.01"),)
        forged = ChangeSet("ai", parent, head, changes, "2026-01-01T00:00:00.000000Z", "mallory")
        made += [
            ("config:ai:@commits", encode(forged, {1: b"\3" * 32})),
            ("config:ai:threshold", b"0.%d" % revision),
            ("config:ai:model", secrets.token_bytes(20)),
            ("config:ai:@commits", secrets.token_bytes(200)),
        ]
    return made


def test_a_flood_of_forgeries_changes_nothing_and_costs_a_rationed_number_of_reads(
    start_client: ClientFactory, blower: Blower, eventually: Eventually
) -> None:
    client, other = start_client(timing=QUIET), start_client(timing=QUIET)
    ai = client.bind(AISettings)
    others = other.bind(AISettings)
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    flood = forgeries(FORGED)
    heard, reads, began_s = count(client, "messages"), count(client, "reads"), time.monotonic()
    per_s = blower.blow(flood, per_s=10_000)
    eventually(lambda: count(client, "messages") - heard >= len(flood), 60)
    took_s = time.monotonic() - began_s
    spent = count(client, "reads") - reads
    print(f"{per_s:,.0f} forged messages/s for {took_s:.1f} s: {spent} reads")  # noqa: T201
    assert told.changes == []
    assert ai == AISettings()
    assert client.status().services["ai"].revision == 0
    # The ration halves with every read in vain; it is used up by then.
    assert 1 <= spent <= HINTED_READS_BURST + IDLE_READS_PER_S * took_s + 3
    assert count(client, "line_errors") == 0
    # And what is true still comes through.
    client.wait_for(other.store.set(others, threshold=0.9, by=BY), 10)
    assert [change.new.threshold for change in told.wait(1)] == [0.9]


def test_a_true_change_comes_through_in_the_middle_of_a_flood(
    start_client: ClientFactory, redis_url: str, blower: Blower
) -> None:
    client, other = start_client(timing=QUIET), start_client(timing=QUIET)
    client.bind(AISettings)
    others = other.bind(AISettings)
    flood = forgeries(2_000)
    for number in range(5):
        blower.blow(flood)
        client.wait_for(other.store.set(others, threshold=number / 10, by=BY), 10)
        blower.blow(flood)
    assert client.status().services["ai"].shown_revision == 5


def test_a_recording_of_all_old_traffic_is_told_to_nobody(
    start_client: ClientFactory, migrated_url: str, blower: Blower, eventually: Eventually
) -> None:
    client = start_client(timing=QUIET)
    email = client.bind(EmailSettings)
    commit_many(migrated_url, "email", "max_retries", 2_000)
    recording = news(change_sets(migrated_url, "email"), keyring(migrated_url))
    blower.blow(recording)
    eventually(lambda: client.status().services["email"].shown_revision == 2_001, 30)
    told = Recorder[EmailSettings]()
    client.on_change(email, told)
    heard, reads, began_s = count(client, "messages"), count(client, "reads"), time.monotonic()
    for tape in (recording, recording[::-1], recording[::2] * 2):
        blower.blow(tape)
    eventually(lambda: count(client, "messages") - heard >= 3 * len(recording), 60)
    assert told.changes == []
    assert email.max_retries == 2_000
    assert client.status().services["email"].revision == 2_001
    assert count(client, "rewinds") == 0
    took_s = time.monotonic() - began_s
    assert count(client, "reads") - reads <= HINTED_READS_BURST + IDLE_READS_PER_S * took_s + 3


def test_a_late_message_does_not_bring_back_what_was_deleted_or_made_anew(
    start_client: ClientFactory, migrated_url: str, blower: Blower
) -> None:
    client = start_client(timing=QUIET)
    email = client.bind(EmailSettings)
    for value in (5, 7):
        client.wait_for(client.store.set(email, max_retries=value, by=BY))
        client.wait_for(client.store.delete(email, "max_retries", by=BY))
    made = change_sets(migrated_url, "email")
    told = Recorder[EmailSettings]()
    client.on_change(email, told)
    blower.blow(news(made[:1], keyring(migrated_url)) * 50)
    client.wait_for(client.store.set(email, timeout_seconds=9, by=BY))
    assert [change.keys for change in told.wait(1)] == [{"timeout_seconds"}]
    assert email.max_retries == EmailSettings().max_retries


@pytest.mark.parametrize("size", [200_000, 900_000, 64_000_000], ids=["200 kB", "900 kB", "64 MB"])
def test_large_forgeries_take_a_bounded_piece_of_memory(
    start_client: ClientFactory, redis_url: str, eventually: Eventually, size: int
) -> None:
    client = start_client(timing=QUIET)
    ai = client.bind(AISettings)
    filler = b"x" * size
    before = peak = rss()
    with redis.Redis.from_url(redis_url, socket_timeout=30) as other:
        for _ in range(max(1, 150_000_000 // size)):
            other.publish("config:ai:threshold", filler)
            peak = max(peak, psutil.Process().memory_info().rss)
    print(f"peak {(peak - before) / 1e6:.0f} MB above")  # noqa: T201
    eventually(lambda: client.status().redis == "connected", 20)
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY), 20)
    assert count(client, "line_errors") == 0
    assert peak - before < 64_000_000 + 2 * size
