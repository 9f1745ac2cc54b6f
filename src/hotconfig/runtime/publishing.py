"""One commit from order to announcement: written to PostgreSQL, then told to Redis.

Must not know settings classes: it takes texts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import uuid4

from hotconfig.core.chain import Change, ChangeSet
from hotconfig.core.errors import HotConfigError
from hotconfig.core.observing import UNOBSERVED, Observer
from hotconfig.core.ports import Announcer, Order, Writer
from hotconfig.core.wire import Keyring

logger: Final = logging.getLogger("hotconfig.publishing")


@dataclass(frozen=True, slots=True)
class Commit:
    """What became of a write.

    Attributes:
        service: The service.
        revision: The revision that holds the values now.
        changed: False when nothing differed: no commit was made, and ``revision`` is the head that was there.
        announced: Whether Redis took the news. If not, readers find the commit when they next look at PostgreSQL.
        keys: The keys that were written or deleted.
        at: PostgreSQL's clock at the commit, ISO 8601 in UTC; None when nothing changed.
    """

    service: str
    revision: int
    changed: bool
    announced: bool
    keys: tuple[str, ...]
    at: str | None


class Deliver(Protocol):
    """How the process that writes hears of its own commits."""

    def __call__(self, change_set: ChangeSet, *, announced: bool) -> None:
        """Called by the thread that writes."""
        ...


class Publisher:
    """Commits texts. Any thread may use it.

    Args:
        writer: Where the truth is written.
        announcer: Where it is announced; None without Redis.
        keyring: The signing keys as somebody else last read them; empty: the writer reads them, once.
        deliver: Hears of every commit, with all values.
        observer: Watches every write, and says which trace it belongs to.
    """

    def __init__(
        self,
        writer: Writer,
        announcer: Announcer | None,
        keyring: Callable[[], Keyring] = dict[int, bytes],
        deliver: Deliver | None = None,
        *,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._writer = writer
        self._announcer = announcer
        self._keyring = keyring
        self._deliver = deliver
        self._observer = observer

    def commit(
        self,
        service: str,
        changes: Iterable[Change],
        *,
        by: str,
        reason: str | None = None,
        expect: int | None = None,
        sensitive: frozenset[str] = frozenset(),
    ) -> Commit:
        """Write and announce. A failed announcement does not fail the write: it stands, and is told in the result.

        Raises:
            ConflictError: ``expect`` is not the head any more.
            DatabaseUnavailableError, AccessDeniedError, SchemaMissingError, OutcomeUnknownError: nothing was
                announced.
        """
        made = tuple(changes)
        keys = tuple(change.key for change in made)
        order = Order(service, made, sensitive, by, reason, expect, uuid4())
        with self._observer.writing(service, keys) as writing:
            written = self._writer.write(order)
            writing.committed(written.head.revision)
            if not written.moved:
                return Commit(service, written.head.revision, changed=False, announced=False, keys=keys, at=None)
            change_set = ChangeSet(service, written.parent, written.head, made, written.at, by, reason, writing.trace)
            announced = self._tell(change_set, sensitive)
        return Commit(service, written.head.revision, changed=True, announced=announced, keys=keys, at=written.at)

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        if self._announcer is not None:
            self._announcer.close()

    def _tell(self, change_set: ChangeSet, sensitive: frozenset[str]) -> bool:
        made = change_set.changes
        told = tuple(_told(change, sensitive) for change in made) if sensitive else made
        announced = self._announce(change_set if told is made else change_set._replace(changes=told))
        if self._deliver is not None:
            self._deliver(change_set, announced=announced)
        return announced

    def abandon(self) -> None:
        """In a forked child: let go of inherited descriptors without a word on any connection."""
        self._writer.abandon()
        if self._announcer is not None:
            self._announcer.abandon()

    def _announce(self, change_set: ChangeSet) -> bool:
        if self._announcer is None:
            return False
        try:
            self._announcer.announce(change_set, self._keyring() or self._writer.keyring())
        except HotConfigError as error:
            logger.warning(
                "service %r: revision %d is committed but not announced: %s",
                change_set.service,
                change_set.head.revision,
                error,
            )
            return False
        return True


def _told(change: Change, sensitive: frozenset[str]) -> Change:
    return Change(change.key, withheld=True) if change.key in sensitive and not change.deleted else change
