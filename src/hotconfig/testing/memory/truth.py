"""PostgreSQL in memory, as far as the runtime's ports ask of it: commits, their chain, and what a read answers.

Owns the rows. The rules are those of 0001_truth.sql, without organizations, roles and SQL: one commit moves the head by
one, the digest is the real one, and nothing differs means no commit. Must not know settings classes.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final
from uuid import UUID, uuid4

from hotconfig.core.chain import Change, ChangeSet, Head, Recorded, extend, genesis
from hotconfig.core.errors import (
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
    DeclarationError,
    HotConfigError,
)
from hotconfig.core.judge import Loaded
from hotconfig.core.names import check_key, check_service
from hotconfig.core.ports import Answer, Notified, Order, Written
from hotconfig.core.text.limits import MAX_TEXT_BYTES
from hotconfig.core.wire import Keyring
from hotconfig.testing.memory.mailbox import Mailbox

DATABASE_USER: Final = "memory"
MAX_BY: Final = 256
MAX_REASON: Final = 2000
"""As the domains in 0001_truth.sql have it."""


@dataclass(slots=True)
class _Service:
    """What is stored of one service."""

    name: str
    rows: list[Recorded] = field(default_factory=list[Recorded])
    values: dict[str, tuple[str | None, bool]] = field(default_factory=dict[str, "tuple[str | None, bool]"])
    made: dict[UUID, Written] = field(default_factory=dict[UUID, Written])

    @property
    def head(self) -> Head:
        return Head(self.rows[-1].revision, self.rows[-1].digest) if self.rows else genesis(self.name)

    def keep(self, row: Recorded) -> None:
        self.rows.append(row)
        if row.op == "delete":
            del self.values[row.key]
        else:
            self.values[row.key] = row.new_value, row.sensitive


class MemoryTruth:
    """The truth of any number of services. A ``Reader`` and a ``Writer`` at once, for any number of threads.

    See :mod:`hotconfig.core.ports` for what they promise. No call blocks. It does not leave the process: a forked child
    goes on with a copy of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._services: dict[str, _Service] = {}
        self._schemas: dict[str, dict[str, str]] = {}
        self._listeners: list[MemoryListener] = []
        self._keyring: Keyring = {1: secrets.token_bytes(32)}
        self._error: HotConfigError | None = None

    # What the runtime asks ------------------------------------------------------------------------------------------

    def load(self, asked: Mapping[str, Head]) -> Answer:
        """Answer for all services at one moment.

        Raises:
            HotConfigError: what :meth:`fail` was given.
        """
        with self._lock:
            self._check()
            found = (self._loaded(self._service(name), head) for name, head in asked.items())
            return Answer(tuple(found), self._keyring, in_recovery=False)

    def register(self, service: str, schema_hash: str, json_schema: str) -> None:
        """Keep a class's JSON Schema. Raises as :meth:`load`."""
        with self._lock:
            self._check()
            self._schemas.setdefault(service, {}).setdefault(schema_hash, json_schema)

    def write(self, order: Order) -> Written:
        """Commit, at most once for each ``commit_id``.

        Raises:
            ConflictError: ``expect`` is not the head.
            ConfigurationError: a name or a text that the tables would refuse.
            HotConfigError: what :meth:`fail` was given.
        """
        _check_order(order)
        with self._lock:
            self._check()
            service = self._services.get(order.service) or _Service(order.service)
            if (made := service.made.get(order.commit_id)) is not None:
                return made
            written = _write(service, order)
            if written.moved:
                self._services[order.service] = service
                service.made[order.commit_id] = written
            listeners = tuple(self._listeners) if written.moved else ()
        for listener in listeners:
            listener.put(Notified(order.service, written.head.revision))
        return written

    def keyring(self) -> Keyring:
        """The signing keys: one, drawn for this truth."""
        self._check()
        return self._keyring

    def listen(self) -> MemoryListener:
        """Hear of every commit from now on, as by ``LISTEN``. Raises as :meth:`load`."""
        with self._lock:
            self._check()
            listener = MemoryListener()
            self._listeners = [*(each for each in self._listeners if not each.closed), listener]
            return listener

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """In a forked child: a lock that a thread of the parent held there is held for ever here."""
        self._lock = threading.RLock()

    # What tests ask -------------------------------------------------------------------------------------------------

    def commit(
        self, service: str, *changes: Change, by: str = "ann", reason: str | None = None, sensitive: Iterable[str] = ()
    ) -> ChangeSet:
        """Commit texts without validating or announcing them, as a person with psql does. Returns what would be told.

        Raises: as :meth:`write`; ``ValueError`` if nothing differs, so that there is no commit.
        """
        written = self.write(Order(service, changes, frozenset(sensitive), by, reason, None, uuid4()))
        if not written.moved:
            raise ValueError(f"service {service!r}: nothing differs from what is stored, so there is no commit")
        return ChangeSet(service, written.parent, written.head, changes, written.at, by, reason)

    def fail(self, error: HotConfigError | None = None) -> None:
        """Go away: listening connections break, and every call raises ``error`` until :meth:`recover`.

        Args:
            error: Without one, a ``DatabaseUnavailableError``.
        """
        with self._lock:
            self._error = error or DatabaseUnavailableError("PostgreSQL in memory is down, as this test wants it")
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.cut(self._error)

    def recover(self) -> None:
        """Be there again, with everything that was committed."""
        self._error = None

    def rewind(self, service: str, revision: int) -> None:
        """Forget all commits of a service after a revision, as a restored backup or a failover that lost them does.

        Nobody is told: clients notice when they next ask, and take what is there, loudly.
        """
        with self._lock:
            before, kept = self._service(service), _Service(service)
            kept.made = {name: made for name, made in before.made.items() if made.head.revision <= revision}
            for row in before.rows:
                if row.revision <= revision:
                    kept.keep(row)
            self._services[service] = kept

    def services(self) -> dict[str, Head]:
        """Every service that was ever written to, with its head, and those that were only bound, at their genesis."""
        with self._lock:
            names = self._services.keys() | self._schemas.keys()
            return {name: self.head(name) for name in sorted(names)}

    def texts(self, service: str) -> dict[str, str | None]:
        """The current texts of a service, by key."""
        with self._lock:
            return {key: text for key, (text, _) in sorted(self._service(service).values.items())}

    def head(self, service: str) -> Head:
        """The head of a service; its genesis if nobody wrote to it."""
        with self._lock:
            return self._service(service).head

    def history(self, service: str, *, key: str | None = None, limit: int | None = None) -> list[Recorded]:
        """The newest changes first; all of them if ``limit`` is None."""
        rows = [row for row in self.chain(service) if key is None or row.key == key]
        return rows[::-1][:limit]

    def chain(self, service: str) -> Iterator[Recorded]:
        """All changes, oldest first, as :func:`hotconfig.core.chain.verify` wants them."""
        with self._lock:
            return iter(tuple(self._service(service).rows))

    def schemas(self, service: str) -> list[str]:
        """The registered JSON Schemas of a service, newest first, as they were given."""
        with self._lock:
            return list(self._schemas.get(service, {}).values())[::-1]

    def _service(self, name: str) -> _Service:
        return self._services.get(name) or _Service(name)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _loaded(self, service: _Service, asked: Head) -> Loaded:
        head = service.head
        known = asked.revision == 0 or any((row.revision, row.digest) == asked for row in service.rows)
        # As in PostgreSQL: who asks from the beginning gets what there is, unless there is one commit alone.
        if not known or (asked.revision == 0 and head.revision != 1):
            changes = tuple(Change(key, text) for key, (text, _) in sorted(service.values.items()))
            return Loaded(service.name, asked, head, known, changes)
        newest = {row.key: row for row in service.rows if row.revision > asked.revision}
        return _told(service.name, asked, head, list(newest.values()))


class MemoryListener(Mailbox):
    """Made by :meth:`MemoryTruth.listen`. See :class:`hotconfig.core.ports.Subscription`."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def follow(self, services: Iterable[str]) -> bool:  # noqa: ARG002 - as the port has it
        """All services are heard already."""
        self.check()
        return False

    def close(self) -> None:
        """Close the sockets, and hear nothing any more."""
        self.closed = True
        super().close()


def _told(service: str, asked: Head, head: Head, rows: list[Recorded]) -> Loaded:
    """The newest row of each key, and whose they are, where one person made all commits in between."""
    authors, reasons = {row.changed_by for row in rows}, {row.reason for row in rows}
    alone = len(authors) == 1 and len({row.revision for row in rows}) == head.revision - asked.revision
    last = max(rows, key=attrgetter("revision", "changed_at"), default=None)
    return Loaded(
        service=service,
        asked=asked,
        head=head,
        known=True,
        changes=tuple(Change(row.key, row.new_value, deleted=row.op == "delete") for row in rows),
        by=last.changed_by if last and alone else None,
        reason=last.reason if last and alone and len(reasons) == 1 else None,
        at=last.changed_at if last else None,
        several=len(authors) > 1,
    )


def _write(service: _Service, order: Order) -> Written:
    before = service.head
    if order.expect is not None and order.expect != before.revision:
        raise ConflictError(
            f'service "{order.service}": expected revision {order.expect}, the head is {before.revision}'
        )
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    ordinal = 0
    for change in sorted(order.changes, key=lambda change: change.key):
        sensitive = change.key in order.sensitive
        old = service.values.get(change.key)
        if (change.deleted and old is None) or (not change.deleted and old == (change.text, sensitive)):
            continue
        ordinal += 1
        service.keep(_recorded(service.head, before.revision + 1, ordinal, order, change, old, at))
        if not change.deleted:
            service.values[change.key] = change.text, sensitive  # a row says whether it was sensitive before, too
    if not ordinal:
        return Written(False, before, before, service.rows[-1].changed_at if service.rows else "None")
    return Written(True, service.head, before, at)


def _recorded(
    head: Head,
    revision: int,
    ordinal: int,
    order: Order,
    change: Change,
    old: tuple[str | None, bool] | None,
    at: str,
) -> Recorded:
    hidden = change.key in order.sensitive or (old is not None and old[1])
    row = Recorded(
        service=order.service,
        revision=revision,
        ordinal=ordinal,
        organization_id=None,
        key=change.key,
        op="delete" if change.deleted else "insert" if old is None else "update",
        old_value=None if old is None else old[0],
        new_value=None if change.deleted else change.text,
        sensitive=hidden,
        changed_by=order.by,
        reason=order.reason,
        changed_at=at,
        db_user=DATABASE_USER,
        commit_id=str(order.commit_id),
        nonce=str(uuid4()) if hidden else None,
        digest=b"",
    )
    return replace(row, digest=extend(head.digest, row))


def _check_order(order: Order) -> None:
    try:
        check_service(order.service)
        for change in order.changes:
            check_key(change.key)
    except DeclarationError as error:
        raise ConfigurationError(f"not written: {error}") from None
    too_long = [c.key for c in order.changes if c.text is not None and len(c.text.encode()) > MAX_TEXT_BYTES]
    if too_long or len(order.by) > MAX_BY or len(order.reason or "") > MAX_REASON:
        what = f"the text of {', '.join(too_long)}" if too_long else "who or why"
        raise ConfigurationError(f"service {order.service!r}: not written, {what} is longer than the tables allow")
