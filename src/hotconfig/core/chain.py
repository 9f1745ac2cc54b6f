"""The hash chain: heads, changes, change sets, and how a digest follows from its parent.

The same rules stand in SQL (``extend_chain`` in 0001_truth.sql); a test recomputes PostgreSQL's chain here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from hotconfig.core.tracecontext import NO_TRACE

CANONICAL_TAG: Final = "hotconfig1"
DIGEST_BYTES: Final = 32
MAX_REVISION: Final = 2**63 - 1
"""PostgreSQL's ``bigint``. A revision beyond it could not even be asked about."""


class Head(NamedTuple):
    """Where a service's chain stands: the revision (0 before the first commit) and the 32 bytes of its digest."""

    revision: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.revision}@{self.digest.hex()[:12]}"


def genesis(service: str) -> Head:
    """The head of a service that nobody has written to yet."""
    return Head(0, hashlib.sha256(f"hotconfig:{service}".encode()).digest())


class Change(NamedTuple):
    """One key set or deleted. ``text`` is None for SQL NULL, for a deletion, and where the value is withheld."""

    key: str
    text: str | None = None
    deleted: bool = False
    withheld: bool = False


class ChangeSet(NamedTuple):
    """One commit of one service, as it is announced: it leads from ``parent`` to ``head``.

    ``at`` is PostgreSQL's clock when the head moved, ISO 8601 in UTC. A tuple, because every message of every process
    becomes one: a frozen dataclass takes three times as long to make.
    """

    service: str
    parent: Head
    head: Head
    changes: tuple[Change, ...]
    at: str
    by: str
    reason: str | None = None
    trace: Mapping[str, str] = NO_TRACE

    @property
    def complete(self) -> bool:
        """Whether every value came along, so that no read is needed."""
        return True not in [change.withheld for change in self.changes]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of ``config_history``, as far as the chain binds it."""

    service: str
    revision: int
    ordinal: int
    organization_id: str | None
    key: str
    op: str
    old_value: str | None
    new_value: str | None
    sensitive: bool
    changed_by: str
    reason: str | None
    changed_at: str
    db_user: str
    commit_id: str | None
    nonce: str | None
    digest: bytes

    def canonical(self) -> bytes:
        """The bytes that are hashed: a JSON array as PostgreSQL's ``json_build_array`` writes it."""
        parts = (
            CANONICAL_TAG,
            self.service,
            self.revision,
            self.ordinal,
            self.organization_id,
            self.key,
            self.op,
            self.old_value,
            self.new_value,
            self.sensitive,
            self.changed_by,
            self.reason,
            self.changed_at,
            self.db_user,
            self.commit_id,
            self.nonce,
        )
        return json.dumps(parts, ensure_ascii=False).encode()


def extend(parent: bytes, change: Recorded) -> bytes:
    """The digest after ``change``."""
    return hashlib.sha256(parent + change.canonical()).digest()


@dataclass(frozen=True, slots=True)
class Break:
    """Where a recomputed chain stops agreeing with what is stored."""

    service: str
    revision: int
    problem: str


def verify(service: str, rows: Iterable[Recorded], head: Head) -> Break | None:
    """Recompute a service's chain from its beginning. Return the first break, or None if it holds up to ``head``.

    Args:
        service: The service.
        rows: All its history rows, ordered by revision and ordinal.
        head: What ``heads`` says.
    """
    at, digest = 0, genesis(service).digest
    ordinal = 0
    for row in rows:
        follows = (row.revision == at and row.ordinal == ordinal + 1) or (row.revision == at + 1 and row.ordinal == 1)
        if not follows:
            return Break(service, row.revision, f"revision {at + 1} is missing or out of order")
        at, ordinal, digest = row.revision, row.ordinal, extend(digest, row)
        if digest != row.digest:
            return Break(service, at, f"the row of key {row.key!r} is not what was written")
    if (at, digest) != tuple(head):
        return Break(service, head.revision, f"the head does not follow from the history, which ends at revision {at}")
    return None
