"""Following services for a person to watch: each commit once, in order, by the readers' rule.

A signed change set that continues what was told last is told at once. Anything else that is heard only means: look into
PostgreSQL's history. So a hand-written UPDATE is told as well, and nothing forged is.
Must not know Redis or the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from hotconfig.core.chain import Change, ChangeSet, Head, Recorded, genesis
from hotconfig.core.ports import Confirmed, Event, Message
from hotconfig.core.wire import Hint, Keyring, decode

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive

_PAGE: Final = 50
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class News:
    """One commit. ``source`` is ``redis`` for a signed change set, ``postgres`` for rows of the history."""

    service: str
    revision: int
    at: str
    by: str
    reason: str | None
    changes: tuple[Change, ...]
    source: str

    def document(self) -> dict[str, Any]:
        """For programs; withheld values are left out."""
        return {
            "service": self.service,
            "revision": self.revision,
            "at": self.at,
            "by": self.by,
            "reason": self.reason,
            "changes": [_change_document(change) for change in self.changes],
            "source": self.source,
        }


class Tail:
    """Where the telling stands, by service. Used by one thread.

    Args:
        archive: The truth.
        services: What to follow; none: every service, also new ones.
        tell: Called with every commit.
        warn: Called with a sentence when a service went back to an older revision.
    """

    def __init__(
        self,
        archive: Archive,
        services: Iterable[str],
        *,
        tell: Callable[[News], None],
        warn: Callable[[str], None],
    ) -> None:
        self._archive = archive
        self._services = frozenset(services)
        self._tell = tell
        self._warn = warn
        self._heads: dict[str, Head] = self._read_heads()
        self._told: dict[tuple[str, str], bytes] = {}

    def hear(self, events: Iterable[Event], keyring: Keyring) -> None:
        """Tell what the events say, after reading the history where they prove nothing."""
        doubtful: set[str] = set()
        everything = False
        for event in events:
            if isinstance(event, Confirmed):
                everything = True
            elif isinstance(event, Message):
                doubtful |= self._listen(event, keyring)
        if everything:
            self.look()
        elif doubtful:
            self._look_at({name: self._archive.head(name) for name in sorted(doubtful)})

    def look(self) -> None:
        """Tell what PostgreSQL has that was not told yet."""
        self._look_at(self._read_heads())

    def _read_heads(self) -> dict[str, Head]:
        heads = self._archive.services()
        return {name: head for name, head in heads.items() if not self._services or name in self._services}

    def _listen(self, message: Message, keyring: Keyring) -> set[str]:
        """Tell a proof; return the service that has to be looked at."""
        news = decode(message.channel, message.data, keyring)
        if isinstance(news, Hint):
            known = news.key is not None and self._told.get((news.service, news.key)) == news.text
            return set() if known or not self._follows(news.service) else {news.service}
        if not isinstance(news, ChangeSet) or not self._follows(news.service):
            return set()
        at = self._heads.get(news.service, genesis(news.service))
        if news.parent != at:
            return set() if news.head.revision <= at.revision else {news.service}
        self._heads[news.service] = news.head
        self._remember(news)
        self._tell(News(news.service, news.head.revision, news.at, news.by, news.reason, news.changes, "redis"))
        return set()

    def _follows(self, service: str) -> bool:
        return not self._services or service in self._services

    def _remember(self, news: ChangeSet) -> None:
        """The plain form follows the signed one, and is no news any more."""
        if len(self._told) > _REMEMBERED:
            self._told.clear()
        for change in news.changes:
            self._told[news.service, change.key] = (change.text or "").encode()

    def _look_at(self, heads: Mapping[str, Head]) -> None:
        for service, head in heads.items():
            at = self._heads.get(service, genesis(service))
            if head == at:
                continue
            if head.revision <= at.revision:
                self._warn(f"service {service!r} went from revision {at.revision} back to {head.revision}: restored?")
            else:
                self._catch_up(service, at, head)
            self._heads[service] = head

    def _catch_up(self, service: str, at: Head, head: Head) -> None:
        limit = _PAGE
        while True:
            rows = self._archive.history(service, limit=limit)
            if len(rows) < limit or rows[-1].revision <= at.revision:
                break
            limit *= 4
        new = [row for row in reversed(rows) if at.revision < row.revision <= head.revision]
        for revision, group in groupby(new, key=lambda row: row.revision):
            self._tell(_from_history(service, revision, list(group)))


def _from_history(service: str, revision: int, rows: list[Recorded]) -> News:
    last = rows[-1]
    changes = tuple(_change(row) for row in rows)
    return News(service, revision, last.changed_at, last.changed_by, last.reason, changes, "postgres")


def _change(row: Recorded) -> Change:
    key = row.key if row.organization_id is None else f"{row.key} ({row.organization_id})"
    if row.op == "delete":
        return Change(key, deleted=True)
    return Change(key, withheld=True) if row.sensitive else Change(key, row.new_value)


def _change_document(change: Change) -> dict[str, Any]:
    if change.deleted:
        return {"key": change.key, "deleted": True}
    return {"key": change.key, "withheld": True} if change.withheld else {"key": change.key, "value": change.text}
