"""Where is measured: servers that are given, or embedded ones that are started when the first figure needs them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from hotconfig.core.errors import UsageError

DATABASE: Final = "HOTCONFIG_BENCH_DATABASE_URL"
REDIS: Final = "HOTCONFIG_BENCH_REDIS_URL"
SCHEMA: Final = "hotconfig_bench"
"""Where the suite keeps its tables. Dropped before and after, so that it never touches anybody's settings."""


class Place:
    """The servers of one run, and how much to measure there.

    Args:
        quick: Take small samples.
        tell: Hears short lines about progress. Call it between samples, never while one is taken.
        database_url, redis_url: The given servers; both or neither.

    Raises:
        UsageError: one URL without the other.
    """

    def __init__(
        self,
        *,
        quick: bool,
        tell: Callable[[str], None],
        database_url: str | None = None,
        redis_url: str | None = None,
    ) -> None:
        if (database_url is None) != (redis_url is None):
            raise UsageError(f"give --database-url ({DATABASE}) and --redis-url ({REDIS}), or neither")
        self._given = None if database_url is None or redis_url is None else (database_url, redis_url)
        self.quick = quick
        self.tell = tell
        self.versions: dict[str, str] = {}
        self.postgres_pid: int | None = None  # only of the embedded server, and once it was needed
        self._stack = ExitStack()
        self._urls: tuple[str, str] | None = None

    def pick(self, full: int, quick: int) -> int:
        """A sample's size."""
        return quick if self.quick else full

    @property
    def database_url(self) -> str:
        """PostgreSQL with hotconfig's tables in the schema :data:`SCHEMA`."""
        return self._servers()[0]

    @property
    def redis_url(self) -> str:
        """Redis or Valkey."""
        return self._servers()[1]

    def close(self) -> None:
        """Leave nothing behind."""
        self._stack.close()

    def _servers(self) -> tuple[str, str]:
        if self._urls is None:
            self._urls = self._given or self._embedded()
            self._furnish(*self._urls)
        return self._urls

    def _embedded(self) -> tuple[str, str]:
        from hotconfig.embedded import servers

        started = self._stack.enter_context(servers(on_progress=self.tell))
        self.postgres_pid = started.postgres.pid
        return started.database_url, started.redis_url

    def _furnish(self, database_url: str, redis_url: str) -> None:
        import psycopg
        import redis

        from hotconfig.postgres.migrate import migrate

        def drop() -> None:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")

        drop()
        self._stack.callback(drop)
        migrate(database_url, schema=SCHEMA)
        with psycopg.connect(database_url) as connection:
            settings = ("server_version", "fsync", "synchronous_commit")
            found = [str(connection.execute(f"SHOW {name}").fetchall()[0][0]) for name in settings]
        self.versions["postgresql"] = f"{found[0]}, fsync={found[1]}, synchronous_commit={found[2]}"
        with redis.Redis.from_url(redis_url) as client:
            info = client.info("server")
            self.versions["redis"] = (
                f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info['redis_version']}"
            )
