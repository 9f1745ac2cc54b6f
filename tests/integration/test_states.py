"""States on real servers: each is reached as documented, listeners and probes hear of it, and the bounds hold.

``HOTCONFIG_ROUNDS`` says how often each bound is tried; the worst is printed (``pytest -s``) and judged.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import redis

import hotconfig
from hotconfig import State, StateChanged, Timing
from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from hotconfig.postgres.migrate import migrate
from hotconfig.runtime.relay import Relay
from tests.integration.settings import BY, AISettings, ClientFactory, EmailSettings, named_threads, write_by_hand
from tests.support.servers import freeze, thaw
from tests.support.waiting import Eventually, eventually

ROUNDS: Final = int(os.environ.get("HOTCONFIG_ROUNDS", "3"))
SLACK_S: Final = float(os.environ.get("HOTCONFIG_SLACK_S", "2.0"))
"""What a machine that does other things as well may add to a bound."""


class States:
    """A listener that keeps what it was told, with the time."""

    def __init__(self) -> None:
        self.told: list[StateChanged] = []

    def __call__(self, change: StateChanged) -> None:
        self.told.append(change)

    @property
    def names(self) -> list[str]:
        return [change.new.value for change in self.told]


class Worst:
    """Times of several rounds of one thing."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.times_s: list[float] = []

    def judge(self, bound_s: float) -> None:
        worst_s = max(self.times_s)
        print(f"{self.what}: worst of {len(self.times_s)}: {worst_s:.3f} s, bound {bound_s} s")  # noqa: T201
        assert worst_s < bound_s + SLACK_S


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres) -> str:
    migrate(own_postgres.url)
    return own_postgres.url


@pytest.fixture
def states() -> Iterator[States]:
    told = States()
    yield told
    for before, after in zip(told.told, told.told[1:], strict=False):
        assert before.new is after.old, "no change of state is left out"
        assert before.since <= after.since


def test_each_state_is_told_with_its_time_and_error(
    own_database: str, own_postgres: EmbeddedPostgres, own_valkey: EmbeddedValkey, states: States
) -> None:
    client = hotconfig.HotConfig(own_database, own_valkey.url, timing=Timing(reconcile_s=0.2, poll_s=0.2))
    client.on_state(states)
    assert (client.status().state, client.ready(), client.healthy()) == (State.NOT_READY, False, True)
    with client:
        client.bind(AISettings)
        eventually(lambda: states.names == ["READY"])
        assert (client.ready(), client.ready(max_age_s=10), client.healthy()) == (True, True, True)
        own_valkey.kill()
        eventually(lambda: states.names == ["READY", "DEGRADED"])
        assert (client.ready(), client.ready(max_age_s=10), client.healthy()) == (True, True, True)
        assert states.told[-1].last_error is not None
        assert "Redis" in states.told[-1].last_error
        own_postgres.kill()
        eventually(lambda: states.names[-1] == "STALE", 15)
        assert (client.ready(), client.ready(max_age_s=0.75), client.healthy()) == (True, False, True)
        own_valkey.restart()
        own_postgres.restart()
        eventually(lambda: states.names[-1] == "READY", 20)
        status = client.status()
        assert (status.state, status.since) == (State.READY, states.told[-1].since)
        assert datetime.now(UTC) - status.since < timedelta(seconds=30)
    eventually(lambda: states.names[-1] == "CLOSED")
    assert (client.status().state, client.ready(), client.healthy()) == (State.CLOSED, False, True)
    closed_at = client.status().since
    client.close()
    assert client.status().since == closed_at


def test_a_lost_connection_to_redis_changes_no_state(
    start_client: ClientFactory, redis_url: str, states: States, eventually: Eventually
) -> None:
    client = start_client()
    client.bind(AISettings)
    eventually(lambda: client.status().state is State.READY)
    client.on_state(states)
    with redis.Redis.from_url(redis_url) as admin:
        for lost in range(1, 4):
            admin.client_kill_filter(_type="pubsub")
            eventually(lambda lost=lost: client.status().counters["connection_failures"] == lost)  # type: ignore[misc]
            assert not threading.Event().wait(1.0), "longer than the grace"
    assert client.status().redis == "connected"
    assert states.names == []


def test_a_state_listener_that_raises_is_counted_and_one_that_ended_is_not_called(
    own_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: StateChanged) -> None:
        raise RuntimeError("a bug of the application")

    gone = States()
    client = hotconfig.HotConfig(own_database)
    client.on_state(fail)
    stop = client.on_state(gone)
    stop()
    with client:
        eventually(lambda: client.status().listener_errors == 1)
    assert "a listener of states raised at READY" in caplog.text
    assert gone.told == []


def test_only_functions_can_listen_to_states() -> None:
    async def listen(_: StateChanged) -> None: ...

    with pytest.raises(hotconfig.UsageError, match=r"on_state takes an ordinary function.*states\(\)"):
        hotconfig.HotConfig("postgresql://x").on_state(listen)


@pytest.mark.anyio
async def test_states_can_be_iterated_over(own_database: str, own_valkey: EmbeddedValkey) -> None:
    import anyio

    async with hotconfig.HotConfig(own_database, own_valkey.url) as client:
        await client.aio.bind(AISettings)
        with anyio.fail_after(20):
            async with client.states() as states:
                own_valkey.kill()
                async for change in states:
                    assert (change.old, change.new) == (State.READY, State.DEGRADED)
                    break


def test_readiness_waits_for_everything_that_is_bound(own_database: str, own_postgres: EmbeddedPostgres) -> None:
    with hotconfig.HotConfig(own_database) as client:
        client.bind(AISettings)
        assert client.ready()
        own_postgres.kill()
        with pytest.raises(hotconfig.DatabaseUnavailableError):
            client.bind(EmailSettings, timeout=0.1)
        assert not client.ready()
        own_postgres.restart()
        eventually(client.ready, 20)


def test_a_dead_or_stuck_worker_is_unhealthy_and_stale_since_its_last_turn(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hotconfig.HotConfig(migrated_url) as client:
        client.bind(AISettings)
        assert client.healthy()
        follower = client._follower
        assert follower is not None
        begun = datetime.now(UTC)
        monkeypatch.setattr("hotconfig.runtime.health.STUCK_AFTER_S", 1.5)
        release = threading.Event()
        follower.look = lambda *_: release.wait(30)  # type: ignore[assignment]
        eventually(lambda: not client.healthy())
        status = client.status()
        assert status.state is State.STALE
        assert begun - timedelta(seconds=2) < status.since < datetime.now(UTC) - timedelta(seconds=1)
        follower.look = None
        release.set()
        eventually(client.healthy)
        assert client.status().state is State.READY
        follower._reading.stop()
        eventually(lambda: not client.healthy())
        assert not client.ready()


def test_probes_answer_while_every_lock_of_the_library_is_held(client: hotconfig.HotConfig) -> None:
    client.bind(AISettings)
    answers: list[tuple[bool, bool]] = []
    with client._lock, client._dispatcher._lock, client._bindings._lock:
        probe = threading.Thread(target=lambda: answers.append((client.healthy(), client.ready(max_age_s=60))))
        probe.start()
        probe.join(10)
    assert answers == [(True, True)]


def test_an_idle_process_makes_a_turn_per_second_and_no_more(migrated_url: str) -> None:
    with hotconfig.HotConfig(migrated_url, timing=Timing(reconcile_s=0.2, poll_s=0.2)) as client:
        assert not threading.Event().wait(0.5), "longer than until the first comparison would be due"
        used_s = time.process_time()
        assert not threading.Event().wait(1.0)
        assert time.process_time() - used_s < 0.3
        assert client.healthy()


def test_the_age_of_the_confirmation_keeps_within_the_stated_bound(
    start_client: ClientFactory, eventually: Eventually
) -> None:
    client = start_client(timing=Timing(reconcile_s=0.4))
    client.bind(AISettings)
    eventually(lambda: client.status().state is State.READY)
    ages_s: list[float] = []
    end_s = time.monotonic() + 3
    while time.monotonic() < end_s:
        age_s = client.status().verified_age_s
        assert age_s is not None
        ages_s.append(age_s)
        threading.Event().wait(0.01)
    assert max(ages_s) < 0.4 * 1.25 + SLACK_S
    assert min(ages_s) < 0.4


def test_while_ready_a_change_that_nobody_announced_is_seen_within_the_stated_bound(
    start_client: ClientFactory, migrated_url: str
) -> None:
    reconcile_s = 0.4
    client = start_client(timing=Timing(reconcile_s=reconcile_s))
    ai = client.bind(AISettings)
    eventually(lambda: client.status().state is State.READY)
    seen = Worst("no news at all, reconcile_s = 0.4: change seen")
    for number in range(ROUNDS):
        seen.times_s.append(seen_after_s(migrated_url, ai, (number + 1) / 1000))
    assert client.status().counters["messages"] == 0
    seen.judge(reconcile_s * 1.25)


# Bounds ------------------------------------------------------------------------------------------------------


def seen_after_s(url: str, ai: AISettings, threshold: float) -> float:
    """Seconds from a commit by hand until it is seen."""
    write_by_hand(url, "ai", threshold=str(threshold))
    begun_s = time.monotonic()
    while ai.threshold != threshold:
        assert time.monotonic() - begun_s < 30
        time.sleep(0.001)
    return time.monotonic() - begun_s


@pytest.mark.timeout(600)
@pytest.mark.parametrize("listen", [True, False], ids=["LISTEN", "polling"])
@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_the_fallback_takes_over_in_time_and_redis_takes_back(
    start_client: ClientFactory, own_valkey: EmbeddedValkey, migrated_url: str, listen: bool, outage: str
) -> None:
    client = start_client(redis=own_valkey.url, listen=listen)
    ai = client.bind(AISettings)
    way = f"{outage}, {'LISTEN' if listen else 'polling'}"
    noticed, arriving, back = Worst(f"{way}: degraded"), Worst(f"{way}: change seen"), Worst(f"{way}: ready again")
    for number in range(ROUNDS):
        eventually(lambda: client.status().state is State.READY, 20)
        begun_s = time.monotonic()
        own_valkey.kill() if outage == "killed" else freeze(own_valkey)
        begun_s = time.monotonic() if outage == "killed" else begun_s
        eventually(lambda: client.status().state is State.DEGRADED, 20)
        noticed.times_s.append(time.monotonic() - begun_s)
        eventually(lambda: not listen or client._follower._news.hearing, 20)  # type: ignore[union-attr]
        for step in range(3):
            arriving.times_s.append(seen_after_s(migrated_url, ai, (number * 3 + step + 1) / 1000))
        own_valkey.restart() if outage == "killed" else thaw(own_valkey)
        begun_s = time.monotonic()
        eventually(lambda: client.status().state is State.READY, 20)
        back.times_s.append(time.monotonic() - begun_s)
    noticed.judge(2.0)
    arriving.judge(1.0)
    back.judge(1.0)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("listen", [True, False], ids=["LISTEN", "polling"])
@pytest.mark.parametrize(("outage", "bound_s"), [("killed", 1.0), ("frozen", 1.5 + 1.0)])
def test_a_change_right_after_redis_went_away_is_seen_in_time(
    start_client: ClientFactory,
    own_valkey: EmbeddedValkey,
    migrated_url: str,
    outage: str,
    bound_s: float,
    listen: bool,
) -> None:
    client = start_client(redis=own_valkey.url, listen=listen)
    ai = client.bind(AISettings)
    seen = Worst(f"{outage} a moment ago, {'LISTEN' if listen else 'polling'}: change seen")
    for number in range(ROUNDS):
        eventually(lambda: client.status().state is State.READY, 20)
        own_valkey.kill() if outage == "killed" else freeze(own_valkey)
        seen.times_s.append(seen_after_s(migrated_url, ai, (number + 1) / 1000))
        own_valkey.restart() if outage == "killed" else thaw(own_valkey)
    seen.judge(bound_s)


@pytest.mark.parametrize("way", ["LISTEN", "polling"])
def test_without_redis_changes_are_seen_within_a_second(
    start_client: ClientFactory, migrated_url: str, way: str
) -> None:
    client = start_client(redis=None, listen=way == "LISTEN")
    ai = client.bind(AISettings)
    seen = Worst(f"no Redis, {way}: change seen")
    for number in range(ROUNDS):
        seen.times_s.append(seen_after_s(migrated_url, ai, (number + 1) / 1000))
    assert client.status().redis == "unused"
    assert client.status().state is State.READY
    seen.judge(1.0)


def test_a_write_by_this_process_is_seen_by_it_in_every_state(start_client: ClientFactory) -> None:
    client = start_client(redis=None, listen=False, timing=Timing(poll_s=600))
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    assert ai.threshold == 0.9


def test_a_start_that_fails_after_a_state_was_told_leaves_no_thread_of_a_listener(
    migrated_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[StateChanged] = []

    def refuse(*_: object) -> None:
        eventually(lambda: told, 30.0)
        raise hotconfig.ConfigurationError("no relay can work here")

    client = hotconfig.HotConfig(migrated_url, redis_url, relay=True)
    client.on_state(told.append)
    with monkeypatch.context() as patched:
        patched.setattr(Relay, "first_attempt", refuse)
        with pytest.raises(hotconfig.ConfigurationError):
            client.start()
    eventually(lambda: named_threads() == [], 30.0)
    with client:
        eventually(lambda: [each.new for each in told] == [State.READY] * 2, 30.0)
