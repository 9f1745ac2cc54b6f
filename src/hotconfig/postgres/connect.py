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
from time import monotonic
from typing import Any, Final, LiteralString, Self, TypeVar

import psycopg
from psycopg import conninfo, errors, sql
from psycopg.abc import PQGen, Query

from hotconfig.core.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
    HotConfigError,
    SchemaMissingError,
)
from hotconfig.postgres.address import Parts, describe, for_writing, parse

logger: Final = logging.getLogger("hotconfig.postgres")

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 5
"""For all addresses of a URL together, unless it says ``connect_timeout``, which counts for each."""
ADDRESS_TIMEOUT_S: Final = 2
"""What each address gets at least; psycopg knows no shorter limit."""
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


_MISTAKEN: Final = {
    "unsupported startup parameter": "Leave it out of the URL, or let PgBouncer ignore it (ignore_startup_parameters)",
    "server does not support SSL": "Have the server speak TLS, or take sslmode out of the URL",
}
"""What a URL asks for and a server does not have, in words that come without a SQLSTATE; with the way out."""

# Roles, databases and PGOPTIONS may preset anything. A reader may have put an operator for our types into the public
# schema, which would run as whoever reads: hence the path. Writers wait for each other and go on, which no other level
# of isolation lets them. psycopg escapes a digest for strings of the old kind, though it sends it as a parameter.
_SETTLE: Final = """\
SELECT CASE WHEN pg_backend_pid() = %s
    THEN set_config('statement_timeout', coalesce(%s, current_setting('statement_timeout')), false)
        || set_config('search_path', 'pg_catalog', false)
        || set_config('default_transaction_isolation', 'read committed', false)
        || set_config('standard_conforming_strings', 'on', false) END"""

_PREFIX: Final = ("SET LOCAL statement_timeout = {}; ", "SET LOCAL search_path = pg_catalog; ")
_LIMIT: Final = sql.SQL("".join(_PREFIX)).format(STATEMENT_TIMEOUT_MS)


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait ends after ``call_timeout_s`` seconds, even if the server is frozen.

    libpq's own timeouts do not cover a stopped server: its kernel still acknowledges every packet. ``pooled``: a pooler
    stands between, and the next statement may meet another server process.
    """

    call_timeout_s: float = CALL_TIMEOUT_S
    pooled: bool = False
    cursor_factory: type[psycopg.Cursor[tuple[Any, ...]]]

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        return super().wait(gen, interval, self.call_timeout_s if timeout is None else timeout)

    def settle(self, statement_timeout_ms: int | None) -> None:
        """Find out whether a pooler stands between, and have the server end slow statements. One round trip.

        What the role or the environment presets does not count, neither a search path nor a level of isolation.

        A pooler invents the process number that it tells its clients. Nothing may be set there for longer than a
        transaction, since it would stay for whoever is next, and no statement be prepared.
        """
        limit = None if statement_timeout_ms is None else str(statement_timeout_ms)
        row = self.execute(_SETTLE, [self.info.backend_pid, limit], prepare=False).fetchone()
        self.pooled = row is None or row[0] is None
        if self.pooled:
            self.prepare_threshold = None
            if statement_timeout_ms is not None:
                self.cursor_factory = PooledCursor


class PooledCursor(psycopg.ClientCursor[tuple[Any, ...]]):
    """Sends limit and path along with every statement: all make one transaction and one round trip, nothing stays."""

    def execute(
        self,
        query: Query,
        params: Any = None,
        *,
        prepare: bool | None = None,  # noqa: ARG002 - psycopg's signature
        binary: bool | None = None,
    ) -> Self:
        super().execute(_limited(query), params, binary=binary)
        for _ in _PREFIX:
            self.nextset()
        return self


def _limited(query: Query) -> bytes | sql.Composed:
    if isinstance(query, sql.Composable):
        return _LIMIT + query
    assert isinstance(query, str | bytes)  # noqa: S101 - nothing else is used here
    return _LIMIT.as_bytes() + (query.encode() if isinstance(query, str) else query)


def open_session(
    url: str,
    *,
    application_name: str,
    writable: bool = False,
    call_timeout_s: float = CALL_TIMEOUT_S,
    statement_timeout_ms: int | None = STATEMENT_TIMEOUT_MS,
) -> Session:
    """Connect in autocommit mode.

    Blocks for at most ``CONNECT_TIMEOUT_S`` seconds, or ``ADDRESS_TIMEOUT_S`` for each address if that is more, beside
    the time that the operating system takes to resolve names, and a second.

    Args:
        url: One server or several.
        application_name: What the server shows, unless the URL names another.
        writable: Of several servers, the one that accepts writes.
        call_timeout_s: How long the client waits for any answer afterwards.
        statement_timeout_ms: After which the server gives up; the URL's ``options`` win. None: as the server has it.

    Raises:
        DatabaseUnavailableError: nobody answers, or the server is starting or full, or none accepts writes.
        AccessDeniedError: the credentials or the database name are refused.
        ConfigurationError: the URL cannot be read.
    """
    parts = parse(url)
    deadline_s = monotonic() + CONNECT_TIMEOUT_S
    with translated(url, "connect"):
        session = _connect(for_writing(parts) if writable else parts, application_name)
        try:
            session.call_timeout_s = max(1.0, deadline_s - monotonic())
            session.settle(None if "statement_timeout" in parts.get("options", "") else statement_timeout_ms)
        except BaseException:
            session.close()
            raise
    session.call_timeout_s = call_timeout_s
    return session


def _connect(parts: Parts, application_name: str) -> Session:
    """Try one address after the other, as psycopg does by itself, but within one limit for all of them."""
    addresses = conninfo.conninfo_attempts(parts)
    timeout_s = max(ADDRESS_TIMEOUT_S, CONNECT_TIMEOUT_S // len(addresses))
    defaults: Parts = {"connect_timeout": timeout_s, "application_name": application_name}
    needed: Parts = {"client_encoding": "UTF8"}  # psycopg reads and writes what PGCLIENTENCODING or the URL say
    failures: list[psycopg.OperationalError] = []
    for address in addresses:
        try:
            return Session.connect(conninfo.make_conninfo("", **(defaults | address | needed)), autocommit=True)
        except psycopg.OperationalError as failure:
            # Its frames hold the socket of an attempt that timed out, for as long as anybody keeps the error.
            failures.append(failure.with_traceback(None))
    if len(failures) == 1:
        raise failures[0]
    raise psycopg.OperationalError("; ".join(_first_line(failure) for failure in failures)) from failures[-1]


class Sessions:
    """A few idle connections, shared by the threads that write. Any thread may borrow.

    Not a pool with workers of its own: a caller gets the server's own words when connecting fails, at once,
    rather than a pool's time-out.
    """

    def __init__(self, url: str, *, application_name: str, writable: bool = False) -> None:
        self._url = url
        self._application_name = application_name
        self._writable = writable
        self._lock = threading.RLock()  # a signal handler may close what its own thread is using
        self._idle: list[Session] = []
        self._closed = False

    @contextlib.contextmanager
    def borrow(self, action: str, *, fresh: bool = False) -> Generator[Session]:
        """Lend a connection for one action; driver errors inside come out translated.

        ``fresh`` never reuses an idle connection. A connection that broke is not kept, nor are the idle ones then:
        their server may be frozen, demoted or replaced as well.
        """
        session = None if fresh else self._take()
        if session is None:
            session = open_session(self._url, application_name=self._application_name, writable=self._writable)
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
            close_copy(session)

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
            doubtful: list[Session] = []
            if not usable:
                doubtful, self._idle = self._idle, []
        for each in (session, *doubtful):
            each.close()


def _has_something_to_say(session: Session) -> bool:
    """Whether an idle connection is readable: it can only be a farewell."""
    if not hasattr(select, "poll"):
        readable, _, _ = select.select([session.fileno()], [], [], 0)
        return bool(readable)
    waiting = select.poll()  # select() refuses descriptors from 1,024 up
    waiting.register(session.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def close_copy(session: Session) -> None:
    """Let go of this process's copy of an inherited connection. Nothing is sent; the parent's stays open.

    The number leads nowhere from now on: libpq still knows it, and must not meet somebody else's socket there.
    """
    try:
        fileno = session.fileno()
    except psycopg.Error:
        return  # the parent had closed it, or was just losing it
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
    except OSError as error:  # while it waits psycopg may need a descriptor of its own
        said = f"PostgreSQL at {describe(url)} was not asked ({action}): {error.strerror or type(error).__name__}"
        raise DatabaseUnavailableError(said) from error


def translate(error: psycopg.Error, url: str, action: str) -> HotConfigError:
    """The error of ours that says what the caller can do about ``error``."""
    where = describe(url)
    said = _first_line(error)
    if error.sqlstate == EXPECTED_REVISION_MISSED:
        return ConflictError(f"{said}. Somebody else wrote first: read again, then decide.")
    if isinstance(error, _DENIED) or _is_login_refusal(error):
        return AccessDeniedError(
            f"PostgreSQL at {where} refused to {action}: {said}. "
            "Check user, password and database in the URL, and the role's grants "
            "(grant_reader, grant_writer, grant_provisioner)."
        )
    if isinstance(error, _MISSING):
        return SchemaMissingError(
            f"PostgreSQL at {where} has no hotconfig tables of this version ({said}). "
            "Run `hotconfig migrate`, or name the right schema with HOTCONFIG_SCHEMA."
        )
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return DatabaseUnavailableError(
            f"PostgreSQL at {where} only reads: it is a standby, was demoted, or is set to read-only ({action})"
        )
    way_out = next((way for words, way in _MISTAKEN.items() if words in str(error)), None)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and way_out is None:
        return DatabaseUnavailableError(f"PostgreSQL at {where} did not answer ({action}): {said}")
    return ConfigurationError(
        f"PostgreSQL at {where} refused to {action}: {said}" + ("" if way_out is None else f". {way_out}")
    )


def only_reads(error: HotConfigError) -> bool:
    """Whether the server refused because it is a standby or set to read-only; nothing was done then."""
    return isinstance(error.__cause__, errors.ReadOnlySqlTransaction)


def in_schema(template: LiteralString, schema: str) -> sql.Composed:
    """Put the quoted schema name where ``template`` says ``{schema}``."""
    return sql.SQL(template).format(schema=sql.Identifier(schema))


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
            "permission denied for database",
        )
    )
