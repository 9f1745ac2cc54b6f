"""Hearing about commits from PostgreSQL itself: ``LISTEN``, the way in while there is no Redis.

A notification says which service reached which revision, never what changed: it is a hint. Must not know what the
line makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import psycopg
from psycopg import sql

from hotconfig.core.errors import ConfigurationError, DatabaseUnavailableError, HotConfigError
from hotconfig.core.ports import Event, Notified, Pong
from hotconfig.postgres.address import describe
from hotconfig.postgres.connect import Session, close_copy, only_reads, open_session, translate, translated

_IMPOSSIBLE: Final = "PostgreSQL at {} {}, where LISTEN does not work: changes are found by polling"


class PostgresListener:
    """See :class:`hotconfig.core.ports.Subscription` for what it promises. Make one with :meth:`open`."""

    def __init__(self, url: str, session: Session) -> None:
        self._url = url
        self._session = session
        self._pgconn = session.pgconn

    @classmethod
    def open(cls, url: str, schema: str) -> PostgresListener:
        """Connect and listen. Blocks within the bounds of any connection.

        Raises:
            ConfigurationError: a pooler stands between, on whose connections notifications get lost; or the only
                server is a standby, which does not notify.
            DatabaseUnavailableError, AccessDeniedError: as for any connection.
        """
        session = open_session(url, application_name="hotconfig listener", writable=True)
        if session.pooled:
            session.close()
            raise ConfigurationError(_IMPOSSIBLE.format(describe(url), "is behind a connection pooler"))
        try:
            with translated(url, "listen"):
                session.execute(sql.SQL("LISTEN {}").format(sql.Identifier(schema)))
        except BaseException as error:
            session.close()
            if isinstance(error, HotConfigError) and only_reads(error):
                raise ConfigurationError(_IMPOSSIBLE.format(describe(url), "is a standby")) from error
            raise
        session.pgconn.nonblocking = 1
        return cls(url, session)

    def fileno(self) -> int:
        """The socket to wait on."""
        if self._session.closed:
            raise DatabaseUnavailableError(f"PostgreSQL at {describe(self._url)}: the listening connection is closed")
        return self._pgconn.socket

    def follow(self, services: Iterable[str]) -> bool:  # noqa: ARG002 - one channel brings all of them
        """One channel brings all services: they are heard already."""
        return False

    def ping(self) -> None:
        """Ask for a pong, without waiting for it."""
        with translated(self._url, "ping"):
            self._pgconn.send_query(b"SELECT 1")
            self._pgconn.flush()

    def receive(self, limit: int) -> list[Event]:
        """What has arrived, without blocking. ``limit`` is a wish: PostgreSQL folds equal notifications."""
        try:
            self._pgconn.consume_input()
            return [*self._notified(), *self._pongs()]
        except psycopg.Error as error:
            raise translate(error, self._url, f"listen, at most {limit} at once") from error

    def close(self) -> None:
        """Close the socket; never raises."""
        self._session.close()

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        close_copy(self._session)

    def _notified(self) -> Iterator[Event]:
        while (notification := self._pgconn.notifies()) is not None:
            service, _, revision = notification.extra.decode("utf-8", "replace").rpartition(" ")
            if service and revision.isdecimal() and len(revision) <= 19:  # a bigint; anybody may notify anything
                yield Notified(service, int(revision))

    def _pongs(self) -> Iterator[Event]:
        while not self._pgconn.is_busy() and self._pgconn.get_result() is not None:
            yield Pong()
