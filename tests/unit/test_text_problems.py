"""What leaves hotconfig of a ``ValidationError``: key and reason, never the value."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AliasPath,
    AnyUrl,
    BaseModel,
    Field,
    FilePath,
    ImportString,
    Json,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hotconfig.core.problems import MODEL_KEY, one_line, problems
from hotconfig.core.text import TextRules

CANARY = "canary7361"
JSON: Any = Json  # mypy takes Json[...] for a type only in annotations
IMPORTED: Any = ImportString


class Leaf(BaseModel):
    port: Annotated[int, Field(ge=1)] = 1
    quota: dict[str, int] = {}


class Left(BaseModel):
    kind: Literal["left"] = "left"


class Right(BaseModel):
    kind: Literal["right"] = "right"


class Model(BaseModel):
    low: int = 0
    high: int = Field(9, alias="theHigh")
    leaf: Leaf = Leaf()
    even: int = 0
    word: str = ""
    custom: str = ""
    path: int = Field(0, validation_alias=AliasPath("head", 0))

    @field_validator("even")
    @classmethod
    def must_be_even(cls, value: int) -> int:
        if value % 2:
            raise AssertionError("must be even")
        return value

    @field_validator("word")
    @classmethod
    def quotes(cls, value: str) -> str:
        raise ValueError(f"{value} is no word")

    @field_validator("custom")
    @classmethod
    def customs(cls, value: str) -> str:
        raise PydanticCustomError("int_parsing", "no {value}", {"value": value})

    @model_validator(mode="after")
    def in_order(self) -> Model:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def found(data: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(data)
    return TextRules(Model).problems(caught.value)


def test_every_offending_key_is_named_by_its_field_name() -> None:
    assert found({"low": "x", "theHigh": None, "head": ["x"]}) == {
        "low": "Input should be a valid integer, unable to parse string as an integer",
        "high": "Input should be a valid integer",
        "path": "Input should be a valid integer, unable to parse string as an integer",
    }


def test_nested_fields_are_named_and_the_keys_of_dictionaries_are_not() -> None:
    reasons = found({"leaf": {"port": 0, "quota": {CANARY: "x"}}})
    assert reasons == {
        "leaf": "in port: Input should be greater than or equal to 1; "
        "in quota: Input should be a valid integer, unable to parse string as an integer"
    }


def test_a_refusal_of_the_whole_model_has_a_key_of_its_own() -> None:
    assert found({"low": 10}) == {MODEL_KEY: "low is above high"}


def test_a_constant_message_is_kept_and_one_that_quotes_the_value_is_not() -> None:
    assert found({"even": 1}) == {"even": "must be even"}
    assert found({"word": CANARY}) == {"word": "refused by a validator (ValueError)"}


def test_a_custom_error_cannot_bring_the_value_in_under_a_known_type() -> None:
    assert found({"custom": CANARY}) == {"custom": "Input is not valid (int_parsing)"}


def test_without_rules_keys_are_what_pydantic_names() -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"theHigh": "x"})
    assert problems(caught.value).keys() == {"theHigh"}
    assert problems(caught.value, {"theHigh": "high"}).keys() == {"high"}
    assert one_line({"a": "x", "b": "y"}) == "a: x; b: y"


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (annotation, value)
        for value in (
            CANARY, f"{CANARY}://{CANARY}", [CANARY], {CANARY: CANARY}, {"kind": CANARY}, CANARY.encode()
        )
        for annotation in (
            int, float, bool, Decimal, uuid.UUID, date, datetime, time, timedelta, IPv4Address, AnyUrl,
            FilePath, IMPORTED[Any], JSON[int], Literal["a", 1], list[int], dict[int, int], tuple[int, int],
            Left, Annotated[Left | Right, Field(discriminator="kind")], int | list[float] | Left,
            frozenset[date], Annotated[bytes, Field(max_length=1)], Annotated[str, Field(pattern="^a$")],
            type[int], Annotated[list[str], Field(min_length=5)], Annotated[Path, Field(strict=True)],
            dict[str, Leaf], Annotated[datetime, Field(gt=datetime(2024, 1, 1))],  # noqa: DTZ001
        )
    ],
)  # fmt: skip
def test_no_reason_carries_the_value(annotation: Any, value: object) -> None:
    owner = type("Owner", (BaseModel,), {"__annotations__": {"x": annotation}})
    try:
        owner(x=value)
    except ValidationError as error:
        reasons = TextRules(owner).problems(error)
        assert reasons.keys() == {"x"}
        assert CANARY not in str(reasons)
