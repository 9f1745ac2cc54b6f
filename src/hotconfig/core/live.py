"""Live objects: instances of the user's class whose ``__dict__`` is exchanged in one pointer store.

Owns how a swap is done and which objects are sealed against assignment. Readers take no lock: a plain attribute read
goes to whichever dict the instance has at that moment, and a dict that readers may hold is never mutated.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

from hotconfig.core.errors import NotBoundError, ReadOnlySettingsError

M = TypeVar("M", bound=BaseModel)

# Besides __dict__ a pydantic instance keeps these in slots. They go first: whoever sees the new __dict__ sees them too.
_SLOTS: Final = ("__pydantic_extra__", "__pydantic_private__", "__pydantic_fields_set__")

# Pydantic models are not hashable, so a WeakSet will not do. A dead object's entry goes before its id can be reused.
_sealed: dict[int, weakref.ref[BaseModel]] = {}

# By the id of a live object: the candidate that it shows, and the one before or after while a swap is under way.
_shown: dict[int, tuple[BaseModel, BaseModel]] = {}


def seal(instance: BaseModel) -> None:
    """Make every assignment to this one instance raise, if its class was guarded with :func:`guard`."""
    key = id(instance)

    def forget(_: object) -> None:
        _sealed.pop(key, None)
        _shown.pop(key, None)

    _sealed[key] = weakref.ref(instance, forget)


def is_sealed(instance: object) -> bool:
    """Whether ``instance`` is a live object or a snapshot."""
    reference = _sealed.get(id(instance))
    return reference is not None and reference() is instance


def new_live(first: M) -> M:
    """A new sealed instance of the class of ``first`` that shows what ``first`` holds."""
    live: M = type(first).__new__(type(first))
    seal(live)
    swap(live, first)
    return live


def swap(live: M, candidate: M) -> None:
    """Let ``live`` show ``candidate``'s values, all at once. Called by one thread at a time."""
    before, after = _shown.get(id(live), (candidate, candidate))
    shown = after if after.__dict__ is live.__dict__ else before
    _shown[id(live)] = (shown, candidate)
    for slot in _SLOTS:
        object.__setattr__(live, slot, getattr(candidate, slot))
    object.__setattr__(live, "__dict__", candidate.__dict__)


def current(live: M) -> M:
    """The candidate whose values ``live`` shows at this moment: one immutable view of all fields.

    Raises:
        NotBoundError: it is not a live object.
    """
    if is_sealed(live):
        while pair := _shown.get(id(live)):
            values = live.__dict__
            for candidate in pair:
                if candidate.__dict__ is values:
                    return cast("M", candidate)
            # Two swaps came between the two reads.
        return live  # a snapshot already
    if isinstance(live, type):
        raise NotBoundError(f"{live.__name__} is a class: use the live object that bind({live.__name__}) returned")
    raise NotBoundError(f"this {type(live).__name__} is not a live object: use the one that bind() returned")


def snapshot(settings: M) -> M:
    """One immutable, consistent view of all fields: read several of them from it. Costs no I/O and no lock.

    Raises:
        NotBoundError: ``settings`` is not a live object.
    """
    return current(settings)


def guard(settings_class: type[BaseModel]) -> None:
    """Let assignments to sealed instances of the class raise; ordinary instances stay what they were."""
    set_attribute: Callable[[Any, str, Any], None] = settings_class.__setattr__
    delete_attribute: Callable[[Any, str], None] = settings_class.__delattr__

    def __setattr__(self: BaseModel, name: str, value: Any) -> None:  # noqa: N807
        if is_sealed(self):
            raise ReadOnlySettingsError(_advice(self, name))
        set_attribute(self, name, value)

    def __delattr__(self: BaseModel, name: str) -> None:  # noqa: N807
        if is_sealed(self):
            raise ReadOnlySettingsError(_advice(self, name))
        delete_attribute(self, name)

    type.__setattr__(settings_class, "__setattr__", __setattr__)
    type.__setattr__(settings_class, "__delattr__", __delattr__)


def _advice(instance: BaseModel, name: str) -> str:
    kind = type(instance).__name__
    return (
        f"{kind}.{name} cannot be assigned to: this {kind} shows what PostgreSQL holds. To change it everywhere, "
        f"use store.set(settings, {name}=..., by=...). For a private copy, use model_copy(update={{...}})."
    )
