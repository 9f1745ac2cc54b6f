"""PostgreSQL on more than one node: a primary, copies of it, streaming standbys, promotion. Debian's PostgreSQL 15.

The wheel's PostgreSQL 18 is copied for ``nobody`` without ``pg_basebackup``.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import conninfo

from hotconfig.embedded import EmbeddedPostgres
from hotconfig.embedded.supervision import Command
from tests.support.databases import FAST
from tests.support.servers import postgres_15_binaries
from tests.support.waiting import eventually

_BASE_BACKUP_WITHIN_S = 60.0
_PATIENCE_S = 20


class Primary(EmbeddedPostgres):
    """A server that others can be copied from."""

    def __init__(self) -> None:
        super().__init__(binaries=postgres_15_binaries(), settings=FAST)


class Copy(EmbeddedPostgres):
    """A server on a base backup of ``origin``, taken by ``pg_basebackup`` at :meth:`launch`.

    With ``follows`` it is a streaming standby, otherwise a primary of its own once it is started: a restored backup.
    """

    def __init__(self, origin: EmbeddedPostgres, *, follows: bool) -> None:
        super().__init__(binaries=postgres_15_binaries(), settings=FAST)
        self._origin = origin
        self._follows = follows

    def url_of(self, database: str) -> str:
        return conninfo.make_conninfo(self._origin.url_of(database), host="127.0.0.1", port=self.port)

    @property
    def replays(self) -> bool:
        """Whether it is a standby still."""
        return bool(ask(self.url, "SELECT pg_is_in_recovery()"))

    def pause(self) -> None:
        """Go on receiving, and show nothing of it."""
        ask(self.url, "SELECT pg_wal_replay_pause()")
        eventually(lambda: ask(self.url, "SELECT pg_get_wal_replay_pause_state()") == "paused", 20)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        ask(self.url, "SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        """Become the primary; a paused standby takes over what it has received first."""
        assert ask(self.url, "SELECT pg_promote(true, 60)")

    def catch_up(self) -> None:
        """Wait until it shows all that its origin holds."""
        with psycopg.connect(self._origin.url) as session:  # a commit that is sent at once, with all before it
            session.execute("SET LOCAL synchronous_commit = on")
            session.execute("SELECT pg_logical_emit_message(true, 'catch up', '')")  # or there is nothing to send
        written = ask(self._origin.url, "SELECT pg_current_wal_flush_lsn()")
        eventually(lambda: ask(self.url, f"SELECT pg_last_wal_replay_lsn() >= '{written}'"), 30)

    def _prepare(self) -> None:
        self._data_directory.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self._data_directory, self._account.uid, self._account.gid)
        self._running().start(
            Command(
                argv=(
                    *(str(postgres_15_binaries() / "pg_basebackup"), "--pgdata", str(self._data_directory)),
                    *("--dbname", conninfo.make_conninfo(self._origin.url, dbname="postgres")),
                    *("--checkpoint=fast", "--wal-method=stream", "--no-sync"),
                    *(("--write-recovery-conf",) if self._follows else ()),
                ),
                account=self._account,
                stop=(("SIGTERM", 5.0),),
                abrupt=(("SIGTERM", 3.0),),
            )
        )

    def _finish_preparing(self) -> None:
        if self._running().wait_exit(_BASE_BACKUP_WITHIN_S) != 0:
            raise self._failure("could not be copied")

    def _furnish(self) -> None:
        """The database came with the copy."""


@contextmanager
def copied(origin: EmbeddedPostgres, *, follows: bool = False) -> Generator[Copy]:
    """Lend a copy of ``origin`` as it is now, running."""
    made = Copy(origin, follows=follows)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def ask(url: str, statement: str) -> object:
    """The first column of the first row."""
    with psycopg.connect(url, autocommit=True) as session:
        row = session.execute(statement.encode()).fetchone()
        return row[0] if row else None


def together(*urls: str, attrs: str | None = None) -> str:
    """One URL for several servers with the same users, as libpq wants it. A busy one is not passed over."""
    parts = [conninfo.conninfo_to_dict(url) for url in urls]
    login = f"{parts[0]['user']}:{parts[0]['password']}"
    hosts = ",".join(f"{each['host']}:{each['port']}" for each in parts)
    query = f"connect_timeout={_PATIENCE_S}" + (f"&target_session_attrs={attrs}" if attrs else "")
    return f"postgresql://{login}@{hosts}/{parts[0]['dbname']}?{query}"
