"""Everything a test needs to look at and meddle with one database: a connection, the archive, roles."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from psycopg import conninfo, sql

from hotconfig.core.chain import Break, Change, verify
from hotconfig.core.ports import Order
from hotconfig.postgres.truth import Archive
from hotconfig.testing.memory import MemoryTruth

_numbers = itertools.count()


class _Reading:
    """What an archive of any kind tells."""

    archive: Archive | MemoryTruth

    def revision(self, service: str = "ai") -> int:
        return self.archive.head(service).revision

    def told(self, service: str = "ai", *, after: int = 0) -> list[tuple[int, int, str, str, str | None, str | None]]:
        """The history after a revision: revision, ordinal, op, key, old and new."""
        return [
            (row.revision, row.ordinal, row.op, row.key, row.old_value, row.new_value)
            for row in self.archive.chain(service)
            if row.revision > after
        ]

    def broken(self, service: str = "ai") -> Break | None:
        """Where the chain of a service does not hold."""
        return verify(service, self.archive.chain(service), self.archive.head(service))


class MemoryDesk(_Reading):
    """The same of a truth in memory, as far as it has it."""

    archive: MemoryTruth

    def __init__(self) -> None:
        self.archive = MemoryTruth()

    def put(self, service: str = "ai", **texts: str | None) -> None:
        """Commit by hand, one by one."""
        for key, text in texts.items():
            self.archive.commit(service, Change(key, text))

    def remove(self, key: str) -> None:
        """Delete by hand."""
        self.archive.commit("ai", Change(key, deleted=True))


class Desk(_Reading):
    """One database with hotconfig's tables, seen as its superuser, in autocommit mode."""

    archive: Archive

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg.connect(url, autocommit=True)
        self.archive = Archive(url, schema="hotconfig")

    def close(self) -> None:
        self.archive.close()
        self.connection.close()

    def run(self, statement: LiteralString, params: Any = None) -> list[tuple[Any, ...]]:
        """Execute, in hotconfig's schema, and return the rows if there are any."""
        cursor = self.connection.execute(statement, params)
        return cursor.fetchall() if cursor.description else []

    def put(self, service: str = "ai", **texts: str | None) -> None:
        """Insert rows by hand, one statement each; those that are there are updated."""
        for key, text in texts.items():
            self.run(
                "INSERT INTO hotconfig.service_configs AS s VALUES (%s, %s, NULL, %s) "
                "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value",
                [service, key, text],
            )

    def remove(self, key: str) -> None:
        """Delete by hand."""
        self.run("DELETE FROM hotconfig.service_configs WHERE service = 'ai' AND key = %s", [key])

    @contextmanager
    def role(self, *grants: LiteralString) -> Generator[str]:
        """The URL of a new login role, after ``grants`` with ``{role}`` replaced."""
        name = f"role_{next(_numbers)}_{secrets.token_hex(4)}"
        quoted = sql.Identifier(name)
        password = secrets.token_hex(8)
        self.connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(quoted, sql.Literal(password)))
        try:
            for grant in grants:
                self.connection.execute(sql.SQL(grant).format(role=quoted, name=sql.Literal(name)))
            yield conninfo.make_conninfo(self.url, user=name, password=password)
        finally:
            self.connection.execute(sql.SQL("DROP OWNED BY {}").format(quoted))
            self.connection.execute(sql.SQL("DROP ROLE {}").format(quoted))


def order(
    service: str = "ai",
    changes: Iterable[Change] = (),
    *,
    expect: int | None = None,
    sensitive: Iterable[str] = (),
    **texts: str | None,
) -> Order:
    """An order by ann, of changes and of texts by key."""
    made = (*changes, *(Change(key, text) for key, text in texts.items()))
    return Order(service, made, frozenset(sensitive), "ann", "testing", expect, uuid4())


def heard(connection: psycopg.Connection[Any]) -> list[str]:
    """What a listening connection has heard up to now: the payloads, in order."""
    mark = f"end {secrets.token_hex(4)}"
    connection.execute("SELECT pg_notify('hotconfig', %s)", [mark])
    found: list[str] = []
    for notice in connection.notifies(timeout=5):
        if notice.payload == mark:
            return found
        found.append(notice.payload)
    raise AssertionError(f"the end mark did not come; heard {found}")
