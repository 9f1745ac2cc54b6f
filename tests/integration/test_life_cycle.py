"""Starting and closing in every order: nothing is left behind, nothing hangs, the values stay."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import hotconfig
from hotconfig import State
from tests.integration.settings import BY, AISettings, ClientFactory, EmailSettings, Recorder, named_threads, query
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]


def open_files() -> int:
    return int(psutil.Process().num_fds())


def test_a_client_closed_leaves_its_values_and_nothing_else(
    start_client: ClientFactory, migrated_url: str, redis_url: str
) -> None:
    def once() -> AISettings:
        with hotconfig.HotConfig(migrated_url, redis_url) as client:
            ai = client.bind(AISettings)
            client.bind(EmailSettings)
            told = Recorder[AISettings]()
            client.on_change(ai, told)
            client.wait_for(client.store.set(ai, threshold=client.status().services["ai"].revision / 100, by=BY))
            if ai.threshold:
                told.wait(1)
        return ai

    once()
    gc.collect()
    threads, files = threading.active_count(), open_files()
    for _ in range(10):
        ai = once()
    gc.collect()
    assert ai.threshold == 0.1
    eventually(lambda: threading.active_count() <= threads, message=f"{named_threads()}")
    assert open_files() <= files
    assert named_threads() == []


@pytest.mark.parametrize("order", list(itertools.permutations(["close", "close again", "status", "stop listening"])))
def test_closing_may_happen_in_any_order_and_more_than_once(
    migrated_url: str, redis_url: str, order: tuple[str, ...]
) -> None:
    client = hotconfig.HotConfig(migrated_url, redis_url)
    client.start()
    stop = client.on_change(client.bind(AISettings), Recorder[AISettings]())
    steps: dict[str, Callable[[], object]] = {
        "close": client.close,
        "close again": client.close,
        "status": client.status,
        "stop listening": stop,
    }
    for step in order:
        steps[step]()
    assert client.status().state is State.CLOSED
    assert named_threads() == []


def test_closing_while_connections_are_being_made_leaves_none_of_them(migrated_url: str) -> None:
    for _ in range(10):
        with hotconfig.HotConfig(migrated_url) as client:
            client.bind(AISettings)
        assert named_threads() == []
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'hot%'"
    eventually(lambda: query(migrated_url, ours) == [(0,)], message="connections are closed")


def test_a_client_never_started_can_be_closed() -> None:
    client = hotconfig.HotConfig("postgresql://nobody@127.0.0.1:1/nothing", "redis://127.0.0.1:1")
    assert client.status().state is State.NOT_READY
    client.close()
    assert client.status().state is State.CLOSED
    with pytest.raises(hotconfig.NotStartedError, match="make a new one"):
        client.start()


def test_starting_twice_is_starting_once(client: hotconfig.HotConfig) -> None:
    threads = named_threads()
    client.start()
    assert named_threads() == threads


def test_a_client_whose_start_failed_can_be_started_again_and_closed() -> None:
    client = hotconfig.HotConfig("postgresql://nobody@127.0.0.1:1/nothing")
    for _ in range(2):
        with pytest.raises(hotconfig.DatabaseUnavailableError):
            client.start(timeout=0.3)
    client.close()
    eventually(lambda: named_threads() == [])


class Threads:
    """How many threads the system has to give before the next one is refused, or interrupted by Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.refused: type[BaseException] = RuntimeError
        self._start = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            self._give(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    def _give(self, thread: threading.Thread) -> None:
        if self.left is None or not thread.name.startswith("hotconfig"):
            self._start(thread)
            return
        self.left -= 1
        if self.left >= 0 or self.refused is KeyboardInterrupt:
            self._start(thread)
        if self.left < 0:
            self.left = None
            raise self.refused


@pytest.mark.parametrize("refused", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("given", [0, 1, 2, 3])
def test_a_start_that_lacks_a_thread_or_is_interrupted_leaves_nothing_and_can_be_repeated(
    migrated_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: int,
    refused: type[BaseException],
) -> None:
    # Four threads: for the files, for reading, the line, the relay. Nothing is bound, so that none connects to Redis.
    client = hotconfig.HotConfig(migrated_url, redis_url, relay=True, last_known_good=tmp_path)
    threads = Threads(monkeypatch)
    gc.collect()
    before = open_files()
    threads.left, threads.refused = given, refused
    with pytest.raises(hotconfig.RetryableError if refused is RuntimeError else KeyboardInterrupt):
        client.start()
    eventually(lambda: named_threads() == [], 30)
    eventually(lambda: open_files() <= before, 30)
    client.start()
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.5, by=BY), 30)
    client.close(30)
    assert named_threads() == []


def test_a_start_without_descriptors_says_so_and_can_be_repeated(
    migrated_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    client = hotconfig.HotConfig(migrated_url, redis_url, relay=True)
    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", refuse)
        with pytest.raises(hotconfig.RetryableError, match="Too many open files"):
            client.start()
    with client:
        client.bind(AISettings)


def test_a_listener_may_close_the_client(migrated_url: str, redis_url: str) -> None:
    client = hotconfig.HotConfig(migrated_url, redis_url)
    client.start()
    ai = client.bind(AISettings)
    closed = threading.Event()

    def close(_: object) -> None:
        client.close()
        closed.set()

    client.on_change(ai, close)
    client.store.set(ai, threshold=0.9, by=BY)
    assert closed.wait(10)
    assert client.status().state is State.CLOSED
    assert ai.threshold == 0.9
    eventually(lambda: named_threads() == [])


def test_many_threads_may_close_at_once(migrated_url: str, redis_url: str) -> None:
    client = hotconfig.HotConfig(migrated_url, redis_url)
    client.start()
    client.bind(AISettings)
    closers = [threading.Thread(target=client.close) for _ in range(8)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(10)
        assert not closer.is_alive()
    assert named_threads() == []


def test_closing_waits_for_a_blocked_listener_only_as_long_as_it_says(
    migrated_url: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    release, entered = threading.Event(), threading.Event()

    def block(_: object) -> None:
        entered.set()
        release.wait(60)

    client = hotconfig.HotConfig(migrated_url, redis_url)
    client.start()
    ai = client.bind(AISettings)
    client.on_change(ai, block)
    client.store.set(ai, threshold=0.9, by=BY)
    assert entered.wait(5)
    begun_s = time.monotonic()
    client.close(timeout=0.3)
    taken_s = time.monotonic() - begun_s
    release.set()
    assert taken_s < 3.0
    assert "did not end within 0.3 s; is a listener blocked" in caplog.text


def test_what_waits_is_freed_by_closing(client: hotconfig.HotConfig) -> None:
    client.bind(AISettings)
    outcome: list[Exception] = []

    def wait() -> None:
        try:
            client.wait_for(1, timeout=60)
        except hotconfig.HotConfigError as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    client.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert isinstance(outcome[0], hotconfig.NotStartedError)


def test_a_closed_client_refuses_everything_but_reading(client: hotconfig.HotConfig) -> None:
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    client.close()
    assert ai.threshold == 0.9
    assert hotconfig.snapshot(ai).threshold == 0.9
    for refused in (
        lambda: client.bind(EmailSettings),
        lambda: client.store.set(ai, threshold=0.8, by=BY),
        lambda: client.wait_for(2),
        lambda: client.on_change(ai, print),
    ):
        with pytest.raises(hotconfig.NotStartedError, match="closed"):
            refused()


@pytest.mark.parametrize("ending", ["pass", "sys.exit(0)", "del client; gc.collect()", "del client, ai; gc.collect()"])
def test_a_program_that_never_closes_ends_at_once_and_without_a_complaint(
    migrated_url: str, redis_url: str, ending: str
) -> None:
    program = (
        "import gc, sys, hotconfig\n"
        "from tests.integration.settings import AISettings\n"
        "client = hotconfig.HotConfig.from_env(); client.start(); ai = client.bind(AISettings)\n"
        "client.on_change(ai, print)\n"
        "client.wait_for(client.store.set(ai, threshold=0.9, by='a script'))\n"
        f"{ending}\n"
    )
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": migrated_url,
        "HOTCONFIG_REDIS_URL": redis_url,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=20)
    # A slow machine may be told of, which is no complaint about the end.
    said = [line for line in ended.stderr.splitlines() if not line.startswith("changes were shown up to")]
    assert (ended.returncode, said) == (0, [])
