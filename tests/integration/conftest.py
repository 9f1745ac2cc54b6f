"""What the integration tests share: clients on the servers of :mod:`tests.conftest`, and the settings they bind."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack

import pytest

import hotconfig
from tests.integration.settings import ClientFactory


@pytest.fixture
def start_client(migrated_url: str, redis_url: str) -> Generator[ClientFactory]:
    """Make and start clients, by default on both servers; they are closed after the test."""
    with ExitStack() as stack:

        def start(
            database_url: str = migrated_url,
            redis: str | None = redis_url,
            *,
            timing: hotconfig.Timing | None = None,
            subscribe_all: bool = False,
            listen: bool = True,
            relay: bool = False,
        ) -> hotconfig.HotConfig:
            client = hotconfig.HotConfig(
                database_url, redis, timing=timing, subscribe_all=subscribe_all, listen=listen, relay=relay
            )
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(start_client: ClientFactory) -> hotconfig.HotConfig:
    """A started client on both servers."""
    return start_client()


@pytest.fixture
def writer(start_client: ClientFactory) -> hotconfig.HotConfig:
    """A second one, standing for another process that writes."""
    return start_client()
