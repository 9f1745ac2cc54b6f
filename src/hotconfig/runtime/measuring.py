"""Measuring, the line's last stage: the ledger and the observer learn what came of a step.

Where nobody observes, one look at an attribute is all it costs.
"""

from __future__ import annotations

from time import time_ns

from hotconfig.core.judge import Loaded
from hotconfig.core.line import Line
from hotconfig.core.observing import Observer
from hotconfig.core.outcomes import Outcome
from hotconfig.runtime.ledger import Ledger


class Measuring:
    """Runs the steps of the line that can move the live objects. The line's thread uses it."""

    def __init__(self, line: Line, ledger: Ledger, observer: Observer) -> None:
        self._line = line
        self._ledger = ledger
        self._observer = observer

    def flush(self) -> None:
        """:meth:`Line.flush`, measured."""
        if not self._observer.active:
            self._ledger.enter(self._line.flush())
            return
        accepted = [news for followed in self._line.followed.values() for news in followed.accepted]
        begun_ns = time_ns()
        outcomes = self._line.flush()
        ended_ns = time_ns()
        self._ledger.enter(outcomes)  # first: somebody may be waiting for the revision
        if outcomes:
            self._observer.applied(list(zip(accepted, outcomes, strict=True)), begun_ns, ended_ns)

    def load(self, loaded: Loaded) -> Outcome:
        """:meth:`Line.load`, measured."""
        followed = self._line.followed.get(loaded.service)
        # Not what is loaded for the first time, or anew after a fork: that is no change.
        observed = self._observer.active and followed is not None and followed.head is not None
        begun_ns = time_ns()
        outcome = self._line.load(loaded)
        ended_ns = time_ns()
        self._ledger.enter([outcome])
        if observed:
            self._observer.applied([(loaded, outcome)], begun_ns, ended_ns)
        return outcome
