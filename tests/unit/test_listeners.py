"""Which keys really differ, and what a listener is shown of it."""

from __future__ import annotations

import math
from decimal import Decimal
from functools import cached_property
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from hotconfig.core.listeners import Changed, differing


class Holder(BaseModel):
    value: Any = None
    other: int = 0


class Hostile:
    def __eq__(self, other: object) -> bool:
        raise LookupError

    __hash__ = None  # type: ignore[assignment]


class Odd:
    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, True),
        (0, False),
        (1, 1.0),
        ("1", 1),
        (None, ""),
        (None, 0),
        ("", []),
        ([1], [True]),
        ({"a": 1}, {"a": 1.0}),
        ([{"a": [0]}], [{"a": [False]}]),
        ([1, 2], [2, 1]),
        ((1,), [1]),
        (0.0, -0.0),
        (math.nan, 1.0),
    ],
)
def test_values_of_another_type_or_content_differ(old: object, new: object) -> None:
    assert differing(Holder(value=old), Holder(value=new)) == {"value"}
    assert differing(Holder(value=new), Holder(value=old)) == {"value"}


@pytest.mark.parametrize(
    "make",
    [lambda: 0.9, lambda: math.nan, lambda: [math.nan], lambda: {"a": 1, "b": 2}, lambda: Decimal("1.0"), Holder],
)
def test_equal_values_do_not_differ_though_they_are_other_objects(make: Any) -> None:
    assert differing(Holder(value=make()), Holder(value=make())) == frozenset()
    assert differing(Holder(value={"a": 1, "b": 2}), Holder(value={"b": 2, "a": 1})) == frozenset()


def test_only_the_keys_that_differ_are_named() -> None:
    assert differing(Holder(value=1, other=1), Holder(value=1, other=2)) == {"other"}
    assert differing(Holder(value=1, other=1), Holder(value=2, other=2)) == {"value", "other"}


@pytest.mark.parametrize("kind", [Hostile, Odd])
def test_values_that_cannot_be_compared_count_as_changed(kind: type) -> None:
    assert differing(Holder(value=kind()), Holder(value=kind())) == {"value"}
    same = kind()
    assert differing(Holder(value=same), Holder(value=same)) == frozenset()


def test_a_value_nested_too_deeply_to_be_compared_counts_as_changed() -> None:
    def deep() -> object:
        value: object = 0
        for _ in range(100_000):
            value = [value]
        return value

    assert differing(Holder.model_construct(value=deep()), Holder.model_construct(value=deep())) == {"value"}


def test_what_is_no_field_does_not_count() -> None:
    class Loose(BaseModel):
        model_config = ConfigDict(extra="allow")
        a: int = 1

        @cached_property
        def doubled(self) -> int:
            return self.a * 2

    old, new = Loose.model_validate({"a": 1, "more": 1}), Loose.model_validate({"a": 1, "more": 2})
    assert old.doubled == 2
    assert differing(old, new) == frozenset()


def test_a_change_is_printed_without_values() -> None:
    change = Changed("ai", Holder(value="canary"), Holder(value="canary2"), frozenset({"value"}), 7, by="ann")
    assert "canary" not in repr(change)
    assert "value" in repr(change)
