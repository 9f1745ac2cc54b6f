"""How a process stands, for probes and people.

Owns what healthy, ready and the parts of a status mean. Nothing here waits, does I/O, or takes a lock that a blocked
thread could hold: a probe must get an answer from a process in trouble.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from hotconfig.core.errors import UsageError
from hotconfig.core.status import State, Status
from hotconfig.runtime.bindings import Bindings
from hotconfig.runtime.dispatch import Dispatcher
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.timing import Timing

STUCK_AFTER_S: Final = 15.0
"""A line that made no turn for so long is stuck. It makes one per second; a turn takes as long as validation does."""


READ_S: Final = 0.5
"""What a comparison with PostgreSQL may take in a healthy system; usually it is milliseconds."""


def check_age(max_age_s: float | None, timing: Timing, *, hears: bool) -> None:
    """Refuse an age that a healthy process exceeds between two comparisons. ``hears``: news may arrive.

    Raises:
        UsageError: it is too short.
    """
    least_s = 1.25 * (timing.reconcile_s if hears else timing.poll_s) + READ_S
    if max_age_s is not None and not max_age_s >= least_s:
        raise UsageError(
            f"ready(max_age_s={max_age_s:g}) would be False now and then in a healthy process, which compares with "
            f"PostgreSQL every {least_s - READ_S:g} s at most: give {least_s:g} or more, or a shorter "
            f"Timing.{'reconcile_s' if hears else 'poll_s'}"
        )


def healthy(follower: Follower) -> bool:
    """Both threads run, and the line made a turn lately."""
    return follower.alive and monotonic() - follower.turned_at_s < STUCK_AFTER_S


def ready(follower: Follower, bindings: Bindings, max_age_s: float | None) -> bool:
    """Whatever is bound has values, and they are not older than asked for."""
    if not follower.alive or follower.ledger.state in (State.NOT_READY, State.CLOSED) or not bindings.all_loaded:
        return False
    if max_age_s is None:
        return True
    age_s = verified_age_s(follower)
    return age_s is not None and age_s <= max_age_s


def verified_age_s(follower: Follower) -> float | None:
    """Seconds since PostgreSQL was asked the question that it last answered with "current"."""
    verified_at_s = follower.ledger.verified_at_s
    return None if verified_at_s is None else max(0.0, monotonic() - verified_at_s)


def status(
    follower: Follower,
    bindings: Bindings,
    dispatcher: Dispatcher,
    kept: Mapping[str, object],
    closed_at: datetime | None,
) -> Status:
    """Everything that can be said; ``kept`` are the counters of the last-known-good files."""
    state, since = _standing(follower) if closed_at is None else (State.CLOSED, closed_at)
    errors, dropped = dispatcher.counts()
    age_s = verified_age_s(follower)
    return Status(
        state=state,
        since=since,
        verified_age_s=age_s,
        redis={True: "connected", False: "away", None: "unused"}[follower.connected],
        last_error=follower.ledger.last_error,
        services=bindings.described(None if age_s is None else datetime.now(UTC) - timedelta(seconds=age_s)),
        counters={**follower.ledger.counted(), **kept},
        listener_errors=errors,
        listener_dropped=dropped,
        lag_s=follower.ledger.lag_s(monotonic()),
    )


def _standing(follower: Follower) -> tuple[State, datetime]:
    """The ledger's word, unless the thread that writes it is gone or stuck: then nothing is verified since."""
    ledger = follower.ledger
    if healthy(follower) or ledger.state in (State.NOT_READY, State.STALE):
        return ledger.state, ledger.since
    return State.STALE, datetime.now(UTC) - timedelta(seconds=monotonic() - follower.turned_at_s)
