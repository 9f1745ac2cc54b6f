"""One Redis that is killed, absent, frozen, deaf, or throws its subscribers out: nothing is lost, nothing leaks."""

from __future__ import annotations

import gc
import os
import socket
import statistics
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import psutil
import pytest
from pydantic import field_validator

import hotconfig
from hotconfig import State
from tests.integration.settings import TestSettings, named_threads, write_by_hand
from tests.support.deaf import DeafProxy
from tests.support.redis_clients import NEVER_POLL, PATIENCE_S, Pair, pair
from tests.support.redis_servers import RedisProcess
from tests.support.waiting import eventually

PUBSUB_LIMIT = 200_000
RESTARTS = int(os.environ.get("HOTCONFIG_ROUNDS", "20"))
"""How often the long test kills and restarts the server."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis of this test's own."""
    with RedisProcess(tmp_path / "redis") as server:
        yield server


def test_a_killed_server_that_comes_back_is_resubscribed_and_what_was_missed_is_read(
    migrated_url: str, server: RedisProcess
) -> None:
    with pair(migrated_url, server.url) as both:
        both.hears()
        for _ in range(3):
            server.kill()
            eventually(both.is_away, PATIENCE_S)
            missed = both.write()
            assert not missed.announced
            server.start()
            eventually(lambda missed=missed: both.shows(missed), PATIENCE_S)  # type: ignore[misc]
            both.hears()
        both.assert_nothing_invented()


@pytest.mark.long
@pytest.mark.timeout(RESTARTS * 30)
def test_within_a_second_of_its_return_a_new_change_is_seen_every_time(migrated_url: str, server: RedisProcess) -> None:
    took_s: list[float] = []
    with pair(migrated_url, server.url) as both:
        for outage in range(RESTARTS):
            both.hears()
            server.kill()
            eventually(both.is_away, PATIENCE_S)
            assert not threading.Event().wait(1.0 + outage % 7 / 10), "the delays reach their ceiling"
            server.launch()
            eventually(server.answers, PATIENCE_S)
            begun_s, new = monotonic(), both.write()
            # Others follow: the first may have been written before its announcement could be sent.
            eventually(lambda new=new: bool(both.write()) and both.shows(new), PATIENCE_S)  # type: ignore[misc]
            took_s.append(monotonic() - begun_s)
    print(f"{RESTARTS} restarts: p50 {statistics.median(took_s):.3f} s, max {max(took_s):.3f} s")  # noqa: T201
    assert max(took_s) < 1.0, took_s


def test_a_name_that_leads_to_another_server_is_looked_up_anew(
    migrated_url: str, server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to = {"redis.acme.example": server.host}
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **named: resolve(leads_to.get(host, host), *rest, **named)
    )
    with (
        RedisProcess(tmp_path / "moved", host="127.0.0.2", port=server.port) as moved,
        pair(migrated_url, server.url.replace(server.address, f"redis.acme.example:{server.port}")) as both,
    ):
        both.hears()
        server.kill()
        eventually(both.is_away, PATIENCE_S)
        leads_to["redis.acme.example"] = moved.host
        both.hears()
        assert "hotconfig-reader" in {each["name"] for each in moved.client().client_list()}
        both.assert_nothing_invented()


def test_a_server_that_is_not_there_at_the_start_is_taken_up_when_it_comes(
    migrated_url: str, server: RedisProcess
) -> None:
    server.kill()
    with pair(migrated_url, server.url) as both:
        eventually(lambda: both.reader.status().state is State.DEGRADED, PATIENCE_S)
        missed = both.write()
        server.start()
        eventually(lambda: both.shows(missed), PATIENCE_S)
        both.hears()


def test_a_frozen_server_is_noticed_and_taken_up_again(migrated_url: str, server: RedisProcess) -> None:
    with pair(migrated_url, server.url) as both:
        both.hears()
        server.freeze()
        eventually(both.is_away, PATIENCE_S)
        missed = both.write()
        assert not missed.announced
        server.thaw()
        eventually(lambda: both.shows(missed), PATIENCE_S)
        both.hears()


def test_a_deaf_connection_is_noticed_and_replaced(migrated_url: str, server: RedisProcess) -> None:
    with DeafProxy(server.port) as proxy, pair(migrated_url, proxy.url(server.url), server.url) as both:
        both.hears()
        proxy.deaf.set()
        eventually(both.is_away, PATIENCE_S)
        missed = both.write()
        assert missed.announced, "to everybody else"
        proxy.deaf.clear()
        eventually(lambda: both.shows(missed), PATIENCE_S)
        both.hears()


def test_a_writer_outlives_any_number_of_restarts(migrated_url: str, server: RedisProcess) -> None:
    with pair(migrated_url, server.url) as both:
        for _ in range(12):  # more than redis-py's pool would make connections
            assert both.write().announced
            server.kill()
            server.start()


def test_a_slow_subscriber_that_is_evicted_catches_up(migrated_url: str, server: RedisProcess) -> None:
    may_go_on, blocked = threading.Event(), threading.Event()
    may_go_on.set()

    @hotconfig.settings(service="slow")
    class Slow(TestSettings):
        size: int = 0

        @field_validator("size")
        @classmethod
        def _takes_its_time(cls, size: int) -> int:
            if threading.current_thread().name == "hotconfig-line":
                if not may_go_on.is_set():
                    blocked.set()
                may_go_on.wait(PATIENCE_S)
            return size

    server.ask("CONFIG", "SET", "client-output-buffer-limit", f"pubsub {PUBSUB_LIMIT} 0 0")
    with hotconfig.HotConfig(migrated_url, server.url, timing=NEVER_POLL, listen=False) as reader:
        slow = reader.bind(Slow)
        may_go_on.clear()
        try:
            write_by_hand(migrated_url, "slow", size="1")
            server.ask("PUBLISH", "config:slow:size", "1")
            assert blocked.wait(PATIENCE_S)
            eventually(lambda: _evicted(server), PATIENCE_S)
            write_by_hand(migrated_url, "slow", size="2")
        finally:
            may_go_on.set()
        eventually(lambda: slow.size == 2, PATIENCE_S)
        eventually(lambda: reader.status().state is State.READY, PATIENCE_S)
        assert reader.status().counters["connection_failures"] == 1


def _evicted(server: RedisProcess) -> bool:
    """Publish more than fits anywhere, and tell whether a subscriber was thrown out."""
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        for _ in range(100):
            pipeline.publish("config:slow:flood", b"x" * 100_000)
        pipeline.execute()
        return not client.client_list(_type="pubsub")


@pytest.mark.parametrize("times", [100, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_nothing_leaks_however_often_the_subscribers_are_cut_off(
    migrated_url: str, server: RedisProcess, times: int
) -> None:
    process = psutil.Process()
    with pair(migrated_url, server.url) as both:
        _cut(both, server, 10)
        both.hears()
        before = _footprint(process)
        _cut(both, server, times)
        both.hears()
        # The writer, which has LISTEN as its second way in, may be letting go of that still.
        eventually(lambda: process.num_fds() <= before[1], PATIENCE_S, message="no descriptor is left open")
        threads, _, memory = _footprint(process)
        assert threads == before[0]
        assert memory - before[2] < 8 * 2**20


def _cut(both: Pair, server: RedisProcess, times: int) -> None:
    for _ in range(times):
        connections = both.count("connections")
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(
            lambda connections=connections: both.count("connections") > connections and both.is_back(),  # type: ignore[misc]
            PATIENCE_S,
        )


def _footprint(process: psutil.Process) -> tuple[list[str], int, int]:
    gc.collect()
    eventually(lambda: "hotconfig-connect" not in named_threads())
    return named_threads(), process.num_fds(), process.memory_info().rss
