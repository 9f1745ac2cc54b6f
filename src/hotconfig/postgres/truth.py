"""Reading and writing the truth: the SQL that the runtime's ports stand for.

Owns every statement that is not a migration. Must not know Redis, threads or settings classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final, LiteralString

import psycopg

from hotconfig.core.chain import Change, Head, Recorded, genesis
from hotconfig.core.errors import (
    AccessDeniedError,
    DatabaseUnavailableError,
    OutcomeUnknownError,
)
from hotconfig.core.judge import Loaded
from hotconfig.core.ports import Answer, Order, Written
from hotconfig.core.wire import Keyring
from hotconfig.postgres.connect import (
    Session,
    Sessions,
    close_copy,
    in_schema,
    only_reads,
    open_session,
    translate,
    translated,
)
from hotconfig.postgres.triggers import Trigger, find_faults

# One statement, therefore one snapshot: heads, values and keys belong together. Where the asked digest is in the
# history, the newest history row of each key changed since says what it is now; else all values are sent.
_LOAD: Final = """\
WITH asked AS (
    SELECT a.service, a.revision, a.digest,
        coalesce(h.revision, 0) AS head_revision,
        coalesce(h.digest, {schema}.genesis(a.service)) AS head_digest,
        a.revision = 0 OR EXISTS (SELECT FROM {schema}.config_history c WHERE c.service = a.service
            AND c.revision = a.revision AND c.digest = a.digest) AS known
    FROM unnest(%(services)s::text[], %(revisions)s::bigint[], %(digests)s::bytea[]) AS a (service, revision, digest)
    LEFT JOIN {schema}.heads h USING (service)
)
SELECT a.service, a.head_revision, a.head_digest, a.known, v.key, v.value, v.deleted, v.revision, v.by, v.reason, v.at
FROM asked a LEFT JOIN LATERAL (
    (SELECT DISTINCT ON (c.key) c.key, c.new_value AS value, c.op = 'delete' AS deleted, c.revision,
        c.changed_by AS by, c.reason, {schema}.utc_text(c.changed_at) AS at
    FROM {schema}.config_history c
    WHERE a.known AND (a.revision > 0 OR a.head_revision = 1) AND c.service = a.service AND c.revision > a.revision
        AND c.organization_id IS NULL
    ORDER BY c.key, c.revision DESC, c.ordinal DESC)
    UNION ALL
    SELECT s.key, s.value, false, NULL, NULL, NULL, NULL FROM {schema}.service_configs s
    WHERE NOT (a.known AND (a.revision > 0 OR a.head_revision = 1))
        AND s.service = a.service AND s.organization_id IS NULL
) AS v ON true
UNION ALL
SELECT NULL, k.id, k.secret, pg_is_in_recovery(), NULL, NULL, CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver)
    THEN pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() END, NULL, NULL, NULL, NULL
FROM (VALUES (1)) AS server LEFT JOIN {schema}.signing_keys k ON true
"""

_WRITE: Final = (
    "SELECT * FROM {schema}.write_config"
    "(%s, %s::text[], %s::text[], %s::boolean[], %s::boolean[], %s, %s, %s, %s::uuid, %s::boolean)"
)

_HISTORY: Final = """\
SELECT service, revision, ordinal, organization_id, key, op, old_value, new_value, sensitive, changed_by, reason,
    {schema}.utc_text(changed_at), db_user, commit_id::text, nonce::text, digest
FROM {schema}.config_history WHERE service = %(service)s
"""


class PostgresReader:
    """Reads for the line. One thread's own; connects when first used and anew after any error.

    A call is bounded by the connection's own limits: connecting and one answer, about ten seconds in all.
    """

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._load_sql = in_schema(_LOAD, schema)
        self._session: Session | None = None

    def load(self, asked: Mapping[str, Head]) -> Answer:
        """Answer for all services from one snapshot; see :class:`hotconfig.core.ports.Reader`."""
        rows = self._execute(
            "read",
            self._load_sql,
            {
                "services": list(asked),
                "revisions": [head.revision for head in asked.values()],
                "digests": [head.digest for head in asked.values()],
            },
        )
        by_service: dict[str | None, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_service.setdefault(row[0], []).append(row)
        about_server = by_service.pop(None)
        in_recovery, caught_up = bool(about_server[0][3]), bool(about_server[0][6])
        loaded = tuple(_loaded(name, asked[name], of, in_recovery) for name, of in by_service.items() if name)
        keyring = {int(i): bytes(s) for _, i, s, *_ in about_server if i is not None}
        return Answer(loaded, keyring, in_recovery, caught_up)

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        """Store a class's JSON Schema if it is new; nothing happens where the role, or the only server, may not.

        Of several servers it is told to the one that accepts writes, whichever is read.
        """
        statement = in_schema("SELECT {schema}.register_schema(%s, %s, %s::jsonb)", self._schema)
        params = [service, schema_hash, json_schema]
        try:
            self._execute("register the schema", statement, params)
        except AccessDeniedError:
            return
        except DatabaseUnavailableError as error:
            if not only_reads(error):
                raise
            self._execute_where_writable("register the schema", statement, params)

    def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        if self._session is not None:
            close_copy(self._session)

    def _execute_where_writable(self, action: str, statement: Any, params: Any) -> None:
        try:
            with (
                open_session(self._url, application_name="hotconfig reader", writable=True) as session,
                translated(self._url, action),
            ):
                session.execute(statement, params)
        except AccessDeniedError:
            return
        except DatabaseUnavailableError as error:
            if not only_reads(error):
                raise

    def _execute(self, action: str, statement: Any, params: Any) -> list[tuple[Any, ...]]:
        if self._session is None or self._session.closed:
            self._session = open_session(self._url, application_name="hotconfig reader")
        try:
            cursor = self._session.execute(statement, params)
            return cursor.fetchall()
        except psycopg.Error as error:
            self.close()
            raise translate(error, self._url, action) from error


def _loaded(service: str, asked: Head, rows: list[tuple[Any, ...]], in_recovery: bool) -> Loaded:
    _, revision, digest, known, *_ = rows[0]
    present = [row for row in rows if row[4] is not None]
    told = [row for row in present if row[7] is not None]
    newest = max(told, key=itemgetter(7, 10), default=None)
    authors, reasons = {row[8] for row in told}, {row[9] for row in told}
    # A key shows its last commit alone: whoever made the others before it does not stand here.
    alone = len(authors) == 1 and len({row[7] for row in told}) == revision - asked.revision
    return Loaded(
        service=service,
        asked=asked,
        head=Head(int(revision), bytes(digest)),
        known=bool(known),
        changes=tuple(Change(str(row[4]), row[5], deleted=bool(row[6])) for row in present),
        in_recovery=in_recovery,
        by=newest[8] if newest and alone else None,
        reason=newest[9] if newest and alone and len(reasons) == 1 else None,
        at=newest[10] if newest else None,
        several=len(authors) > 1,
    )


class PostgresWriter:
    """Writes commits, from any thread. See :class:`hotconfig.core.ports.Writer` for what it promises."""

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._sessions = Sessions(url, application_name="hotconfig writer", writable=True)
        self._write_sql = in_schema(_WRITE, schema).as_bytes()
        self._keys_sql = in_schema("SELECT id, secret FROM {schema}.signing_keys", schema)
        self._keyring: Keyring = {}

    def write(self, order: Order) -> Written:
        """Commit. When the connection breaks on the way, PostgreSQL is asked once whether the commit was made.

        Blocks for twice the time of connecting and of one answer at most: about 20 seconds.
        """
        with self._sessions.borrow(f"write service {order.service!r}") as session:
            try:
                return self._call(session, order, retry=False)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if _gave_up(error):
                    raise
        try:
            with self._sessions.borrow(f"write service {order.service!r}", fresh=True) as session:
                return self._call(session, order, retry=True)
        except (DatabaseUnavailableError, AccessDeniedError) as error:
            raise OutcomeUnknownError(
                f"service {order.service!r}: PostgreSQL stopped answering; whether the change by {order.by!r} was "
                f"committed is not known. Look at config_history for commit_id {order.commit_id} before writing again."
            ) from error

    def keyring(self) -> Keyring:
        """The signing keys; read once."""
        if not self._keyring:
            with self._sessions.borrow("read the signing keys") as session:
                self._keyring = {int(i): bytes(s) for i, s in session.execute(self._keys_sql).fetchall()}
        return self._keyring

    def close(self) -> None:
        """Close the idle connections."""
        self._sessions.close()

    def abandon(self) -> None:
        """In a forked child: close the copies of the idle sockets, send nothing."""
        self._sessions.abandon()

    def _call(self, session: Session, order: Order, *, retry: bool) -> Written:
        changes = sorted(order.changes, key=lambda change: change.key)
        row = session.execute(
            self._write_sql,
            [
                order.service,
                _array(change.key for change in changes),
                _array(change.text for change in changes),
                _array("t" if change.deleted else "f" for change in changes),
                _array("t" if change.key in order.sensitive else "f" for change in changes),
                order.by,
                order.reason,
                order.expect,
                order.commit_id.hex,
                "t" if retry else "f",
            ],
        ).fetchone()
        if row is None:
            raise OutcomeUnknownError(f"service {order.service!r}: PostgreSQL answered nothing")
        moved, revision, digest, parent, at = row
        head = Head(int(revision), bytes(digest))
        before = Head(head.revision - 1, bytes(parent)) if moved else head
        return Written(bool(moved), head, before, str(at))


def _array(items: Iterable[str | None]) -> str:
    """PostgreSQL's text form of a one-dimensional array. psycopg's own takes some 10 µs for each."""
    quoted = ("NULL" if x is None else '"' + x.replace("\\", "\\\\").replace('"', '\\"') + '"' for x in items)
    return "{" + ",".join(quoted) + "}"


def _gave_up(error: psycopg.Error) -> bool:
    """Whether PostgreSQL itself says that the statement was not carried out, such as after waiting for too long.

    Not so where the connection is lost (08, 57P). Two writers that blocked each other (40P01) are better tried again.
    """
    return error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P", "40P01"))


class Archive:
    """What people and tools ask of the truth, outside the line: lists, history, heads. One thread at a time."""

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._sessions = Sessions(url, application_name="hotconfig")

    def services(self) -> dict[str, Head]:
        """Every service that was ever written to, with its head, and those that were only bound, at their genesis."""
        rows = self._ask(
            "SELECT service, coalesce(h.revision, 0), coalesce(h.digest, {schema}.genesis(service)) "
            "FROM {schema}.heads h FULL JOIN (SELECT DISTINCT service FROM {schema}.service_schemas) s USING (service) "
            "ORDER BY service"
        )
        return {str(name): Head(int(revision), bytes(digest)) for name, revision, digest in rows}

    def texts(self, service: str) -> dict[str, str | None]:
        """The current global values of a service."""
        rows = self._ask(
            "SELECT key, value FROM {schema}.service_configs "
            "WHERE service = %(service)s AND organization_id IS NULL ORDER BY key",
            {"service": service},
        )
        return dict(rows)

    def head(self, service: str) -> Head:
        """The head of a service; its genesis if nobody wrote to it."""
        rows = self._ask(
            "SELECT revision, digest FROM {schema}.heads WHERE service = %(service)s", {"service": service}
        )
        return Head(int(rows[0][0]), bytes(rows[0][1])) if rows else genesis(service)

    def history(self, service: str, *, key: str | None = None, limit: int | None = None) -> list[Recorded]:
        """The newest changes first; all of them if ``limit`` is None."""
        rows = self._ask(
            _HISTORY
            + "AND (%(key)s::text IS NULL OR key = %(key)s) ORDER BY revision DESC, ordinal DESC LIMIT %(limit)s",
            {"service": service, "key": key, "limit": limit},
        )
        return [_recorded(row) for row in rows]

    def chain(self, service: str) -> Iterator[Recorded]:
        """All changes, oldest first, as :func:`hotconfig.core.chain.verify` wants them."""
        rows = self._ask(_HISTORY + "ORDER BY revision, ordinal", {"service": service})
        return map(_recorded, rows)

    def schemas(self, service: str) -> list[tuple[str, str | None, object]]:
        """The registered JSON Schemas of a service, newest first: hash, the role that registered it, and the document.

        Any reader may register, so a document may be anything. Before migration 0003 nobody knows the role.
        """
        rows = self._ask(
            "SELECT schema_hash, to_jsonb(s) ->> 'registered_by', json_schema FROM {schema}.service_schemas s "
            "WHERE service = %(service)s ORDER BY registered_at DESC",
            {"service": service},
        )
        return [(str(schema_hash), by, document) for schema_hash, by, document in rows]

    def trigger_faults(self) -> list[tuple[Trigger, str]]:
        """The triggers that are missing or disabled; see :func:`hotconfig.postgres.triggers.find_faults`."""
        with self._sessions.borrow("look at the triggers") as session:
            return find_faults(session, self._schema)

    def close(self) -> None:
        """Close the connections."""
        self._sessions.close()

    def _ask(self, statement: LiteralString, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self._sessions.borrow("read") as session:
            return session.execute(in_schema(statement, self._schema), params).fetchall()


def _recorded(row: tuple[Any, ...]) -> Recorded:
    return Recorded(*row)
