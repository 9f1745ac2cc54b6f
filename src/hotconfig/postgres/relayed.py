"""The relay's session: it holds the role, hears of every commit, and reads what was committed.

All three on one connection, so that whoever reads for the relay is the one who holds the lock. Must not know Redis, or
what becomes of what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, LiteralString, TypeVar

import psycopg
from psycopg import sql

from hotconfig.core.chain import Head
from hotconfig.core.errors import ConfigurationError
from hotconfig.core.ports import Notified
from hotconfig.core.relaying import LATELY_MAX, LATELY_S, REACH, Missed, Row, Standing
from hotconfig.core.wire import Keyring
from hotconfig.postgres.address import describe
from hotconfig.postgres.connect import Session, close_copy, in_schema, open_session, translate, translated

T = TypeVar("T")

PROGRAM: Final = "hotconfig relay"
"""What the server shows for a candidate, unless the URL names another."""
FROZEN_AFTER_MS: Final = 2500
"""The server ends a session that is silent for so long, and frees the lock: a frozen leader holds the role no longer.

Above the two seconds that one attempt to reach Redis may take; the leader does not speak to PostgreSQL meanwhile.
"""
CALL_TIMEOUT_S: Final = 3.0
MAX_TEXT_BYTES: Final = 32 * 1024 * 1024
"""Texts of one read. What goes beyond is announced without its value."""

LOCK: Final[LiteralString] = "hashtext('hotconfig relay'), hashtext(%(schema)s)"
"""The advisory lock of the role: one per database and schema."""

# A pooler invents the process number that it tells its clients. Nothing may be set there: it would stay for whoever is
# next. tcp_user_timeout is for a host that vanished while an answer was on its way: nothing else ends that wait.
_PREPARE: Final = """\
SELECT CASE WHEN pg_backend_pid() = %(pid)s THEN set_config('idle_session_timeout', %(frozen_ms)s, false)
    || set_config('tcp_user_timeout', %(frozen_ms)s, false) END"""

_HEADS: Final = """\
SELECT service, revision, digest, parent_digest, changed_at > clock_timestamp() - make_interval(secs => %(lately_s)s)
    AND row_number() OVER (ORDER BY changed_at DESC) <= %(lately_max)s
FROM {schema}.heads WHERE revision > 0"""

# Of each service the commits after the asked head, of a chain that does not hold that head the newest one. Rows of one
# tenant come along without their text: they move the head as well.
_MISSED: Final = """\
WITH asked AS (
    SELECT h.service, h.revision AS head_revision, h.digest AS head_digest, a.revision,
        a.revision = 0 OR EXISTS (SELECT FROM {schema}.config_history c WHERE c.service = a.service
            AND c.revision = a.revision AND c.digest = a.digest) AS known
    FROM unnest(%(services)s::text[], %(revisions)s::bigint[], %(digests)s::bytea[]) AS a (service, revision, digest)
    JOIN {schema}.heads h USING (service) WHERE h.revision > 0
), bounds AS (
    SELECT *, CASE WHEN known THEN greatest(revision, head_revision - %(reach)s) ELSE head_revision - 1 END AS base
    FROM asked
), based AS (
    SELECT b.*, coalesce((SELECT p.digest FROM {schema}.config_history p WHERE p.service = b.service
        AND p.revision = b.base ORDER BY p.ordinal DESC LIMIT 1), {schema}.genesis(b.service)) AS base_digest
    FROM bounds b
), found AS (
    SELECT b.service, b.known, b.head_revision, b.head_digest, b.base, b.base_digest, c.revision, c.ordinal, c.key,
        c.new_value, c.op, c.organization_id, c.changed_by, c.reason, c.changed_at, c.digest,
        c.organization_id IS NULL AND NOT c.sensitive AND coalesce(sum(octet_length(c.new_value))
            OVER (ORDER BY b.service, c.revision, c.ordinal), 0) <= %(max_bytes)s AS told
    FROM based b LEFT JOIN {schema}.config_history c ON c.service = b.service AND c.revision > b.base
)
SELECT service, known, head_revision, head_digest, base, base_digest,
    revision, key, CASE WHEN told THEN new_value END, op = 'delete', NOT told, organization_id IS NULL,
    changed_by, reason, {schema}.utc_text(changed_at), digest
FROM found ORDER BY service, revision, ordinal"""


# pg_locks shows both halves of the lock as numbers without a sign.
_LEADER: Final = """\
SELECT l.pid, host(a.client_addr), a.usename, a.application_name,
    has_schema_privilege(a.usesysid, n.oid, 'USAGE') AND has_table_privilege(a.usesysid, h.oid, 'SELECT')
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    LEFT JOIN pg_namespace n ON n.nspname = %(schema)s
    LEFT JOIN pg_class h ON h.relnamespace = n.oid AND h.relname = 'heads'
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = hashtext('hotconfig relay')::bigint & 4294967295
    AND l.objid::bigint = hashtext(%(schema)s)::bigint & 4294967295"""


class PostgresRelaySession:
    """See :class:`hotconfig.core.ports.RelaySession` for what it promises. Make one with :meth:`open`."""

    def __init__(self, url: str, schema: str, session: Session) -> None:
        self._url = url
        self._schema = schema
        self._session = session
        self._missed_sql = in_schema(_MISSED, schema)
        self._notified: list[Notified] = []
        session.add_notify_handler(self._take)

    @classmethod
    def open(cls, url: str, schema: str) -> PostgresRelaySession:
        """Connect and listen; the role is not asked for yet. Blocks within the bounds of any connection.

        Raises:
            ConfigurationError: a pooler stands between: no lock and no notification belongs to a client there.
            DatabaseUnavailableError, AccessDeniedError: as for any connection.
        """
        session = open_session(url, application_name=PROGRAM, writable=True, call_timeout_s=CALL_TIMEOUT_S)
        made = cls(url, schema, session)
        try:
            made._prepare()
        except BaseException:
            session.close()
            raise
        return made

    def try_lead(self) -> bool:
        """Take the role if it is free."""
        rows = self._ask("lead", in_schema(f"SELECT pg_try_advisory_lock({LOCK})", self._schema), {})
        return bool(rows[0][0])

    def standings(self) -> list[Standing]:
        """Where every service stands."""
        values = {"lately_s": LATELY_S, "lately_max": LATELY_MAX}
        rows = self._ask("read", in_schema(_HEADS, self._schema), values)
        return [
            Standing(
                str(name), Head(int(revision), bytes(digest)), Head(int(revision) - 1, bytes(parent)), bool(lately)
            )
            for name, revision, digest, parent, lately in rows
        ]

    def keyring(self) -> Keyring:
        """The signing keys as they are now."""
        rows = self._ask("read", in_schema("SELECT id, secret FROM {schema}.signing_keys", self._schema), {})
        return {int(number): bytes(secret) for number, secret in rows}

    def missed(self, asked: Mapping[str, Head]) -> list[Missed]:
        """What was committed after these heads, from one snapshot."""
        values = {
            "services": list(asked),
            "revisions": [head.revision for head in asked.values()],
            "digests": [head.digest for head in asked.values()],
            "reach": REACH,
            "max_bytes": MAX_TEXT_BYTES,
        }
        rows = self._ask("read", self._missed_sql, values)
        return [_missed(name, list(of)) for name, of in groupby(rows, itemgetter(0))]

    def beat(self) -> None:
        """A sign of life, and a look whether the server gives one."""
        self._ask("ping", "SELECT 1", {})

    def fileno(self) -> int:
        """The socket to wait on."""
        return self._do(self._session.fileno, "listen")

    def receive(self) -> list[Notified]:
        """The notifications that have arrived, those beside an answer too. Does not block."""
        self._do(self._consume, "listen")
        taken, self._notified = self._notified, []
        return taken

    def close(self) -> None:
        """Close the socket, and with it the role; never raises."""
        self._session.close()

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing; the parent keeps the role."""
        close_copy(self._session)

    def _prepare(self) -> None:
        values = {"pid": self._session.info.backend_pid, "frozen_ms": str(FROZEN_AFTER_MS)}
        if self._ask("listen", _PREPARE, values) == [(None,)]:
            raise ConfigurationError(
                f"PostgreSQL at {describe(self._url)} is behind a connection pooler, where no relay can work: its role "
                "is a lock of one session. Give the relay a URL that leads to PostgreSQL itself"
            )
        self._ask("listen", sql.SQL("LISTEN {}").format(sql.Identifier(self._schema)), None)

    def _consume(self) -> None:
        pgconn = self._session.pgconn
        pgconn.consume_input()
        while (notification := pgconn.notifies()) is not None:
            self._note(notification.extra.decode("utf-8", "replace"))

    def _take(self, notification: psycopg.Notify) -> None:
        self._note(notification.payload)

    def _note(self, payload: str) -> None:
        service, _, revision = payload.rpartition(" ")
        if service and revision.isdecimal() and len(revision) <= 18:  # a bigint; anybody may notify anything
            self._notified.append(Notified(service, int(revision)))

    def _ask(self, action: str, statement: Any, values: dict[str, Any] | None) -> list[tuple[Any, ...]]:
        given = None if values is None else values | {"schema": self._schema}

        def ask() -> list[tuple[Any, ...]]:
            cursor = self._session.execute(statement, given)
            return cursor.fetchall() if cursor.description else []

        return self._do(ask, action)

    def _do(self, call: Callable[[], T], action: str) -> T:
        try:
            return call()
        except psycopg.Error as error:
            raise translate(error, self._url, action) from error


def _missed(service: str, rows: list[tuple[Any, ...]]) -> Missed:
    _, known, revision, digest, base, base_digest, *_ = rows[0]
    return Missed(
        service=service,
        known=bool(known),
        head=Head(int(revision), bytes(digest)),
        base=Head(int(base), bytes(base_digest)),
        rows=tuple(_rows(rows)),
    )


def _rows(rows: list[tuple[Any, ...]]) -> Iterator[Row]:
    for *_, revision, key, text, deleted, withheld, everyones, by, reason, at, digest in rows:
        if revision is not None:
            yield Row(int(revision), key, text, deleted, withheld, everyones, by, reason, at, bytes(digest))


@dataclass(frozen=True, slots=True)
class Leader:
    """Who holds the role, as PostgreSQL sees it. Every login of the database can take the lock."""

    pid: int
    address: str | None
    role: str
    program: str
    may_read: bool

    @property
    def is_relay(self) -> bool:
        """Whether it can be a relay: it calls itself one, and its role may read what is to be announced."""
        return self.may_read and self.program == PROGRAM

    def __str__(self) -> str:
        where = f", from {self.address}" if self.address else ""
        return f"server process {self.pid}{where} (role {self.role!r}, program {self.program!r})"


def find_leader(url: str, schema: str) -> Leader | None:
    """Who holds the role; None if nobody does. Raises as any connection."""
    with (
        open_session(url, application_name="hotconfig doctor", writable=True) as session,
        translated(url, "look for the relay"),
    ):
        found = session.execute(_LEADER, {"schema": schema}).fetchone()
    if found is None:
        return None
    pid, address, role, program, may_read = found
    return Leader(int(pid), address, str(role or ""), str(program or ""), bool(may_read))
