"""Connections to PostgreSQL that never block longer than they say, and the translation of driver errors.

Must not know what is read or written over them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Generator
from typing import Any, Final, LiteralString, TypeVar

import psycopg
from psycopg import conninfo, errors, sql
from psycopg.abc import PQGen

from hotconfig.core.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
    HotConfigError,
    SchemaMissingError,
)

logger = logging.getLogger("hotconfig.postgres")

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 5
CALL_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_MS: Final = 4000
"""Below the client's own deadline, so that the usual slow statement ends with a definite answer."""
MAX_IDLE: Final = 4

EXPECTED_REVISION_MISSED: Final = "HC002"
"""SQLSTATE of write_config when another commit came first; see 0001_truth.sql."""

_DENIED: Final = (
    errors.InvalidPassword,
    errors.InvalidAuthorizationSpecification,
    errors.InsufficientPrivilege,
)
_MISSING: Final = (
    errors.UndefinedTable,
    errors.UndefinedFunction,
    errors.UndefinedColumn,
    errors.InvalidSchemaName,
)


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait ends after ``call_timeout_s`` seconds, even if the server is frozen.

    libpq's own timeouts do not cover a stopped server: its kernel still acknowledges every packet.
    """

    call_timeout_s: float = CALL_TIMEOUT_S

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        return super().wait(gen, interval, self.call_timeout_s if timeout is None else timeout)


def open_session(url: str, *, application_name: str, call_timeout_s: float = CALL_TIMEOUT_S) -> Session:
    """Connect in autocommit mode. Blocks for at most about ``CONNECT_TIMEOUT_S`` seconds per host.

    Raises:
        DatabaseUnavailableError: nobody answers, or the server is starting or full.
        AccessDeniedError: the credentials or the database name are refused.
        ConfigurationError: the URL cannot be read.
    """
    given = _parse(url)
    with translated(url, "connect"):
        defaults: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application_name,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
        }
        session = Session.connect(
            conninfo.make_conninfo("", **(defaults | {k: v for k, v in given.items() if v is not None})),
            autocommit=True,
        )
    session.call_timeout_s = call_timeout_s
    return session


class Sessions:
    """A few idle connections, shared by the threads that write. Any thread may borrow.

    Not a pool with workers of its own: a caller gets the server's own words when connecting fails, at once,
    rather than a pool's time-out.
    """

    def __init__(self, url: str, *, application_name: str) -> None:
        self._url = url
        self._application_name = application_name
        self._lock = threading.RLock()  # a signal handler may close what its own thread is using
        self._idle: list[Session] = []
        self._closed = False

    @contextlib.contextmanager
    def borrow(self, action: str, *, fresh: bool = False) -> Generator[Session]:
        """Lend a connection for one action; driver errors inside come out translated.

        ``fresh`` never reuses an idle connection. A connection that broke is not kept.
        """
        session = None if fresh else self._take()
        if session is None:
            session = open_session(self._url, application_name=self._application_name)
        try:
            with translated(self._url, action):
                yield session
        except DatabaseUnavailableError:
            session.close()  # broken, or a server that should not be asked again
            raise
        finally:
            self._give_back(session)

    def close(self) -> None:
        """Close the idle connections; those on loan are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def abandon(self) -> None:
        """In a forked child: close the copies of the idle sockets, send nothing. Takes no lock."""
        for session in self._idle:
            if not session.closed:
                close_copy(session.fileno())

    def _take(self) -> Session | None:
        with self._lock:
            while self._idle:
                session = self._idle.pop()
                if not session.closed and not _has_something_to_say(session):
                    return session
                session.close()
        return None

    def _give_back(self, session: Session) -> None:
        usable = not session.closed and session.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            if usable and not self._closed and len(self._idle) < MAX_IDLE:
                self._idle.append(session)
                return
        session.close()


def _has_something_to_say(session: Session) -> bool:
    """Whether an idle connection is readable: it can only be a farewell."""
    if not hasattr(select, "poll"):
        readable, _, _ = select.select([session.fileno()], [], [], 0)
        return bool(readable)
    waiting = select.poll()  # select() refuses descriptors from 1,024 up
    waiting.register(session.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def close_copy(fileno: int) -> None:
    """Let go of this process's copy of an inherited descriptor. Nothing is sent; the parent's stays open.

    The number leads nowhere from now on: libpq still knows it, and must not meet somebody else's socket there.
    """
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, fileno, inheritable=False)
        os.close(nowhere)
    except OSError:
        logger.debug("the copy of an inherited connection stays open")


@contextlib.contextmanager
def translated(url: str, action: str) -> Generator[None]:
    """Turn psycopg's errors into ours, once, here. The message names the server, never the password."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, url, action) from error


def translate(error: psycopg.Error, url: str, action: str) -> HotConfigError:
    """The error of ours that says what the caller can do about ``error``."""
    where = describe(url)
    said = _first_line(error)
    if error.sqlstate == EXPECTED_REVISION_MISSED:
        return ConflictError(f"{said}. Somebody else wrote first: read again, then decide.")
    if isinstance(error, _DENIED) or _is_login_refusal(error):
        return AccessDeniedError(
            f"PostgreSQL at {where} refused to {action}: {said}. "
            "Check user, password and database in the URL, and the role's grants (grant_reader, grant_writer)."
        )
    if isinstance(error, _MISSING):
        return SchemaMissingError(
            f"PostgreSQL at {where} has no hotconfig tables of this version ({said}). "
            "Run `hotconfig migrate`, or name the right schema with HOTCONFIG_SCHEMA."
        )
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return DatabaseUnavailableError(f"PostgreSQL at {where} only reads: it is a standby, or was demoted ({action})")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseUnavailableError(f"PostgreSQL at {where} did not answer ({action}): {said}")
    return ConfigurationError(f"PostgreSQL at {where} refused to {action}: {said}")


def describe(url: str) -> str:
    """Host, port and database of a URL, for messages: never user or password."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "<unreadable URL>"
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"


def in_schema(template: LiteralString, schema: str) -> sql.Composed:
    """Put the quoted schema name where ``template`` says ``{schema}``."""
    return sql.SQL(template).format(schema=sql.Identifier(schema))


def _parse(url: str) -> dict[str, Any]:
    """Take a URL apart. libpq's own words about a malformed one quote it, password and all: they go no further."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}
    ports = str(parts.get("port", "")).split(",")
    if not parts or not all(port.isdecimal() or not port for port in ports):
        raise ConfigurationError(
            "the PostgreSQL URL cannot be read: write postgresql://user:password@host:5432/database, with special "
            "characters in user and password percent-encoded"
        )
    return parts


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[0]
    return text.strip()


def _is_login_refusal(error: psycopg.Error) -> bool:
    # libpq reports no SQLSTATE for a connection that failed; the server's FATAL line is all there is.
    return isinstance(error, psycopg.OperationalError) and any(
        words in str(error)
        for words in (
            "authentication failed",
            "no password supplied",
            "does not exist",
            "no pg_hba.conf entry",
        )
    )
