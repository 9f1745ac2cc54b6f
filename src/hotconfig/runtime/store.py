"""The store: writing settings with the class's own rules, so that no reader has to refuse what was written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change
from hotconfig.core.errors import ConflictError, DatabaseUnavailableError, InvalidValueError, UsageError
from hotconfig.core.followed import Followed
from hotconfig.core.judge import applied
from hotconfig.core.problems import MODEL_KEY, one_line
from hotconfig.runtime.publishing import Commit, Publisher

T = TypeVar("T")

RACE_TIMEOUT_S: Final = 10.0
"""How long a write that has to be validated against the newest values starts over while others are faster."""

MAX_BY: Final = 256
MAX_REASON: Final = 2000
"""As the table has it; see 0001_truth.sql."""

Target = BaseModel | type[BaseModel]


class Store:
    """Writes to PostgreSQL and announces to Redis. Any thread may use it.

    A call blocks for at most about 5 seconds with a connection at hand, about 20 if that breaks and the next is silent.

    Every method takes ``by`` (who, up to 256 characters), ``reason`` (why, up to 2,000) and ``expect`` (the revision
    that must still be the head, else ``ConflictError``), and returns a :class:`Commit`.
    """

    def __init__(
        self,
        publisher: Callable[[], Publisher],
        followed: Callable[[Target], Followed[Any]],
        refresh: Callable[[Followed[Any], int], None],
    ) -> None:
        self._publisher = publisher
        self._followed = followed
        self._refresh = refresh
        self._turns: dict[str, threading.Lock] = {}
        self._validating: set[tuple[str, int]] = set()  # services, each with the thread that validates

    def renew(self) -> None:
        """In a forked child: locks that a thread of the parent held there are held for ever here."""
        self._turns = {}
        self._validating = set()

    def set(
        self,
        settings: Target,
        /,
        *,
        by: str,
        reason: str | None = None,
        expect: int | None = None,
        **values: object,
    ) -> Commit:
        """Write one or several keys in one commit: ``store.set(ai, threshold=0.9, by="ann@acme.example")``.

        A ``str`` for a field whose values are no strings is text as you would write it into an environment variable,
        and is stored as it stands: ``threshold="0.90"``.

        Args:
            settings: The live object, or its class.
            by, reason, expect: See the class.
            values: Values by key. For keys named ``by``, ``reason`` or ``expect`` use :meth:`update`.

        Raises:
            InvalidValueError: a value does not fit, by itself or with the others; nothing was written.
            SecretValueError: a field holds secrets.
            UnknownKeyError: the class has no such field.
            ConflictError, DatabaseUnavailableError, AccessDeniedError, OutcomeUnknownError: see there.
        """
        return self.update(settings, values, by=by, reason=reason, expect=expect)

    def update(
        self,
        settings: Target,
        values: Mapping[str, object],
        /,
        *,
        by: str,
        reason: str | None = None,
        expect: int | None = None,
    ) -> Commit:
        """Write several keys in one commit: readers see all of them or none. See :meth:`set`."""
        if not isinstance(cast("object", values), Mapping):
            raise UsageError(
                f'update takes a dict of values by key, {{"threshold": 0.9}}, and not a {type(values).__name__}'
            )
        followed = self._followed(settings)
        rules = followed.blueprint.rules

        def encoded() -> tuple[Change, ...]:
            return tuple(Change(key, rules.encode(key, value)) for key, value in values.items())

        changes = self._asking_validators(followed, encoded)
        return self._commit(followed, changes, by, reason, expect)

    def delete(
        self,
        settings: Target,
        /,
        *keys: str,
        by: str,
        reason: str | None = None,
        expect: int | None = None,
    ) -> Commit:
        """Delete keys: the fields return to what lies below PostgreSQL (environment, files, defaults).

        Raises: as :meth:`set`; ``InvalidValueError`` also if a required field would be left without a value.
        """
        followed = self._followed(settings)
        for key in keys:
            if not isinstance(cast("object", key), str):
                kind = type(key).__name__
                raise UsageError(f'delete takes keys one by one, delete(settings, "a", "b", by=...), not a {kind}')
        name = followed.blueprint.rules.input_name  # raises for a key that the class does not have
        self._asking_validators(followed, lambda: [name(key) for key in keys])
        changes = tuple(Change(key, deleted=True) for key in keys)
        return self._commit(followed, changes, by, reason, expect)

    def _commit(
        self,
        followed: Followed[Any],
        changes: tuple[Change, ...],
        by: str,
        reason: str | None,
        expect: int | None,
    ) -> Commit:
        _check_story(changes, by, reason, expect)
        if expect is not None or not followed.blueprint.validates_across:
            self._validate(followed, changes)
            return self._publish(followed, changes, by, reason, expect)
        # Where validators look at several keys, what was validated must be what is written on top of. Threads of this
        # process take turns; other processes are raced.
        turn = self._turns.setdefault(followed.service, threading.Lock())
        if not turn.acquire(timeout=RACE_TIMEOUT_S):
            raise DatabaseUnavailableError(
                f"service {followed.service!r}: not written; other writes of this process took {RACE_TIMEOUT_S:.0f} s"
            )
        try:
            return self._race(followed, changes, by, reason)
        finally:
            turn.release()

    def _race(self, followed: Followed[Any], changes: tuple[Change, ...], by: str, reason: str | None) -> Commit:
        deadline_s = monotonic() + RACE_TIMEOUT_S
        while True:
            base = followed.head.revision if followed.head is not None else 0
            self._validate(followed, changes)
            try:
                return self._publish(followed, changes, by, reason, base)
            except ConflictError:
                if monotonic() > deadline_s:
                    raise
                self._refresh(followed, base + 1)

    def _validate(self, followed: Followed[Any], changes: tuple[Change, ...]) -> None:
        self._asking_validators(followed, lambda: _validate(followed.blueprint, dict(followed.texts), changes))

    def _asking_validators(self, followed: Followed[Any], ask: Callable[[], T]) -> T:
        """Validators that write what they validate would be asked again, and so on, or wait for their own turn."""
        here = (followed.service, threading.get_ident())
        if here in self._validating:
            raise UsageError(f"service {followed.service!r}: a validator cannot write the settings that it validates")
        try:
            # Within, and no context manager: a Ctrl-C that came in between would have this thread refused for ever.
            self._validating.add(here)
            return ask()
        finally:
            self._validating.discard(here)

    def _publish(
        self, followed: Followed[Any], changes: tuple[Change, ...], by: str, reason: str | None, expect: int | None
    ) -> Commit:
        blueprint = followed.blueprint
        commit = self._publisher().commit(
            blueprint.service, changes, by=by, reason=reason, expect=expect, sensitive=blueprint.sensitive
        )
        if not commit.changed and (followed.head is None or followed.head.revision < commit.revision):
            # Somebody was faster, perhaps this very write before Ctrl-C cut it off, and may have told nobody.
            self._refresh(followed, commit.revision)
        return commit


def _validate(blueprint: Blueprint[Any], texts: dict[str, str | None], changes: tuple[Change, ...]) -> None:
    built = blueprint.build(applied(texts, changes))
    if built.instance is not None:
        return
    ours = {change.key for change in changes}
    before = blueprint.build(texts).problems
    if ours & before.keys() and not ours & built.problems.keys():
        return  # several keys were broken, by hand; each may be mended by itself
    theirs = ", ".join(sorted(built.problems.keys() - ours - {MODEL_KEY}))
    raise InvalidValueError(
        f"service {blueprint.service!r}: not written, {blueprint.settings_class.__name__} would reject it everywhere: "
        f"{one_line(built.problems)}."
        + (f" What PostgreSQL holds for {theirs} has to be mended first, or in the same update." if theirs else ""),
        dict(built.problems),
    )


def _check_story(changes: tuple[Change, ...], by: str, reason: str | None, expect: int | None) -> None:
    if not changes:
        raise UsageError("nothing to write: name at least one key")
    if expect is not None and not isinstance(cast("object", expect), int):
        raise UsageError(
            f"expect= takes the number of a revision, such as the revision of what store returned, "
            f"and not a {type(expect).__name__}"
        )
    if not isinstance(cast("object", by), str) or not by or len(by) > MAX_BY or not _is_storable(by):
        raise UsageError(f"by= must say who makes the change, in 1 to {MAX_BY} characters that UTF-8 can carry")
    if reason is not None and (
        not isinstance(cast("object", reason), str) or len(reason) > MAX_REASON or not _is_storable(reason)
    ):
        raise UsageError(f"reason= takes at most {MAX_REASON:,} characters that UTF-8 can carry")


def _is_storable(text: str) -> bool:
    return "\0" not in text and text.encode("utf-8", "ignore").decode() == text
