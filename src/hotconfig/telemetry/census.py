"""The census: the open clients of this process, and what all of them together have to show when metrics are collected.

Owns how several clients become one number, and that closed ones stay counted. Must not know OpenTelemetry.
A forked child begins with an empty census: what its parent counted is its parent's to tell.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from hotconfig.core.outcomes import Stage
from hotconfig.core.status import ServiceStatus, State, Status
from hotconfig.telemetry.conventions import (
    COUNTED,
    LISTENER_DROPPED,
    LISTENER_ERRORS,
    REJECTED,
    REVISION_KNOWN,
    REVISION_SHOWN,
    STATES,
    VERIFIED_AGE,
    Metric,
)

Series = tuple[Metric, str | None]
"""A metric, with the value of its attribute if it has one."""


class Census:
    """Any thread may use it."""

    def __init__(self) -> None:
        self.pid: int = os.getpid()
        self._lock = threading.Lock()
        self._open: dict[object, Callable[[], Status]] = {}
        self._past: Counter[Series] = Counter()

    def enroll(self, client: object, status: Callable[[], Status]) -> None:
        """Count a client in."""
        with self._lock:
            self._open[client] = status

    def strike(self, client: object) -> None:
        """Keep what a client counted, and let go of it. Does nothing for one that is not there."""
        with self._lock:
            status = self._open.pop(client, None)
            if status is not None:
                self._past.update(dict(_counts(status())))

    def counts(self) -> Counter[Series]:
        """What was counted since this process began, by open and by closed clients."""
        with self._lock:
            total, current = self._past.copy(), tuple(self._open.values())
        for status in current:
            total.update(dict(_counts(status())))
        return total

    def gauges(self) -> Mapping[Series, float]:
        """Where the open clients stand: of a service the laggard counts, of the ages the greatest."""
        with self._lock:
            current = tuple(self._open.values())
        found: dict[Series, float] = {}
        for each in current:
            status = each()
            for state in State:
                if state is not State.CLOSED:
                    found[STATES, state.value] = found.get((STATES, state.value), 0) + (status.state is state)
            if status.verified_age_s is not None:
                found[VERIFIED_AGE, None] = max(found.get((VERIFIED_AGE, None), 0.0), status.verified_age_s)
            for service, stands in status.services.items():
                for series, revision in _revisions(service, stands):
                    found[series] = min(found.get(series, revision), revision)
        return found


def _revisions(service: str, stands: ServiceStatus) -> Iterator[tuple[Series, int]]:
    yield (REVISION_KNOWN, service), stands.revision
    yield (REVISION_SHOWN, service), stands.shown_revision


def _counts(status: Status) -> Iterator[tuple[Series, int]]:
    counters = status.counters
    for name, metric in COUNTED.items():
        yield (metric, None), cast("int", counters.get(name, 0))
    rejected = cast("Mapping[str, int]", counters.get("rejected", {}))
    for stage in Stage:
        yield (REJECTED, stage.value), rejected.get(stage.value, 0)
    yield (LISTENER_ERRORS, None), status.listener_errors
    yield (LISTENER_DROPPED, None), status.listener_dropped


_censuses: list[Census] = []


def census() -> Census:
    """This very process's."""
    if not _censuses or _censuses[-1].pid != os.getpid():
        # The parent's is kept: destroying it would run destructors of what belongs to the parent.
        _censuses.append(Census())
    return _censuses[-1]
