"""Settings classes of the integration tests, and ways to watch a client."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar

import psycopg
import redis
from psycopg import sql
from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import hotconfig
from tests.support.waiting import eventually

M = TypeVar("M", bound=BaseModel)

BY: Final = "ann@acme.example"
CANARY: Final = "canary-4cb1f6"
"""A value that must not turn up where values do not belong."""


class ClientFactory(Protocol):
    """The type of the fixture ``start_client``."""

    def __call__(
        self,
        database_url: str = ...,
        redis: str | None = ...,
        *,
        timing: hotconfig.Timing | None = None,
        subscribe_all: bool = False,
        listen: bool = True,
        relay: bool = False,
    ) -> hotconfig.HotConfig: ...


class TestSettings(BaseSettings):
    """Keeps variables that happen to be set out of the tests."""

    __test__ = False
    model_config = SettingsConfigDict(env_prefix="HOTCONFIG_TEST_")


@hotconfig.settings(service="ai")
class AISettings(TestSettings):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str = "gpt-4"
    tags: list[str] = []


@hotconfig.settings(service="email")
class EmailSettings(TestSettings):
    max_retries: int = 3
    timeout_seconds: int = 30


@hotconfig.settings(service="limits")
class LimitSettings(TestSettings):
    low: int = 1
    high: int = 10

    @model_validator(mode="after")
    def _in_order(self) -> LimitSettings:
        if self.low > self.high:
            raise ValueError("low must not exceed high")
        return self


@hotconfig.settings(service="vault")
class VaultSettings(TestSettings):
    password: SecretStr = SecretStr("unset")
    token_hint: Annotated[str, hotconfig.Sensitive()] = "none"
    region: str = "eu"


class Recorder(Generic[M]):
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.changes: list[hotconfig.Changed[M]] = []

    def __call__(self, change: hotconfig.Changed[M]) -> None:
        self.changes.append(change)

    def wait(self, count: int) -> list[hotconfig.Changed[M]]:
        """Wait until ``count`` changes were told, and return them all."""
        eventually(lambda: len(self.changes) >= count, message=f"{count} changes told, {len(self.changes)} so far")
        return self.changes


def write_by_hand(database_url: str, service: str, **texts: str | None) -> None:
    """Write as a person with psql would: in one transaction, without a word to Redis."""
    with psycopg.connect(database_url) as connection:
        for key, text in texts.items():
            connection.execute(
                "INSERT INTO hotconfig.service_configs (service, key, value) VALUES (%s, %s, %s) "
                "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value",
                [service, key, text],
            )


def publish(redis_url: str, channel: str, value: str | bytes) -> None:
    """Publish as a person with redis-cli would."""
    with redis.Redis.from_url(redis_url) as client:
        client.publish(channel, value)


def query(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows of one statement."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(sql.SQL(statement)).fetchall()


_left_behind: set[threading.Thread] = set()


def overlook_threads() -> None:
    """Called before each test: what earlier ones left behind is not for this one to answer for."""
    _left_behind.clear()
    _left_behind.update(threading.enumerate())


def named_threads() -> list[str]:
    """The names of hotconfig's threads that this test has started and that still run."""
    running = (thread for thread in threading.enumerate() if thread not in _left_behind)
    return sorted(thread.name for thread in running if thread.name.startswith("hotconfig"))
