"""What programs of any language hear when hotconfig writes: the bare text, on the channel fixed by contract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator

import pytest

import hotconfig
from tests.acceptance.programs import TIMEOUT_S, Psql, RawRedis, RedisCli
from tests.acceptance.service import AISettings, FeatureSettings

CHANNEL = "config:ai:threshold"


@pytest.fixture
def client(migrated_url: str, redis_url: str) -> Generator[hotconfig.HotConfig]:
    with hotconfig.HotConfig(migrated_url, redis_url) as started:
        yield started


def test_a_raw_subscriber_receives_exactly_what_was_written(client: hotconfig.HotConfig, raw_redis: RawRedis) -> None:
    ai = client.bind(AISettings)
    raw_redis.subscribe(CHANNEL)
    client.store.set(ai, threshold="0.90", by="ann@acme.example")
    assert list(raw_redis.messages(1)) == [(CHANNEL.encode(), b"0.90")]


def test_redis_cli_receives_exactly_what_was_written(client: hotconfig.HotConfig, redis_url: str) -> None:
    ai = client.bind(AISettings)
    cli = RedisCli(redis_url)
    command = cli.command("SUBSCRIBE", CHANNEL)
    with subprocess.Popen(command, env=cli.environment, stdout=subprocess.PIPE, text=True) as listening:
        try:
            assert listening.stdout is not None
            assert [listening.stdout.readline().strip() for _ in range(3)] == ["subscribe", CHANNEL, "1"]
            client.store.set(ai, threshold="0.90", by="ann@acme.example")
            assert [listening.stdout.readline().strip() for _ in range(3)] == ["message", CHANNEL, "0.90"]
        finally:
            listening.kill()


def test_psql_reads_the_very_text_that_was_written(client: hotconfig.HotConfig, psql: Psql) -> None:
    client.store.set(client.bind(AISettings), threshold="0.90", model="gpt-4o", by="ann@acme.example")
    client.store.set(client.bind(FeatureSettings), dark_mode=True, by="ann@acme.example")
    rows = psql.run("SELECT service, key, value FROM hotconfig.service_configs ORDER BY service, key;")
    assert rows == ["ai|model|gpt-4o", "ai|threshold|0.90", "features|dark_mode|true"]


def test_the_command_line_writes_the_text_as_it_was_typed(
    client: hotconfig.HotConfig, migrated_url: str, redis_url: str, raw_redis: RawRedis
) -> None:
    client.store.set(client.bind(AISettings), threshold="0.80", by="ann@acme.example")
    raw_redis.subscribe(CHANNEL)
    environment = os.environ | {"HOTCONFIG_DATABASE_URL": migrated_url, "HOTCONFIG_REDIS_URL": redis_url}
    command = [sys.executable, "-m", "hotconfig", "set", "ai", "threshold", "0.90"]
    subprocess.run(command, check=True, env=environment, timeout=TIMEOUT_S)
    assert list(raw_redis.messages(1)) == [(CHANNEL.encode(), b"0.90")]
