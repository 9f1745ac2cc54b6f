"""What a command may reach, and how: URLs from options or the environment, opened when first needed.

The adapters are imported here and late, so that ``--help`` costs nothing and a missing libpq becomes a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hotconfig.core.errors import ConfigurationError

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive, PostgresWriter
    from hotconfig.runtime.publishing import Publisher

NO_DATABASE = (
    "no database: set HOTCONFIG_DATABASE_URL or give --database-url postgresql://user:password@host:5432/database"
)
NO_SYLLABLE = 8
"""Passwords of so many characters are masked also within words."""
NO_LIBPQ = "psycopg cannot be loaded, most likely for want of libpq: pip install 'hotconfig[binary]'"
_REDIS = (
    *("redis://", "rediss://", "unix://"),
    *("redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "rediss+cluster://"),
)
_REDIS_URL = "the Redis URL (--redis-url or HOTCONFIG_REDIS_URL)"
_KEYWORDS = re.compile(r"\s*\w+\s*=")


@dataclass(frozen=True, slots=True)
class Connections:
    """Where PostgreSQL and Redis are. ``redis_url`` is None where there is no Redis."""

    database_url: str | None
    redis_url: str | None
    schema: str

    @property
    def database(self) -> str:
        """PostgreSQL's URL.

        Raises:
            ConfigurationError: there is none, or it is no URL of PostgreSQL.
        """
        url = self.database_url
        if not url:
            raise ConfigurationError(NO_DATABASE)
        if not (url.startswith(("postgresql://", "postgres://")) or _KEYWORDS.match(url)):
            raise ConfigurationError(
                "the database URL (--database-url or HOTCONFIG_DATABASE_URL) is not PostgreSQL's: it has to look like "
                "postgresql://user:password@host:5432/database"
            )
        return url

    @property
    def redis(self) -> str | None:
        """Redis's URL, if there is one.

        Raises:
            ConfigurationError: it is no URL of Redis, or cannot be taken apart; redis-py would repeat a part of the
                password.
        """
        if self.redis_url and not self.redis_url.startswith(_REDIS):
            raise ConfigurationError(f"{_REDIS_URL} is not Redis's: it has to begin with {', '.join(_REDIS)}")
        if self.redis_url:
            try:
                for host in urlsplit(self.redis_url).netloc.rpartition("@")[2].split(","):
                    _ = urlsplit(f"//{host}").port
            except ValueError:
                raise ConfigurationError(
                    f"{_REDIS_URL} cannot be read: it has to look like redis://user:password@host:6379/0, and a "
                    "password's special characters are written as %2F for '/', %40 for '@' and so on"
                ) from None
        return self.redis_url

    @contextmanager
    def archive(self) -> Generator[Archive]:
        """Lists and history; closed with the block."""
        with libpq_needed():
            from hotconfig.postgres.migrate import check_schema_name  # noqa: PLC0415 - late, see above
            from hotconfig.postgres.truth import Archive  # noqa: PLC0415
        archive = Archive(self.database, schema=check_schema_name(self.schema))
        try:
            yield archive
        finally:
            archive.close()

    @contextmanager
    def writer(self) -> Generator[PostgresWriter]:
        """Writing, and the signing keys; closed with the block."""
        with libpq_needed():
            from hotconfig.postgres.migrate import check_schema_name  # noqa: PLC0415 - late, see above
            from hotconfig.postgres.truth import PostgresWriter  # noqa: PLC0415
        writer = PostgresWriter(self.database, schema=check_schema_name(self.schema))
        try:
            yield writer
        finally:
            writer.close()

    @contextmanager
    def publisher(self) -> Generator[Publisher]:
        """Writing and announcing; without Redis nothing is announced. Closed with the block."""
        with self.writer() as writer:
            from hotconfig.redis.publish import RedisAnnouncer  # noqa: PLC0415 - late, see above
            from hotconfig.runtime.publishing import Publisher  # noqa: PLC0415

            announcer = RedisAnnouncer(self.redis) if self.redis else None
            publisher = Publisher(writer, announcer)
            try:
                yield publisher
            finally:
                publisher.close()

    def redacted(self, text: str) -> str:
        """``text`` without the passwords of both URLs, should a driver have repeated one."""
        for url in filter(None, (self.database_url, self.redis_url)):
            text = text.replace(url, "<URL>")
            for secret in _secrets(url):
                text = re.sub(_anywhere(secret), "***", text)
        return text


@contextmanager
def libpq_needed() -> Generator[None]:
    """Turn the ImportError of a psycopg that finds no libpq into ours."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(NO_LIBPQ) from error


def _anywhere(secret: str) -> str:
    """A short one stands in many a word: masked there it would show, and nobody could read the rest."""
    pattern = re.escape(secret)
    return pattern if len(secret) >= NO_SYLLABLE else rf"(?<!\w){pattern}(?!\w)"


def _secrets(url: str) -> list[str]:
    """The password of a URL or a libpq connection string, quoted and unquoted; longest first."""
    found = re.findall(r"password\s*=\s*'?([^\s'&]+)", url)
    _, at, rest = url.partition("://")
    userinfo = rest.rpartition("@")[0] if at else ""
    found.append(userinfo.partition(":")[2])
    try:
        found.append(urlsplit(url).password or "")
    except ValueError:  # brackets that are no address; the partition above has it
        found.append("")
    parts = {part for secret in found for part in (secret, unquote(secret)) if part}
    return sorted(parts, key=len, reverse=True)
