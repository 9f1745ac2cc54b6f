"""Real servers for tests: those that the environment names, or embedded ones; and clients on them, each for itself.

Owns where the servers come from and which schema a test gets. Must not know pytest.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from hotconfig.core.errors import ConfigurationError
from hotconfig.runtime.client import HotConfig
from hotconfig.runtime.timing import Timing

DATABASE_URL: Final = "HOTCONFIG_TEST_DATABASE_URL"
REDIS_URL: Final = "HOTCONFIG_TEST_REDIS_URL"
NOTHING_TO_TEST_ON: Final = (
    "hotconfig's tests need servers: pip install 'hotconfig[demo]' brings embedded ones, or set "
    f"{DATABASE_URL} and, if you use Redis, {REDIS_URL}"
)
FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings of the embedded PostgreSQL: what a test writes need not survive a crash."""


@dataclass(frozen=True, slots=True)
class Servers:
    """PostgreSQL and, where there is one, Redis; running. The URLs carry passwords, and stay out of any repr.

    ``worker`` goes into the names of schemas, so that those who share a database do not meet.
    """

    database_url: str = field(repr=False)
    redis_url: str | None = field(repr=False)
    worker: str = "main"
    _numbers: itertools.count[int] = field(default_factory=itertools.count, repr=False)

    @contextmanager
    def schema(self) -> Generator[str]:
        """Lend the name of a schema with hotconfig's tables and nothing in them, and drop it afterwards.

        Raises:
            DatabaseUnavailableError, AccessDeniedError: as for any connection; the role has to create schemas.
        """
        from hotconfig.postgres.scratch import PREFIX, scratch_schema  # noqa: PLC0415 - drivers are loaded when needed

        name = f"{PREFIX}{_identifier(self.worker)}_{os.getpid()}_{next(self._numbers)}"
        with scratch_schema(self.database_url, name):
            yield name

    @contextmanager
    def client(self, *, timing: Timing | None = None) -> Generator[HotConfig]:
        """Lend a started ``HotConfig`` on a schema of its own; both go with the block. Raises as :meth:`schema`."""
        with (
            self.schema() as schema,
            HotConfig(self.database_url, self.redis_url, schema=schema, timing=timing) as made,
        ):
            yield made


@contextmanager
def servers(*, worker: str = "main") -> Generator[Servers]:
    """Lend real servers: those of the environment, else embedded ones, which end with the block.

    ``HOTCONFIG_TEST_DATABASE_URL`` names a database whose role may create schemas; nothing in it is touched but
    schemas called ``hotconfig_test_…``. ``HOTCONFIG_TEST_REDIS_URL`` names the Redis that goes with it; without one
    there is none. Redis knows no schemas: tests that share one hear each other's messages, cannot verify them, and read
    PostgreSQL once for each. Starting embedded servers takes some two seconds.

    Args:
        worker: Goes into the names of schemas; pytest-xdist's ``gw0``, for example.

    Raises:
        EmbeddedServerError: the environment names none, and the extra ``demo`` is not there.
        ConfigurationError: the environment names a Redis and no database.
    """
    database_url, redis_url = os.environ.get(DATABASE_URL), os.environ.get(REDIS_URL)
    if database_url:
        yield Servers(database_url, redis_url or None, worker)
        return
    if redis_url:
        raise ConfigurationError(f"{REDIS_URL} is set and {DATABASE_URL} is not: set both, the database alone, or none")
    from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey  # noqa: PLC0415 - only there with the extra

    postgres, valkey = EmbeddedPostgres(settings=FORGETFUL), EmbeddedValkey()
    with ExitStack() as stack:
        for server in (postgres, valkey):
            stack.callback(server.stop)
            server.start()
        yield Servers(postgres.url, valkey.url, worker)


def _identifier(worker: str) -> str:
    return re.sub(r"[^a-z0-9]", "", worker.lower())[:16] or "main"
