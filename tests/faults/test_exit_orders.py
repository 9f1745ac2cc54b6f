"""Closing in every order and at every moment, with servers alive, frozen and dead: no call outlasts its bound."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

import hotconfig
from hotconfig import State
from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from hotconfig.postgres.migrate import migrate
from tests.integration.settings import AISettings, EmailSettings, named_threads
from tests.support.servers import freeze, thaw
from tests.support.waiting import eventually

BY = "a test"
DEADLINE_S = 30.0
SLACK_S = 3.0
"""For a machine that has other things to do."""


@hotconfig.settings(service="guarded")
class Guarded(BaseModel):
    low: int = 0


@contextmanager
def within(bound_s: float) -> Iterator[None]:
    begun_s = time.monotonic()
    yield
    assert time.monotonic() - begun_s < bound_s + SLACK_S


@pytest.fixture
def deaf_database() -> Generator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/nothing"


@pytest.fixture
def frozen_servers(own_postgres: EmbeddedPostgres, own_valkey: EmbeddedValkey) -> Generator[hotconfig.HotConfig]:
    """A client that is bound, whose servers then froze."""
    migrate(own_postgres.url)
    client = hotconfig.HotConfig(own_postgres.url, own_valkey.url, timing=hotconfig.Timing(poll_s=0.1, reconcile_s=0.1))
    client.start()
    settings = client.bind(AISettings)
    client.wait_for(client.store.set(settings, threshold=0.5, by=BY))
    freeze(own_postgres)
    freeze(own_valkey)
    yield client
    thaw(own_postgres)
    thaw(own_valkey)
    client.close()
    eventually(lambda: named_threads() == [], DEADLINE_S)


def in_a_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except hotconfig.HotConfigError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


# The moment of closing --------------------------------------------------------------------------------------


def test_closing_while_another_thread_starts_ends_that_start(deaf_database: str) -> None:
    client = hotconfig.HotConfig(deaf_database)
    starter, raised = in_a_thread(lambda: client.start(timeout=DEADLINE_S))
    eventually(lambda: "hotconfig-line" in named_threads(), DEADLINE_S)
    with within(0.5):
        client.close(timeout=0.5)
    starter.join(DEADLINE_S)
    assert [type(error) for error in raised] == [hotconfig.NotStartedError]
    assert client.status().state is State.CLOSED
    eventually(lambda: named_threads() == [], DEADLINE_S)


def test_closing_while_another_thread_binds_ends_that_bind(frozen_servers: hotconfig.HotConfig) -> None:
    binder, raised = in_a_thread(lambda: frozen_servers.bind(EmailSettings, timeout=DEADLINE_S))
    eventually(lambda: "email" in frozen_servers._bindings._loading, DEADLINE_S)
    with within(0.5):
        frozen_servers.close(timeout=0.5)
    binder.join(DEADLINE_S)
    assert [type(error) for error in raised] == [hotconfig.NotStartedError]


def test_closing_does_not_wait_for_a_class_that_is_slow_to_read_its_own_sources(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, release = threading.Event(), threading.Event()

    def slow(settings_class: object) -> None:
        reading.set()
        release.wait(DEADLINE_S)
        raise hotconfig.ConfigurationError("the sources are away")

    monkeypatch.setattr("hotconfig.runtime.bindings.capture", slow)
    client = hotconfig.HotConfig(migrated_url)
    client.start()
    binder, _ = in_a_thread(lambda: client.bind(AISettings))
    assert reading.wait(DEADLINE_S)
    with within(1.0):
        client.close()
    assert binder.is_alive()
    release.set()
    binder.join(DEADLINE_S)


@pytest.mark.parametrize("seed", range(8))
def test_a_signal_handler_may_close_whatever_it_interrupts(
    migrated_url: str, redis_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = hotconfig.HotConfig(migrated_url, redis_url)
    client.start()
    settings = client.bind(AISettings)
    handled: list[float] = []

    def handle(*_: object) -> None:
        begun_s = time.monotonic()
        client.close()
        handled.append(time.monotonic() - begun_s)

    before = signal.signal(signal.SIGUSR1, handle)
    timer = threading.Timer(random.Random(seed).uniform(0.05, 0.3), os.kill, [os.getpid(), signal.SIGUSR1])
    timer.start()

    def use_everything() -> None:
        while True:
            commit = client.store.set(settings, threshold=random.random(), by=BY)
            client.on_change(settings, lambda _: None)()
            client.wait_for(commit)
            client.bind(AISettings)
            client.status()

    try:
        with pytest.raises(hotconfig.NotStartedError):
            use_everything()
        assert handled
        assert handled[0] < 5.0 + SLACK_S
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    eventually(lambda: named_threads() == [], DEADLINE_S)


def test_closing_twice_and_from_a_listener_at_once(migrated_url: str, redis_url: str) -> None:
    client = hotconfig.HotConfig(migrated_url, redis_url)
    client.start()
    settings = client.bind(AISettings)
    entered, closed = threading.Event(), threading.Event()

    def close(_: object) -> None:
        entered.set()
        client.close()
        closed.set()

    client.on_change(settings, close)
    client.store.set(settings, threshold=0.9, by=BY)
    assert entered.wait(DEADLINE_S)
    with within(5.0):
        client.close()
    assert closed.wait(DEADLINE_S)
    eventually(lambda: named_threads() == [], DEADLINE_S)


@pytest.mark.parametrize("first", ["PostgreSQL", "Redis", "the client"])
def test_servers_may_end_before_or_after(
    own_postgres: EmbeddedPostgres, own_valkey: EmbeddedValkey, first: str
) -> None:
    migrate(own_postgres.url)
    client = hotconfig.HotConfig(own_postgres.url, own_valkey.url)
    client.start()
    settings = client.bind(AISettings)
    client.wait_for(client.store.set(settings, threshold=0.9, by=BY))
    if first == "PostgreSQL":
        own_postgres.kill()
    if first == "Redis":
        own_valkey.kill()
    with within(5.0):
        client.close()
    assert settings.threshold == 0.9
    eventually(lambda: named_threads() == [], DEADLINE_S)


# Bounds -------------------------------------------------------------------------------------------------------


def test_starting_takes_no_longer_than_it_says(deaf_database: str) -> None:
    client = hotconfig.HotConfig(deaf_database)
    begun_s = time.monotonic()
    with pytest.raises(hotconfig.DatabaseUnavailableError, match=r"within 1 s"):
        client.start(timeout=1.0)
    assert time.monotonic() - begun_s < 1.9, "and not for the thread that still waits for PostgreSQL"
    client.close()
    eventually(lambda: named_threads() == [], DEADLINE_S)


def test_writes_that_take_turns_do_not_wait_for_one_another_without_end(
    frozen_servers: hotconfig.HotConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotconfig.runtime.store.RACE_TIMEOUT_S", 0.2)
    settings = frozen_servers.bind(AISettings)
    turn = threading.Lock()
    frozen_servers.store._turns["ai"] = turn
    monkeypatch.setattr(type(frozen_servers._bindings._followed["ai"].blueprint), "validates_across", True)
    with turn, within(0.2), pytest.raises(hotconfig.DatabaseUnavailableError, match="other writes"):
        frozen_servers.store.set(settings, threshold=0.9, by=BY)


class Heart:
    """Beats in an event loop; ``longest_s`` is how long it ever had to wait."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def beat(self) -> None:
        while True:
            begun_s = time.monotonic()
            await anyio.sleep(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - begun_s)


@pytest.mark.anyio
async def test_no_event_loop_is_blocked_while_everything_is_frozen(frozen_servers: hotconfig.HotConfig) -> None:
    client, heart = frozen_servers, Heart()
    settings = client.bind(AISettings)

    async def refused(call: Callable[[], Awaitable[object]], bound_s: float) -> None:
        with within(bound_s), pytest.raises(hotconfig.RetryableError):
            await call()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(heart.beat)
        async with client.changes(settings), anyio.create_task_group() as calls:
            calls.start_soon(refused, lambda: client.aio.store.set(settings, threshold=0.1, by=BY), 10.0)
            calls.start_soon(refused, lambda: client.aio.bind(EmailSettings, timeout=1.0), 1.0)
            calls.start_soon(refused, lambda: client.aio.wait_for(1000, 1.0, settings=settings), 1.0)
            client.status()
            hotconfig.snapshot(settings)
            client.on_change(settings, print)()
        with within(0.5):
            await client.aio.close(timeout=0.5)
        tasks.cancel_scope.cancel()
    assert heart.longest_s < 1.0
    assert settings.threshold == 0.5


@pytest.mark.anyio
async def test_closing_does_not_queue_behind_calls_that_wait_for_a_frozen_server(
    frozen_servers: hotconfig.HotConfig,
) -> None:
    release = threading.Event()
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(int(anyio.to_thread.current_default_thread_limiter().total_tokens)):
                tasks.start_soon(anyio.to_thread.run_sync, release.wait, DEADLINE_S)
            await anyio.lowlevel.checkpoint()
            with within(0.5):
                await frozen_servers.aio.close(timeout=0.5)
            release.set()
    finally:
        release.set()


# Event loops that are blocked or closed ------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_loop_that_is_blocked_is_woken_once_and_hears_everything(client_here: hotconfig.HotConfig) -> None:
    client = client_here
    settings = await client.aio.bind(AISettings)
    async with client.changes(settings) as changes:
        woken: list[object] = []
        soon = changes._soon

        def wake(callback: Callable[[], object]) -> None:
            woken.append(callback)
            soon(callback)

        changes._soon = wake
        for number in range(1, 51):  # in the loop's own thread, which therefore stands still
            client.wait_for(client.store.set(settings, threshold=number / 100, by=BY), DEADLINE_S)
        eventually(lambda: len(changes._waiting) >= 50, DEADLINE_S)
        assert len(woken) == 1
        heard = [await anext(changes) for _ in range(50)]
    assert [change.new.threshold for change in heard] == [number / 100 for number in range(1, 51)]


@pytest.fixture
def client_here(migrated_url: str, redis_url: str) -> Generator[hotconfig.HotConfig]:
    with hotconfig.HotConfig(migrated_url, redis_url) as client:
        yield client


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_was_closed_disturbs_nobody(client_here: hotconfig.HotConfig, backend: str) -> None:
    client, kept = client_here, []
    settings = client.bind(AISettings)

    async def listen() -> None:
        kept.append(client.changes(settings))

    anyio.run(listen, backend=backend)
    for threshold in (0.1, 0.2):
        client.wait_for(client.store.set(settings, threshold=threshold, by=BY), DEADLINE_S)
    assert settings.threshold == 0.2
    eventually(lambda: not client._dispatcher._listeners["ai"], DEADLINE_S)
    assert client.status().listener_errors == 0
