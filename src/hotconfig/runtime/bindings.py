"""Bindings: which classes are bound in this process, and the loads that somebody waits for.

Owns the answer to "which service does this object belong to". Must not know threads, URLs or listeners.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar, cast

from pydantic import BaseModel

from hotconfig.core.candidate import Blueprint
from hotconfig.core.declaration import service_of
from hotconfig.core.errors import (
    DatabaseUnavailableError,
    DeclarationError,
    NotBoundError,
    UsageError,
)
from hotconfig.core.followed import Followed
from hotconfig.core.problems import one_line
from hotconfig.core.status import Origin, ServiceStatus
from hotconfig.runtime.follower import Follower
from hotconfig.runtime.publishing import Commit
from hotconfig.runtime.store import Target
from hotconfig.sources import capture

logger: Final = logging.getLogger("hotconfig")

M = TypeVar("M", bound=BaseModel)

OnInvalid = Literal["raise", "defaults"]
_ON_INVALID: Final = ("raise", "defaults")


@dataclass(frozen=True, slots=True)
class Binding(Generic[M]):
    """One class on the line, and the future of its live object. ``anew``: this call began the load."""

    followed: Followed[M]
    live: Future[M]
    anew: bool


class Bindings:
    """All bound classes, one per service. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followed: dict[str, Followed[Any]] = {}
        self._loading: dict[str, Future[Any]] = {}

    def bind(
        self, follower: Follower, settings_class: type[M], pins: Mapping[str, Any] | None, on_invalid: OnInvalid
    ) -> Binding[M]:
        """Begin to follow a class, or join whoever did. Raises as ``HotConfig.bind``; does not wait."""
        given = cast("object", settings_class)
        if not isinstance(given, type):
            kind = type(given).__name__
            wanted = f"{kind}, not an instance of it" if isinstance(given, BaseModel) else f"one, not a {kind}"
            raise UsageError(f"bind takes a settings class: pass {wanted}")
        service = service_of(settings_class)
        if on_invalid not in _ON_INVALID:
            raise UsageError('on_invalid= takes "raise" or "defaults"')
        blueprint = None
        if service not in self._followed:
            # Without the lock: the class's own sources may take their time, and others must not wait for them.
            blueprint = Blueprint(settings_class, capture(settings_class), pins)
        with self._lock:
            followed, live = self._followed.get(service), self._loading.get(service)
            anew = followed is None or live is None
            if followed is None or live is None:
                blueprint = blueprint or Blueprint(settings_class, capture(settings_class), pins)
                follower.register(service, *schema_of(blueprint))
                followed = Followed(blueprint, lenient=on_invalid == "defaults")
                live = follower.follow(followed)
                self._followed[service], self._loading[service] = followed, live
        if not anew:
            _check_same(followed, settings_class, pins)
        return Binding(followed, live, anew)

    def loaded(self, follower: Follower, binding: Binding[M], timeout_s: float) -> M:
        """Wait for the live object. Raises as ``HotConfig.bind``."""
        followed, live = binding.followed, binding.live
        try:
            loaded = live.result(timeout_s)
        except FutureTimeoutError:
            # Whoever else waits for the same load goes on waiting; the next call of bind joins it.
            raise DatabaseUnavailableError(
                f"service {followed.service!r}: PostgreSQL did not answer within {round(timeout_s, 2):g} s; "
                f"last error: {follower.ledger.last_error}"
            ) from None
        except BaseException:
            if live.done():
                self._forget(follower, followed, live)
            raise
        if binding.anew and followed.replaced:
            logger.error("service %r: bound with defaults in place of %s", followed.service, _replaced(followed))
        return loaded

    def find(self, settings: Target) -> Followed[Any]:
        """What follows a live object, or its class.

        Raises:
            NotBoundError: nothing does.
            DeclarationError, UsageError: its class has no service, or it is nothing of the kind.
        """
        kind = settings if isinstance(settings, type) else type(settings)
        try:
            service = service_of(kind)
        except DeclarationError:
            if issubclass(cast("type", kind), BaseModel):
                raise
            raise UsageError(
                f"pass the live object that bind() returned, or its class, and not a {kind.__name__}"
            ) from None
        followed = self._followed.get(service)
        if followed is None or followed.live is None or followed.blueprint.settings_class is not kind:
            raise NotBoundError(f"{kind.__name__} is not bound here: call bind({kind.__name__}) first")
        if not isinstance(settings, type) and settings is not followed.live:
            raise NotBoundError(f"this {kind.__name__} is not the live object: use the one that bind() returned")
        return followed

    def waited_for(self, revision: int | Commit, settings: Target | None) -> Followed[Any]:
        """Whose revision it is that somebody waits for. Raises ``NotBoundError``, ``UsageError``."""
        if not isinstance(cast("object", revision), int | Commit):
            raise UsageError(
                f"wait_for takes what store returned, or the number of a revision, not a {type(revision).__name__}"
            )
        if settings is not None:
            return self.find(settings)
        if isinstance(revision, Commit):
            followed = self._followed.get(revision.service)
            if followed is None:
                raise NotBoundError(f"service {revision.service!r} is not bound here")
            return followed
        if not self._followed:
            raise NotBoundError("nothing is bound here whose revision could be waited for: call bind() first")
        if len(self._followed) != 1:
            raise UsageError("several classes are bound: say which with settings=, or pass what store returned")
        return next(iter(self._followed.values()))

    @property
    def all_loaded(self) -> bool:
        """Whether whatever is bound has a live object. Takes no lock."""
        return all(followed.live is not None for followed in list(self._followed.values()))

    def described(self, confirmed_at: datetime | None) -> dict[str, ServiceStatus]:
        """Where each service stands. ``confirmed_at``: when PostgreSQL last confirmed what is bound."""
        return {name: _describe(followed, confirmed_at) for name, followed in dict(self._followed).items()}

    def reborn(self) -> Bindings:
        """The same live objects, to be loaded anew, in a forked child. Takes no lock."""
        bindings = Bindings()
        bindings._followed = {name: each.reborn() for name, each in self._followed.items() if each.live is not None}
        return bindings

    def follow_all(self, follower: Follower) -> None:
        """Have another follower load all of them."""
        self._loading = {name: follower.follow(followed) for name, followed in self._followed.items()}

    def _forget(self, follower: Follower, followed: Followed[Any], live: Future[Any]) -> None:
        """A load that failed; another may have begun meanwhile."""
        with self._lock:
            if self._loading.get(followed.service) is not live:
                return
            del self._followed[followed.service], self._loading[followed.service]
        follower.forget(followed)


def _replaced(followed: Followed[Any]) -> str:
    """Which texts a lenient first load left out, and what for."""
    names = ", ".join(sorted(followed.replaced))
    if followed.replaced <= followed.problems.keys():
        return f"{names}: {one_line(followed.problems)}"
    # No single key is to blame, so that none can be spared.
    return f"all stored values ({names}): {one_line(followed.problems)}"


def field_of(followed: Followed[Any], key: str) -> str:
    """``key``, if the class has it. Raises ``UnknownKeyError``."""
    followed.blueprint.rules.input_name(key)
    return key


def schema_of(blueprint: Blueprint[Any]) -> tuple[str, str]:
    """Hash and text of a class's JSON Schema."""
    schema = json.dumps(blueprint.json_schema(), sort_keys=True)
    return hashlib.sha256(schema.encode()).hexdigest(), schema


def _check_same(followed: Followed[Any], settings_class: type[BaseModel], pins: Mapping[str, Any] | None) -> None:
    blueprint = followed.blueprint
    if blueprint.settings_class is not settings_class:
        raise DeclarationError(
            f"service {followed.service!r} is bound to {blueprint.settings_class.__qualname__} already: one class per "
            f"service. Put the fields of {settings_class.__qualname__} into it, or name another service."
        )
    if pins is not None and dict(pins) != dict(blueprint.pins):
        raise DeclarationError(f"service {followed.service!r} is bound with other pins already")


def _describe(followed: Followed[Any], confirmed_at: datetime | None) -> ServiceStatus:
    # What is shown is read first: the line moves the head before. A forked child has no head until its first read.
    shown = followed.shown
    head, stand_in = followed.head or followed.inherited, followed.stand_in
    return ServiceStatus(
        settings_class=followed.blueprint.settings_class.__qualname__,
        revision=head.revision if head is not None else 0,
        shown_revision=shown.revision if shown is not None else 0,
        digest=head.digest.hex() if head is not None else "",
        problems=dict(followed.problems),
        pinned_keys=tuple(sorted(followed.blueprint.pins)),
        unknown_keys=tuple(sorted(followed.unknown)),
        origin=stand_in.origin if stand_in is not None else Origin.POSTGRESQL,
        confirmed_at=confirmed_at if stand_in is None else stand_in.confirmed_at,
        withheld_keys=tuple(sorted(stand_in.withheld)) if stand_in is not None else (),
    )
