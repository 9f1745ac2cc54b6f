"""The blast-radius brake: how many namespaces may go in one cycle. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Braked:
    """Which organizations may lose their namespace in this cycle, and why others may not."""

    allowed: frozenset[str]
    held: frozenset[str]
    reason: Literal["", "limit", "empty read", "short read"] = ""


def brake(candidates: Sequence[str], *, limit: int, rows_seen: int, rows_before: int | None) -> Braked:
    """The blast-radius brake: at most ``limit`` deletions a cycle, none after an empty or short read.

    Args:
        candidates: Slugs that are to be purged, in the order in which they are due.
        limit: The most namespaces that may go in one cycle.
        rows_seen: How many managed organizations the database showed in this cycle, tombstones included.
        rows_before: The same in the cycle before; None in the first, which therefore may delete.

    Rows never go away (a deleted organization leaves its tombstone), so fewer than before is a database that is empty,
    restored, or another one.
    """
    every = frozenset(candidates)
    if rows_seen == 0:
        return Braked(frozenset(), every, "empty read")
    if rows_before is not None and rows_seen < rows_before:
        return Braked(frozenset(), every, "short read")
    allowed = frozenset(candidates[: max(0, limit)])
    return Braked(allowed, every - allowed, "limit" if every - allowed else "")
