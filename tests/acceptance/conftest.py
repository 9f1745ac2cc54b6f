"""Fixtures of the acceptance tests: the watched process, psql, and two ways of publishing."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.acceptance import programs
from tests.acceptance.programs import Psql, Publishing, RawRedis, RedisCli, ServiceProcess


@pytest.fixture
def psql(migrated_url: str) -> Generator[Psql]:
    """psql, connected to the test's own database."""
    with programs.psql(migrated_url) as session:
        yield session


@pytest.fixture
def raw_redis(redis_url: str) -> Generator[RawRedis]:
    """A plain socket to Redis."""
    connection = RawRedis(redis_url)
    yield connection
    connection.close()


@pytest.fixture(params=["redis-cli", "socket"])
def publisher(request: pytest.FixtureRequest, redis_url: str) -> Publishing:
    """Each way of publishing that knows nothing of hotconfig."""
    found: Publishing = RedisCli(redis_url) if request.param == "redis-cli" else request.getfixturevalue("raw_redis")
    return found


@pytest.fixture
def services(migrated_url: str, redis_url: str) -> Generator[ServiceProcess]:
    """The customer's services, bound in another process."""
    with programs.service_process(migrated_url, redis_url) as process:
        yield process
