"""Behind Sentinels: readers and writers end at the master that is one, whatever becomes of the one that was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotconfig.core.chain import Change
from hotconfig.core.errors import (
    AccessDeniedError,
    ConfigurationError,
    HotConfigError,
    RedisUnavailableError,
)
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.redis import publish
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.redis.subscribe import RedisSubscription
from tests.support.fakes import KEYRING, MemoryTruth
from tests.support.redis_clients import PATIENCE_S, pair
from tests.support.redis_servers import HOST, MASTER, QUOTED, RedisProcess, Watched, started
from tests.support.waiting import eventually

SENTINEL_PASSWORD = "sentinel-secret"
ROLES_S = 90.0
"""For Sentinels to agree on a master: one that a busy machine held up for 2 s does nothing at all for 30 s (TILT)."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A master, a replica and three Sentinels of this test's own."""
    with started(Watched(tmp_path / "watched")) as watched:
        yield watched


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The same with Sentinels that ask for a password, for tests that only look."""
    directory = tmp_path_factory.mktemp("guarded")
    with started(Watched(directory / "watched", sentinel_password=SENTINEL_PASSWORD)) as watched:
        yield watched


def other(watched: Watched, server: RedisProcess) -> RedisProcess:
    return next(candidate for candidate in watched.servers if candidate is not server)


def test_a_killed_master_is_left_for_the_promoted_one(migrated_url: str, watched: Watched) -> None:
    with pair(migrated_url, watched.url) as both:
        both.hears()
        old = watched.master
        old.kill()
        eventually(both.is_away, PATIENCE_S)
        missed = both.write()
        eventually(lambda: watched.master is not old, ROLES_S)
        eventually(lambda: both.shows(missed), ROLES_S)
        both.hears()
        old.start()  # comes back as a master, until the Sentinels tell it that it is none
        eventually(watched.roles_agree, ROLES_S)
        both.hears()
        both.assert_nothing_invented()


def test_a_frozen_master_is_left_and_does_not_win_anybody_back(migrated_url: str, watched: Watched) -> None:
    with pair(migrated_url, watched.url) as both:
        both.hears()
        old = watched.master
        old.freeze()
        eventually(both.is_away, PATIENCE_S)
        missed = both.write()
        assert not missed.announced
        eventually(lambda: watched.master is not old, ROLES_S)
        eventually(lambda: both.shows(missed), ROLES_S)
        both.hears()
        old.thaw()
        eventually(watched.roles_agree, ROLES_S)
        both.hears()
        both.assert_nothing_invented()


def test_a_failover_by_command_loses_nothing(migrated_url: str, watched: Watched) -> None:
    with pair(migrated_url, watched.url) as both:
        both.hears()
        old = watched.master
        watched.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER)
        commits = [both.write()]
        while watched.role(old) != "slave":
            commits.append(both.write())
        both.hears()
        eventually(lambda: both.shows(commits[-1]), PATIENCE_S)
        both.assert_nothing_invented()


def test_a_subscription_notices_that_its_master_was_demoted_though_it_is_not_cut_off(watched: Watched) -> None:
    subscription = RedisSubscription.open(watched.url, ["ai"])
    heard: list[Event] = []

    def hears(event: Event) -> bool:
        heard.extend(subscription.receive(100))
        return event in heard

    try:
        eventually(lambda: hears(Confirmed("config:ai:*")))
        swap_by_hand(watched)
        # Still subscribed, still answered, and never told anything that the new master is told.
        subscription.ping()
        with pytest.raises(RedisUnavailableError, match="not the master any more"):
            eventually(lambda: hears(Pong()), PATIENCE_S)
    finally:
        subscription.close()


def test_a_master_that_was_replaced_and_does_not_know_it_is_left(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after SENTINEL FAILOVER, when the old one says for ten seconds that it is a master."""
    monkeypatch.setattr(publish, "LOOK_S", 0.0)
    announcer, truth = RedisAnnouncer(watched.url), MemoryTruth()
    announcer.announce(truth.commit("ai", Change("threshold", "0.1")), KEYRING)
    subscription = RedisSubscription.open(watched.url, ["ai"])
    old = watched.master
    new = other(watched, old)
    new.ask("REPLICAOF", "NO", "ONE")
    for sentinel in watched.sentinels:
        sentinel.ask("SENTINEL", "REMOVE", MASTER)
        sentinel.ask("SENTINEL", "MONITOR", MASTER, HOST, new.port, 2)
        sentinel.ask("SENTINEL", "SET", MASTER, "auth-pass", new.password)
    assert watched.role(old) == "master"

    def leaves() -> bool:
        subscription.receive(100)
        try:
            subscription.ping()
        except RedisUnavailableError as error:
            return f"name {HOST}:{new.port}" in str(error)
        return False

    eventually(leaves)
    subscription.close()
    assert_announced_at(new, announcer, truth)


def test_an_announcement_at_a_demoted_master_is_made_again_at_the_new_one(watched: Watched) -> None:
    announcer, truth = RedisAnnouncer(watched.url), MemoryTruth()
    announcer.announce(truth.commit("ai", Change("threshold", "0.1")), KEYRING)
    new = swap_by_hand(watched)
    assert_announced_at(new, announcer, truth)


def test_an_announcement_that_only_a_demoted_master_took_counts_as_none(watched: Watched) -> None:
    announcer, truth = RedisAnnouncer(watched.url), MemoryTruth()
    announcer.announce(truth.commit("ai", Change("threshold", "0.1")), KEYRING)
    master = watched.master
    for sentinel in watched.sentinels:
        sentinel.kill()
    master.ask("REPLICAOF", HOST, 1)
    with pytest.raises(RedisUnavailableError):
        announcer.announce(truth.commit("ai", Change("threshold", "0.2")), KEYRING)
    announcer.close()


def assert_announced_at(new: RedisProcess, announcer: RedisAnnouncer, truth: MemoryTruth) -> None:
    """What is committed now is heard at ``new``. Closes the announcer."""
    subscription = RedisSubscription.open(new.url, ["ai"])
    try:
        eventually(lambda: Confirmed("config:ai:*") in subscription.receive(10))
        announcer.announce(truth.commit("ai", Change("threshold", "0.2")), KEYRING)
        eventually(lambda: Message(b"config:ai:threshold", b"0.2") in subscription.receive(10))
    finally:
        subscription.close()
        announcer.close()


def swap_by_hand(watched: Watched) -> RedisProcess:
    """Let the servers change their roles, without the farewell that Sentinels send; they only learn the result."""
    old = watched.master
    new = other(watched, old)
    for sentinel in watched.sentinels:
        sentinel.ask("SENTINEL", "REMOVE", MASTER)
    new.ask("REPLICAOF", "NO", "ONE")
    old.ask("REPLICAOF", HOST, new.port)
    for sentinel in watched.sentinels:
        sentinel.ask("SENTINEL", "MONITOR", MASTER, HOST, new.port, 2)
        sentinel.ask("SENTINEL", "SET", MASTER, "auth-pass", new.password)
    return new


def test_two_dead_sentinels_do_not_matter_and_what_stands_outlives_all_three(
    migrated_url: str, watched: Watched
) -> None:
    for sentinel in watched.sentinels[:2]:
        sentinel.kill()
    with pair(migrated_url, watched.url) as both:
        both.hears()
        watched.sentinels[2].kill()
        both.hears()


def test_sentinels_may_ask_for_another_password_than_the_servers(guarded: Watched) -> None:
    url = guarded.url_for(query=f"sentinel_password={SENTINEL_PASSWORD}")
    RedisSubscription.open(url, ["ai"]).close()


@pytest.mark.parametrize(
    ("query", "user", "master", "error", "said"),
    [
        ("", f":{QUOTED}", MASTER, AccessDeniedError, "refused.*sentinel_password="),
        ("sentinel_password=wrong-one", f":{QUOTED}", MASTER, AccessDeniedError, "refused"),
        (f"sentinel_password={SENTINEL_PASSWORD}", ":wrong-one", MASTER, AccessDeniedError, "refused"),
        (f"sentinel_password={SENTINEL_PASSWORD}", f":{QUOTED}", "nobody", ConfigurationError, "no master 'nobody'"),
    ],
    ids=["no-sentinel-password", "wrong-sentinel-password", "wrong-password", "unknown-name"],
)
def test_what_only_a_person_can_mend_is_said_so(
    guarded: Watched, query: str, user: str, master: str, error: type[HotConfigError], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        RedisSubscription.open(guarded.url_for(user, query, master=master), ["ai"])
    for secret in (SENTINEL_PASSWORD, QUOTED, "wrong-one"):
        assert secret not in str(caught.value)


def test_no_sentinel_at_all_is_worth_another_attempt(watched: Watched) -> None:
    for sentinel in watched.sentinels:
        sentinel.kill()
    with pytest.raises(RedisUnavailableError):
        RedisSubscription.open(watched.url, ["ai"])
