"""Who waits for the line: for the first word from PostgreSQL, or for a class to be loaded.

Owns the futures that ``start`` and ``bind`` wait on. The line's thread uses it; the futures are anybody's.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from hotconfig.core.errors import HotConfigError, InvalidStateError
from hotconfig.core.followed import Followed
from hotconfig.core.outcomes import Applied, Outcome, Rejected
from hotconfig.core.problems import MODEL_KEY, one_line
from hotconfig.runtime.requests import StandingIn


class Waiting:
    """Futures by what they wait for."""

    def __init__(self) -> None:
        self._contacts: list[Future[None]] = []
        self._loads: dict[str, Future[Any]] = {}

    @property
    def for_contact(self) -> bool:
        """Whether somebody waits for PostgreSQL to answer at all."""
        return bool(self._contacts)

    @property
    def for_loads(self) -> bool:
        """Whether somebody waits for a class."""
        return bool(self._loads)

    def contact(self, made: Future[None]) -> None:
        """Somebody waits for PostgreSQL's next answer."""
        self._contacts.append(made)

    def load(self, service: str, live: Future[Any]) -> None:
        """Somebody waits for a live object."""
        self._loads[service] = live

    def forget(self, service: str) -> None:
        """Nobody waits for it any more."""
        self._loads.pop(service, None)

    def contacted(self) -> None:
        """PostgreSQL answered."""
        while self._contacts:
            self._contacts.pop().set_result(None)

    def loaded(self, followed: Followed[Any], outcome: Outcome) -> bool:
        """PostgreSQL said what a service holds. True: somebody waited for it."""
        if followed.head is None or followed.service not in self._loads:
            return False
        live = self._loads.pop(followed.service)
        if followed.live is not None:
            live.set_result(followed.live)
        elif isinstance(outcome, Rejected):
            live.set_exception(_invalid_at_start(followed, outcome))
        return True

    def stood_in(self, asked: StandingIn, outcome: Outcome | None) -> None:
        """The line was asked to show something in PostgreSQL's place: where it does, that will do for whoever waits."""
        if isinstance(outcome, Applied) and (live := self._loads.pop(asked.followed.service, None)) is not None:
            live.set_result(asked.followed.live)
        asked.shown.set_result(outcome)

    def give_up(self, error: HotConfigError) -> None:
        """Tell everybody; waiting longer would not help."""
        while self._contacts:
            self._contacts.pop().set_exception(error)
        while self._loads:
            self._loads.popitem()[1].set_exception(error)


def shows(followed: Followed[Any], revision: int) -> bool:
    """Whether the live object shows this revision. Raises ``InvalidStateError`` if it arrived and was rejected."""
    shown, head = followed.shown, followed.head
    if shown is not None and shown.revision >= revision:
        return True
    if head is not None and head.revision >= revision and followed.problems:
        raise InvalidStateError(
            f"service {followed.service!r}: revision {head.revision} was rejected here, the last good values stay: "
            + one_line(followed.problems),
            dict(followed.problems),
        )
    return False


def _invalid_at_start(followed: Followed[Any], outcome: Rejected) -> InvalidStateError:
    blueprint, problems = followed.blueprint, outcome.problems
    name = blueprint.settings_class.__name__
    said = f"service {followed.service!r}: {name} cannot be made at revision {outcome.revision}: {outcome.why}"
    stored = followed.texts.keys() - blueprint.pins.keys()
    if not followed.lenient and not stored.isdisjoint({*problems} - {MODEL_KEY}):
        said += '. Or bind with on_invalid="defaults"'
    return InvalidStateError(said, dict(problems))
