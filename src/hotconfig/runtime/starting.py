"""Starting while PostgreSQL is away: what ``start`` and ``bind`` do then, by the start policy.

Owns how long PostgreSQL is waited for before somebody stands in, and who. Must not know how a stand-in is shown
(:mod:`hotconfig.core.line`) or what a file looks like (:mod:`hotconfig.core.lastgood`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import wait
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel

from hotconfig.core.errors import DatabaseUnavailableError, LastKnownGoodError, UsageError
from hotconfig.core.followed import Followed, StandIn
from hotconfig.core.lastgood import Record, Refusal, StartPolicy, refused
from hotconfig.core.outcomes import Rejected
from hotconfig.core.problems import one_line
from hotconfig.runtime.bindings import Binding, Bindings, schema_of
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.keeping import Keeper, Shelf

logger: Final = logging.getLogger("hotconfig.starting")

M = TypeVar("M", bound=BaseModel)

PATIENCE_S: Final = 2.0
"""How long PostgreSQL is waited for before something stands in; it may merely be restarting."""
_SHOWING_S: Final = 5.0
"""How long the line may take to show a stand-in: it validates one instance."""

MakeShelf = Callable[[Path], Shelf]


class Starting:
    """One start policy, and the directory with the last-known-good files, if there is one.

    Raises:
        UsageError: there is no such policy, or it needs a directory.
    """

    def __init__(self, policy: StartPolicy, directory: str | os.PathLike[str] | None, make_shelf: MakeShelf) -> None:
        if policy not in get_args(StartPolicy):
            raise UsageError('start_policy= takes "fail", "last_known_good" or "defaults"')
        if policy == "last_known_good" and directory is None:
            raise UsageError(
                'start_policy="last_known_good" needs a directory that this user may write: give '
                "last_known_good=, or HOTCONFIG_LAST_KNOWN_GOOD in the environment"
            )
        self.policy: StartPolicy = policy
        self._directory = None if directory is None else Path(directory)
        self._make_shelf = make_shelf
        self._keeper: Keeper | None = None

    def keep(self, follower: Follower) -> None:
        """Have the files written of what a new follower shows, if there are to be any."""
        if self._directory is not None:
            self._keeper = keeper = Keeper(self._make_shelf(self._directory))
            follower.look = keeper.look
            keeper.start()

    def stop(self, timeout_s: float) -> bool:
        """Write what is pending, and end; False if that took too long."""
        if self._keeper is None:
            return True
        self._keeper.stop()
        return self._keeper.join(timeout_s)

    def counted(self) -> dict[str, object]:
        """How often files were written, and could not be; nothing where there are none."""
        return {} if self._keeper is None else self._keeper.counted()

    def first_contact(self, follower: Follower, timeout_s: float) -> None:
        """Wait for PostgreSQL, or only as long as the policy has patience. Raises as ``HotConfig.start``."""
        if self.policy == "fail":
            follower.first_contact(timeout_s)
            return
        try:
            follower.first_contact(min(timeout_s, PATIENCE_S))
        except DatabaseUnavailableError as error:
            logger.warning("%s; going on by the start policy %r", error, self.policy)

    def loaded(self, bindings: Bindings, follower: Follower, binding: Binding[M], timeout_s: float) -> M:
        """Wait for a live object, or show what stands in for it. Raises as ``HotConfig.bind``."""
        if self.policy == "fail":
            return bindings.loaded(follower, binding, timeout_s)
        deadline_s = monotonic() + timeout_s
        condition = follower.ledger.condition
        wait([binding.live], min(timeout_s, PATIENCE_S if condition.heard and not condition.failing else 0.0))
        # PostgreSQL that answers is worth waiting for: what takes time then may be Redis.
        away = not condition.heard or condition.failing
        refusal = self._stand_in(follower, binding.followed) if away and not binding.live.done() else None
        try:
            return bindings.loaded(follower, binding, max(0.0, deadline_s - monotonic()))
        except DatabaseUnavailableError as error:
            refusal = refusal if away else self._stand_in(follower, binding.followed)
            if binding.live.done():
                return bindings.loaded(follower, binding, 0.0)
            if refusal is None:
                raise
            raise DatabaseUnavailableError(f"{error}. And {refusal}") from refusal

    def _stand_in(self, follower: Follower, followed: Followed[Any]) -> LastKnownGoodError | None:
        """Have something shown in PostgreSQL's place. None: it is shown, or PostgreSQL's own word is."""
        try:
            given = self._given(followed)
            outcome = follower.stand_in(followed, given).result(_SHOWING_S)
            if isinstance(outcome, Rejected):
                said = f"{followed.blueprint.settings_class.__name__} does not accept it: {one_line(outcome.problems)}"
                raise refused(Refusal.INVALID, self._named(followed.service), said)
        except LastKnownGoodError as error:
            logger.error("service %r: %s", followed.service, error)  # noqa: TRY400 - the message says it all
            return error
        except TimeoutError:
            return None  # the line is closing, or busy: what waits for the class gives up in its own time
        if outcome is not None:
            _tell(followed.service, given)
        return None

    def _given(self, followed: Followed[Any]) -> StandIn:
        if self.policy == "defaults" or self._directory is None:
            return StandIn()
        record = self._make_shelf(self._directory).read(followed.service)
        _compare(record, followed)
        return StandIn(record.head, record.texts, record.withheld, record.confirmed_at)

    def _named(self, service: str) -> object:
        if self.policy == "defaults" or self._directory is None:
            return f"(defaults of service {service!r})"
        return self._make_shelf(self._directory).path(service)


def _compare(record: Record, followed: Followed[Any]) -> None:
    """A file that another version of the class wrote is used, if its values are valid; but that is told."""
    schema_hash, _ = schema_of(followed.blueprint)
    if record.schema_hash != schema_hash:
        logger.warning(
            "service %r: the last-known-good file was written for another version of %s",
            followed.service,
            followed.blueprint.settings_class.__name__,
        )


def _tell(service: str, given: StandIn) -> None:
    if given.head is None or given.confirmed_at is None:
        logger.warning("service %r: PostgreSQL is away, showing defaults until it answers", service)
        return
    age_s = (datetime.now(UTC) - given.confirmed_at).total_seconds()
    logger.warning(
        "service %r: PostgreSQL is away, showing the last known good revision %d, confirmed %.0f s ago%s",
        service,
        given.head.revision,
        age_s,
        f"; not in the file, so at what lies below: {', '.join(sorted(given.withheld))}" if given.withheld else "",
    )
