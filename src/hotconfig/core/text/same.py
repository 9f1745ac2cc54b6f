"""When two configuration values are the same.

Owns equality that ``==`` is too generous or too strict for: ``5``, ``5.0``, ``True`` and ``"5"`` differ,
``-0.0`` differs from ``0.0`` and ``Decimal("1.0")`` from ``Decimal("1.00")``, while NaN is the same as NaN.
Pure.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from typing import Any, Protocol

from pydantic import BaseModel


class _Zoned(Protocol):
    def utcoffset(self) -> object: ...
    def replace(self, *, tzinfo: None) -> object: ...


def same_value(left: object, right: object) -> bool:
    """Whether both values have the same type and content, all the way down.

    Instants are the same if the clock reading and the offset from UTC are; the name of a time zone does not
    count, for ISO 8601 cannot carry it. Models and dataclasses are compared by their fields, not by private
    attributes. Objects that know no equality are the same only as themselves.

    Raises:
        RecursionError: the values are nested too deeply to be compared.
        Exception: whatever ``__eq__`` of a user's own type raises.
    """
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, Enum):  # before its mixed-in type: an IntEnum is an int
        return left == right
    return _same(left, right)


@singledispatch
def _same(left: object, right: object) -> bool:
    if is_dataclass(left):
        return all(same_value(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    return bool(left == right)


@_same.register
def _(left: float, right: float) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right and math.copysign(1, left) == math.copysign(1, right)


@_same.register
def _(left: complex, right: complex) -> bool:
    return same_value(left.real, right.real) and same_value(left.imag, right.imag)


@_same.register
def _(left: Decimal, right: Decimal) -> bool:
    return left.as_tuple() == right.as_tuple()


@_same.register(datetime)
@_same.register(time)
def _(left: _Zoned, right: _Zoned) -> bool:
    return left.utcoffset() == right.utcoffset() and left.replace(tzinfo=None) == right.replace(tzinfo=None)


@_same.register(re.Pattern)
def _(left: re.Pattern[Any], right: re.Pattern[Any]) -> bool:
    return bool(left.pattern == right.pattern) and left.flags == right.flags


@_same.register(str)
@_same.register(bytes)
def _(left: object, right: object) -> bool:
    return left == right


@_same.register(list)
@_same.register(tuple)
@_same.register(deque)
def _(left: Sequence[object], right: Sequence[object]) -> bool:
    if getattr(left, "maxlen", None) != getattr(right, "maxlen", None):
        return False
    return len(left) == len(right) and all(map(same_value, left, right))


@_same.register(Set)
def _(left: Set[object], right: Set[object]) -> bool:
    return _same_entries(dict.fromkeys(left), dict.fromkeys(right))


@_same.register(Mapping)
def _(left: Mapping[object, object], right: Mapping[object, object]) -> bool:
    factories = (getattr(left, "default_factory", None), getattr(right, "default_factory", None))
    return factories[0] is factories[1] and _same_entries(left, right)


@_same.register
def _(left: BaseModel, right: BaseModel) -> bool:
    return same_value(_declared(left), _declared(right)) and same_value(
        left.__pydantic_extra__, right.__pydantic_extra__
    )


def _same_entries(left: Mapping[object, object], right: Mapping[object, object]) -> bool:
    """Whether both hold the same keys and values in any order, in linear time but for keys that are NaN."""
    rest = {key: (key, value) for key, value in right.items()}
    odd: list[tuple[object, object]] = []
    for key, value in left.items():
        twin = rest.pop(key, None)
        if twin is None:
            odd.append((key, value))
        elif not same_value((key, value), twin):
            return False
    return len(odd) == len(rest) and all(_taken(entry, rest) for entry in odd)


def _taken(entry: tuple[object, object], rest: dict[object, tuple[object, object]]) -> bool:
    found = next((key for key, twin in rest.items() if same_value(entry, twin)), None)
    return found is not None and rest.pop(found, None) is not None


def _declared(model: BaseModel) -> dict[str, object]:
    """The fields alone: an instance's ``__dict__`` also keeps cached properties."""
    return {name: value for name, value in model.__dict__.items() if name in type(model).model_fields}
