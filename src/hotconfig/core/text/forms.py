"""The forms in which a value can be written down.

Owns how a value looks as plain text (``0.90``, ``true``, ISO 8601) and as a tree that JSON can carry, with
nested fields under the names that validation expects. Knows nothing of fields: whether a form reads back as
the value is proven elsewhere.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from itertools import pairwise
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from pydantic import AliasChoices, BaseModel, RootModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic.networks import AnyUrl
from pydantic_core import MultiHostUrl, Url


class NoFormError(Exception):
    """This value has no form of its own here; pydantic's serializer may know one."""


class SecretFoundError(Exception):
    """The value is a secret, or contains one."""


def to_json(tree: object) -> str:
    """Compact JSON, not escaped beyond need. Raises ``ValueError`` for integers of thousands of digits."""
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def plain_text(value: object) -> str:
    """The text of a scalar.

    Raises:
        NoFormError: the value is not a scalar known here.
        SecretFoundError: it is a secret.
        ValueError: an integer has more digits than Python converts.
    """
    if isinstance(value, Enum):  # before the type that it may be mixed with
        return plain_text(value.value)
    return _plain(value)


def json_tree(value: object, *, bare_nan: bool = False) -> object:
    """The value as dicts, lists and scalars that JSON can carry.

    Numbers that standard JSON lacks become texts (``"NaN"``), which pydantic reads as numbers; with
    ``bare_nan`` they stay numbers, as Python's ``json`` writes them.

    Raises: as :func:`plain_text`, and ``RecursionError`` for a value nested too deeply.
    """
    if isinstance(value, Enum):  # before the type that it may be mixed with
        return json_tree(value.value, bare_nan=bare_nan)
    if isinstance(value, float) and not (bare_nan or math.isfinite(value)):
        return _named_float(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple, deque, Set)):
        return _array_tree(cast("Iterable[object]", value), bare_nan=bare_nan)
    if isinstance(value, (Mapping, BaseModel)) or (is_dataclass(value) and not isinstance(value, type)):
        return _object_tree(cast("object", value), bare_nan=bare_nan)
    return plain_text(value)


def input_path(name: str, field: FieldInfo, config: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Where validation by ``config`` looks first: the first of the aliases, else the name. What stands there wins."""
    if config.get("validate_by_alias") is False:
        return (name,)
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    paths = ((one,) if isinstance(one, str) else tuple(one.path) for one in choices if one is not None)
    return next(paths, (name,))


def input_names(name: str, field: FieldInfo) -> Iterator[str]:
    """All names under which an error may report the field: its own, its aliases, the heads of alias paths."""
    yield name
    alias = field.validation_alias
    for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
        if choice is not None:
            yield choice if isinstance(choice, str) else str(choice.path[0])


def _array_tree(values: Iterable[object], *, bare_nan: bool) -> object:
    trees = [json_tree(item, bare_nan=bare_nan) for item in values]
    # The order of a set differs from process to process; equal values should have equal texts.
    return sorted(trees, key=to_json) if isinstance(values, Set) else trees


def _object_tree(value: object, *, bare_nan: bool) -> object:
    if isinstance(value, RootModel):
        return json_tree(cast("RootModel[object]", value).root, bare_nan=bare_nan)
    if isinstance(value, BaseModel):
        return _model_tree(value, bare_nan=bare_nan)
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return {_key(key): json_tree(item, bare_nan=bare_nan) for key, item in entries}
    return _dataclass_tree(value, bare_nan=bare_nan)


def _model_tree(model: BaseModel, *, bare_nan: bool) -> dict[str, object]:
    tree: dict[str, object] = {}
    for name, field in type(model).model_fields.items():
        path = input_path(name, field, model.model_config)
        place(tree, path, json_tree(getattr(model, name), bare_nan=bare_nan), holes_as_lists=True)
    for name, item in (model.__pydantic_extra__ or {}).items():
        tree[name] = json_tree(item, bare_nan=bare_nan)
    return tree


def _dataclass_tree(value: Any, *, bare_nan: bool) -> dict[str, object]:
    declared: Mapping[str, FieldInfo] = getattr(value, "__pydantic_fields__", {})
    config: Mapping[str, Any] = getattr(value, "__pydantic_config__", {})
    tree: dict[str, object] = {}
    for field in (field for field in fields(value) if field.init):
        info = declared.get(field.name)
        path = input_path(field.name, info, config) if info else (field.name,)
        place(tree, path, json_tree(getattr(value, field.name), bare_nan=bare_nan), holes_as_lists=True)
    return tree


def place(tree: dict[str, object], path: tuple[str | int, ...], value: object, *, holes_as_lists: bool = False) -> None:
    """Put ``value`` at ``path`` below ``tree``.

    An index becomes an integer key, which pydantic's alias paths follow just as well and which needs no
    neighbours. With ``holes_as_lists`` it becomes a position of a list, because JSON has no integer keys;
    what is missing before it is None.
    """
    node: Any = tree
    for step, following in pairwise(path):
        empty: object = [] if holes_as_lists and isinstance(following, int) else {}
        node = _child(node, step, empty)
    _put(node, path[-1], value)


def _child(node: Any, step: Any, empty: object) -> Any:
    """What is at ``step`` of ``node``, or ``empty``, put there."""
    try:
        present: object = node[step]
    except LookupError:
        present = None
    if present is None:
        _put(node, step, empty)
        return empty
    return present


def _put(node: Any, step: Any, value: object) -> None:
    if isinstance(node, list):
        if step < 0:
            raise NoFormError("an alias path that counts from the end")
        known = cast("list[object]", node)
        known.extend([None] * (step + 1 - len(known)))
    node[step] = value


def _key(key: object) -> str:
    if key is None:
        raise NoFormError
    return plain_text(key)


def _named_float(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@singledispatch
def _plain(value: object) -> str:
    raise NoFormError(type(value).__name__)


@_plain.register
def _(value: bool) -> str:
    return "true" if value else "false"


@_plain.register
def _(value: float) -> str:
    return float.__repr__(value)


@_plain.register
def _(value: int) -> str:
    return int.__repr__(value)


@_plain.register
def _(value: str) -> str:
    return str.__str__(value)


@_plain.register(Decimal)
@_plain.register(UUID)
@_plain.register(PurePath)
@_plain.register(IPv4Address)
@_plain.register(IPv4Interface)
@_plain.register(IPv4Network)
@_plain.register(IPv6Address)
@_plain.register(IPv6Interface)
@_plain.register(IPv6Network)
@_plain.register(AnyUrl)
@_plain.register(Url)
@_plain.register(MultiHostUrl)
def _(value: object) -> str:
    return str(value)


@_plain.register(date)
@_plain.register(time)
def _(value: date | time) -> str:
    return value.isoformat()


@_plain.register
def _(value: timedelta) -> str:
    """ISO 8601, exact to the microsecond: ``P1DT2H3M4.5S``, ``-PT0.000001S``, ``PT0S``."""
    sign, span = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{span.microseconds:06}".rstrip("0") if span.microseconds else ""
    rest = (
        f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes) + f"{seconds}{fraction}S" * bool(seconds or fraction)
    )
    days = f"{span.days}D" * bool(span.days)
    return f"{sign}P{days}{f'T{rest}' if rest else ''}" if days or rest else "PT0S"


@_plain.register(bytes)
@_plain.register(bytearray)
def _(value: bytes) -> str:
    return value.decode("utf-8")  # UnicodeDecodeError is a ValueError


@_plain.register(re.Pattern)
def _(value: re.Pattern[Any]) -> str:
    return value.pattern if isinstance(value.pattern, str) else plain_text(value.pattern)


@_plain.register(RootModel)
def _(value: RootModel[Any]) -> str:
    return plain_text(value.root)


@_plain.register(Secret)
@_plain.register(SecretStr)
@_plain.register(SecretBytes)
def _(value: object) -> str:
    raise SecretFoundError(type(value).__name__)
