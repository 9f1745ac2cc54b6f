"""Overrides: texts that win over everything in this process, for a while. What ``hotconfig.testing.override`` does.

Owns which overrides there are and whom they reach. Must not know how an override is shown
(:meth:`hotconfig.core.line.Line.override`), nor tests, decorators or fixtures.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from hotconfig.core.declaration import service_of
from hotconfig.core.errors import InvalidValueError, NotBoundError
from hotconfig.core.followed import Followed
from hotconfig.core.live import is_sealed
from hotconfig.core.problems import one_line
from hotconfig.core.text import TextRules

if TYPE_CHECKING:
    from hotconfig.runtime.follower import Follower

Target = BaseModel | type[BaseModel]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One override: a live object, or a class wherever it is bound, and the texts that it shows by key."""

    target: Target
    texts: Mapping[str, str | None]

    def reaches(self, followed: Followed[Any]) -> bool:
        """Whether it is meant for what this follows."""
        if isinstance(self.target, type):
            return followed.blueprint.settings_class is self.target
        return followed.live is self.target


_entries: Final[list[Entry]] = []
_followers: Final[weakref.WeakSet[Follower]] = weakref.WeakSet()
_turn = threading.RLock()  # around a change of the entries and the showing of it


def _renew() -> None:
    """In a forked child: a lock that a thread of the parent held there is held for ever here."""
    global _turn  # noqa: PLW0603 - a lock cannot be freed by who does not hold it
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def appear(follower: Follower) -> None:
    """Let overrides reach what this follower follows. Called before it follows anything."""
    with _turn:
        _followers.add(follower)


def disappear(follower: Follower) -> None:
    """The same, undone: in a forked child, for the parent's."""
    with _turn:
        _followers.discard(follower)


def texts_for(followed: Followed[Any]) -> dict[str, str | None]:
    """What overrides a service at this moment, by key; of several overrides of one key, the newest."""
    texts: dict[str, str | None] = {}
    for entry in tuple(_entries):
        if entry.reaches(followed):
            texts.update(entry.texts)
    return texts


def begin(target: Target, values: Mapping[str, object]) -> Entry:
    """Show values above everything else, in this process, until :func:`end`. Any thread; returns when they are shown.

    Args:
        target: A live object; or a class, wherever it is bound in this process now or meanwhile.
        values: By key, as ``store.set`` takes them.

    Raises:
        InvalidValueError, SecretValueError, UnknownKeyError: as ``store.set``; nothing has changed.
        NotBoundError: ``target`` is an instance that is not live.
        DeclarationError: ``target`` has no service.
        RetryableError: the line is busy for longer than ten seconds.
    """
    entry = Entry(target, _encoded(target, values))
    with _turn:
        reached = list(_reached(entry))
        if not isinstance(target, type) and not reached:
            raise NotBoundError(
                f"this {type(target).__name__} is not the live object: use the one that bind() returned"
            )
        _entries.append(entry)
        try:
            for follower, followed in reached:
                _show(follower, followed, entry)
        except BaseException:
            end(entry)
            raise
    return entry


def end(entry: Entry) -> None:
    """Undo an override, in whatever order: what is then shown are PostgreSQL's newest values, and other overrides.

    Where the other overrides do not validate without this one, what was shown stays until they end, too.

    Raises:
        RetryableError: the line is busy for longer than ten seconds; it stops overriding as soon as it is not.
    """
    with _turn:
        if entry in _entries:
            _entries.remove(entry)
        for follower, followed in _reached(entry):
            follower.override(followed)


def _reached(entry: Entry) -> Iterator[tuple[Follower, Followed[Any]]]:
    for follower in tuple(_followers):
        for followed in tuple(follower.line.followed.values()):
            # What a closed client left behind is reached only to end what it was closed with.
            if entry.reaches(followed) and not (follower.stopped and not followed.overrides):
                yield follower, followed


def _show(follower: Follower, followed: Followed[Any], entry: Entry) -> None:
    rejected = follower.override(followed)
    if rejected is not None:
        problems = dict(rejected.problems)
        raise InvalidValueError(
            f"service {followed.service!r}: not overridden, {type(followed.live).__name__} does not accept "
            f"{', '.join(sorted(entry.texts))}: {one_line(problems)}",
            problems,
        )


def _encoded(target: Target, values: Mapping[str, object]) -> dict[str, str | None]:
    """Checked key by key here, where nothing may be bound yet; the whole class is validated where it is."""
    kind = target if isinstance(target, type) else type(target)
    service_of(kind)
    if not isinstance(target, type) and not is_sealed(target):
        raise NotBoundError(f"this {kind.__name__} is not a live object: use the one that bind() returned")
    rules = TextRules(kind)
    return {key: rules.encode(key, value) for key, value in values.items()}
