"""What can be read off a field's annotation.

Owns the walk over annotations: does a secret hide in it, is it one plain type, which names do its nested
fields bear. Whether pydantic-settings reads a field as JSON is not decided here but asked of
pydantic-settings itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PurePath
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from pydantic import BaseModel, Json, Secret, SecretBytes, SecretStr, Strict
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo
from typing_inspection.introspection import is_union_origin

MAX_SCALAR: Final = 64
"""Characters of the longest text that may stand for a number or boolean in an enumeration."""
_SECRETS: Final = (Secret, SecretStr, SecretBytes)
_PLAIN: Final = (
    str, bytes, bytearray, int, float, complex, Decimal, date, time, timedelta, UUID, PurePath,
    IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Survey:
    """What an annotation contains, all the way down."""

    secret: bool
    """A secret type is somewhere in it."""
    strict: bool
    """Strictness is asked for somewhere, or a member of an enum is a literal: pydantic-settings coerces."""
    floats: bool
    """It may be a float but no text, so that a number may be too large for it."""
    names: frozenset[str]
    """Names and aliases of nested fields."""


def survey(field: FieldInfo) -> Survey:
    """Walk the field's annotation and its metadata; recursive types end where they come back."""
    seen: dict[int, object] = {}  # keeps what it has seen alive, so that an id stays one object's
    names: set[str] = set()
    _walk(field.annotation, seen, names)
    for mark in field.metadata:
        _walk(mark, seen, names)
    parts = list(seen.values())
    return Survey(
        secret=any(_is_secret(part) for part in parts),
        strict=any(isinstance(part, (Strict, Enum)) for part in parts),
        floats=any(part is float for part in parts) and not any(part is str for part in parts),
        names=frozenset(names),
    )


def is_one_plain_type(field: FieldInfo) -> bool:
    """Whether the field holds one well-known scalar type, perhaps optionally: its text has one meaning."""
    members = list(_union_members(field.annotation))
    if len(members) != 1:
        return False
    (only,) = members
    return isinstance(only, type) and issubclass(only, _PLAIN) and not issubclass(only, Enum)


def is_json(field: FieldInfo) -> bool:
    """Whether the field is ``Json[...]``: its text is JSON that pydantic itself parses."""
    marks = [*field.metadata, *get_args(field.annotation)[1:]]
    return any(isinstance(mark, Json) or mark is Json for mark in marks)  # type: ignore[misc]


def choices(field: FieldInfo) -> dict[tuple[bool, object], object]:
    """The numbers and booleans among the values of a field that is made of literals and enumerations alone.

    By whether it is a boolean, since ``True == 1``, and itself. Empty where another type may mean the same text.
    """
    found: dict[tuple[bool, object], object] = {}
    for member in _union_members(field.annotation):
        if get_origin(member) is Literal:
            options = [each.value if isinstance(each, Enum) else each for each in get_args(member)]
        elif isinstance(member, type) and issubclass(member, Enum) and not issubclass(member, str):
            options = [each.value for each in member]
        else:
            return {}
        if any(isinstance(each, str) and parse_scalar(each) is not None for each in options):
            return {}  # "1" is a value itself
        found |= {(isinstance(each, bool), each): each for each in options if isinstance(each, bool | int | float)}
    return found


def parse_scalar(text: str) -> bool | int | float | None:
    """The number or boolean that a text is in JSON, if it is one."""
    if len(text) > MAX_SCALAR:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, bool | int | float) else None


def _union_members(annotation: object) -> Iterator[object]:
    annotation = _unwrapped(annotation)
    if not is_union_origin(get_origin(annotation)):
        yield from () if annotation is type(None) else (annotation,)
        return
    for member in get_args(annotation):
        yield from _union_members(member)


def _unwrapped(annotation: Any) -> Any:
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif _is_alias(annotation):
            annotation = annotation.__value__
        else:
            return annotation


def _is_alias(annotation: Any) -> bool:
    """``type X = …`` of Python 3.12, or its counterpart in typing_extensions."""
    return type(annotation).__name__ == "TypeAliasType" and hasattr(annotation, "__value__")


def _is_secret(part: object) -> bool:
    if isinstance(part, type):
        return issubclass(part, _SECRETS)
    # A name that cannot be resolved from here (a class local to a function): rather refuse than store it.
    return isinstance(part, ForwardRef) and "Secret" in part.__forward_arg__


def _walk(part: object, seen: dict[int, object], names: set[str]) -> None:
    if id(part) in seen:
        return
    seen[id(part)] = part
    for inner in _parts(part, names):
        _walk(inner, seen, names)


def _parts(part: Any, names: set[str]) -> Iterator[object]:
    if isinstance(part, list):  # the arguments of a Callable
        yield from part
    elif isinstance(part, FieldInfo):  # Field(strict=True) within an annotation
        yield from part.metadata
    elif isinstance(part, TypeVar):
        yield from (part.__bound__, *part.__constraints__)
    elif _is_alias(part):
        yield part.__value__
    elif isinstance(part, type) and not get_args(part):
        yield from _fields_of(part, names)
    else:
        yield from _arguments(part)


def _arguments(part: object) -> Iterator[object]:
    origin = get_origin(part)
    if origin is Literal:  # a literal "Secret…" is a text, not the name of a type
        yield from (argument for argument in get_args(part) if isinstance(argument, Enum))
    elif origin is not None:
        yield origin
        yield from get_args(part)


def _fields_of(owner: type[Any], names: set[str]) -> Iterator[object]:
    if issubclass(owner, BaseModel):
        yield from _of_fields(owner.model_fields, names)
    elif is_pydantic_dataclass(owner):
        yield from _of_fields(owner.__pydantic_fields__, names)
    elif is_dataclass(owner) or hasattr(owner, "__required_keys__") or hasattr(owner, "_field_defaults"):
        # TypedDict and NamedTuple leave no base class to ask for, and typing_extensions has its own of each.
        hints = _hints(owner)
        names.update(hints)
        yield from hints.values()


def _of_fields(fields: dict[str, FieldInfo], names: set[str]) -> Iterator[object]:
    for name, field in fields.items():
        aliases = (name, field.alias, field.validation_alias)
        names.update(alias for alias in aliases if isinstance(alias, str))
        yield field.annotation
        yield from field.metadata


def _hints(owner: type[Any]) -> dict[str, Any]:
    try:
        return get_type_hints(owner, include_extras=True)
    except NameError:  # names of a function's scope: kept as they are written
        written = [vars(base).get("__annotations__", {}) for base in owner.__mro__]
        return {
            name: ForwardRef(hint) if isinstance(hint, str) else hint
            for hints in written
            for name, hint in hints.items()
        }
