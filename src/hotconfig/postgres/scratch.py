"""Schemas for single tests: made, lent, and dropped whole. Nothing that lives longer belongs here."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from psycopg import sql

from hotconfig.core.errors import ConfigurationError
from hotconfig.postgres.connect import open_session, translated
from hotconfig.postgres.migrate import MIGRATE_TIMEOUT_S, migrate

PREFIX: Final = "hotconfig_test_"
_NAME: Final = re.compile(rf"{PREFIX}[a-z0-9_]{{1,48}}")


@contextmanager
def scratch_schema(url: str, name: str) -> Generator[str]:
    """Lend a schema with hotconfig's tables, and drop it afterwards with all that it holds.

    Blocks within the bounds of any connection, and for as long as the migrations take: some 0.1 s.

    Args:
        url: A database whose role may create schemas.
        name: Of the schema; it begins with ``hotconfig_test_``, so that nothing else is ever dropped.

    Raises:
        ConfigurationError: the name begins otherwise, or is not lower-case letters, digits and ``_``.
        DatabaseUnavailableError, AccessDeniedError: as for any connection.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is dropped after the test, so it has to be called {PREFIX}... in lower case"
        )
    migrate(url, schema=name)
    try:
        yield name
    finally:
        _drop(url, name)


def _drop(url: str, name: str) -> None:
    with (
        open_session(url, application_name="hotconfig testing", writable=True, call_timeout_s=MIGRATE_TIMEOUT_S) as at,
        translated(url, "drop a test's schema"),
    ):
        # Without a word about what goes along.
        at.execute("SET client_min_messages = warning")
        at.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
