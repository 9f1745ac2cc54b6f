"""The text rules, example by example."""

from __future__ import annotations

import math
import re
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    FiniteFloat,
    Json,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from typing_extensions import TypedDict

from hotconfig.core.errors import (
    DeclarationError,
    HotConfigError,
    InvalidValueError,
    SecretValueError,
    UnknownKeyError,
)
from hotconfig.core.text import ESCAPE, MAX_DEPTH, MAX_TEXT_BYTES, TextRules, check_text
from hotconfig.core.text.same import same_value

T = TypeVar("T")
JSON: Any = Json  # mypy takes Json[...] for a type only in annotations


class Halves(Enum):
    HALF = 0.5
    WHOLE = 1


class Plain(Enum):
    ONE = 1
    WORD = "word"
    EMPTY = ""
    PAIR = (1, 2)


class Word(StrEnum):
    A = "a"


class Number(IntEnum):
    ZERO = 0
    TWO = 2


class Right(Flag):
    READ = 1
    WRITE = 2


class IntRight(IntFlag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Entry(TypedDict, total=False):
    name: str
    since: date


@dataclass
class Box:
    width: int
    label: str = ""


class Inner(BaseModel):
    port: int = Field(5432, validation_alias="thePort", serialization_alias="written")
    host: str = Field("h", validation_alias=AliasPath("net", 1, "host"))
    hidden: str = Field("", exclude=True)


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tags: frozenset[str] = frozenset()


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Ids(RootModel[list[int]]):
    pass


class Count(RootModel[int]):
    pass


def rules_of(annotation: Any, base: type[BaseModel] = BaseSettings, **config: Any) -> TextRules:
    owner = type("Owner", (base,), {"__annotations__": {"x": annotation}, "model_config": config})
    return TextRules(owner)


def value_of(rules: TextRules, text: str | None) -> object:
    return rules.read("x", text)


def error_of(step: Callable[[str, str], object], key: str, text: str) -> HotConfigError | None:
    try:
        step(key, text)
    except HotConfigError as error:
        return error
    return None


ROUND_TRIPS = [
    (float, 0.9, "0.9"),
    (float, -0.0, "-0.0"),
    (float, 0.0, "0.0"),
    (float, math.inf, "inf"),
    (float, math.nan, "nan"),
    (bool, False, "false"),
    (bool, True, "true"),
    (int, 0, "0"),
    (int, -7, "-7"),
    (str, "", ""),
    (str, "gpt-4o", "gpt-4o"),
    (str, "null", "null"),
    (str, "None", "None"),
    (str, "!json 5", "!json 5"),
    (str, "  two\n", "  two\n"),
    (str | None, "null", "null"),
    (str | None, None, None),
    (list[int] | None, None, None),
    (Decimal, Decimal("0.90"), "0.90"),
    (Decimal, Decimal("1E+5"), "1E+5"),
    (Decimal, Decimal("-0"), "-0"),
    (bytes, b"", ""),
    (bytes, "grün".encode(), "grün"),
    (date, date(2024, 2, 29), "2024-02-29"),
    (datetime, datetime(2024, 2, 29, 1, 2, 3, 4), "2024-02-29T01:02:03.000004"),  # noqa: DTZ001
    (datetime, datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29T00:00:00+00:00"),
    (datetime, datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=-3))), "2024-02-29T00:00:00-03:00"),
    (timedelta, timedelta(0), "PT0S"),
    (timedelta, timedelta(days=1, hours=2, seconds=4, milliseconds=500), "P1DT2H4.5S"),
    (timedelta, timedelta(microseconds=-1), "-PT0.000001S"),
    (uuid.UUID, uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (Path, Path("/etc/hosts"), "/etc/hosts"),
    (IPv4Address, IPv4Address("10.0.0.1"), "10.0.0.1"),
    (AnyUrl, AnyUrl("https://example.com/a?b=c"), "https://example.com/a?b=c"),
    (re.Pattern[str], re.compile("a+"), "a+"),
    (ByteSize, ByteSize(2048), "2048"),
    (Word, Word.A, "a"),
    (Number, Number.ZERO, "0"),
    (Plain, Plain.WORD, "word"),
    (Plain, Plain.EMPTY, ""),
    (Plain, Plain.ONE, "1"),
    (Plain | None, Plain.ONE, "1"),
    (Literal["a", 1, True], "a", "a"),
    (Literal["a", 1], 1, "1"),
    (Literal["1", 1], 1, "!json 1"),
    (Literal["1", 1], "1", "1"),
    (Literal[True, "auto"], True, "true"),
    (Literal[True, 1], 1, "1"),
    (Literal[True, 1], True, "true"),
    (Literal[1] | str, 1, "!json 1"),
    (Halves, Halves.HALF, "0.5"),
    (Right, Right.READ | Right.WRITE, "!json 3"),
    (int | str, 5, "!json 5"),
    (int | str, "5", "5"),
    (int | str, "!json 5", '!json "!json 5"'),
    (float | int, 5.0, "5.0"),
    (int | float, 5.0, "!json 5.0"),
    (int | float | bool | str, True, "!json true"),
    (Any, 5, "!json 5"),
    (Any, "5", "5"),
    (Any, [1, "1", 1.0, True, None], '!json [1,"1",1.0,true,null]'),
    (object, {"a": False}, '!json {"a":false}'),
    (T, 1, "!json 1"),
    (list[str], [], "[]"),
    (list[str], ["a", "grün"], '["a","grün"]'),
    (dict[str, int], {}, "{}"),
    (dict[int, str], {1: "one"}, '{"1":"one"}'),
    (dict[date, bool], {date(2024, 1, 1): False}, '{"2024-01-01":false}'),
    (dict[Word, int], {Word.A: 0}, '{"a":0}'),
    (dict[bool, int], {True: 1}, '{"true":1}'),
    (set[int], set(), "[]"),
    (set[int], {3, 1, 2}, "[1,2,3]"),
    (frozenset[str], frozenset({"b", "a"}), '["a","b"]'),
    (tuple[int, str], (1, "1"), '[1,"1"]'),
    (tuple[int, ...], (), "[]"),
    (deque[int], deque([1]), "[1]"),
    (list[float], [math.nan, -math.inf, -0.0], '["NaN","-Infinity",-0.0]'),
    (list[Decimal], [Decimal("0.90")], '["0.90"]'),
    (list[timedelta], [timedelta(minutes=5)], '["PT5M"]'),
    (list[int] | str, [1], "[1]"),
    (list[int] | str, "[1]", '"[1]"'),
    (list[int] | str, "abc", "abc"),
    (list[int | str], [1, "1"], '[1,"1"]'),
    (JSON[list[int]], [1, 2], "[1,2]"),
    (JSON[Any], "a", '"a"'),
    (Point, Point(1, 2.0), "[1,2.0]"),
    (Entry, {"name": "n", "since": date(2024, 1, 1)}, '{"name":"n","since":"2024-01-01"}'),
    (Box, Box(0), '{"width":0,"label":""}'),
    (Cat | Dog, Cat(), '{"kind":"cat","lives":9}'),
    (Annotated[Cat | Dog, Field(discriminator="kind")], Dog(), '{"kind":"dog","tags":[]}'),
    (Tree, Tree(name="a", children=[Tree(name="b")]), '{"name":"a","children":[{"name":"b","children":[]}]}'),
    (Ids, Ids([1]), "[1]"),
    (Count, Count(0), "0"),
    (Inner, Inner(thePort=1, net=[None, {"host": "z"}], hidden="h"), None),
    (FiniteFloat, 1.5, "1.5"),
    (Annotated[int, Field(strict=True)], 5, "!json 5"),
    (StrictInt | str, 5, "!json 5"),
    (Annotated[bool, Field(strict=True)] | None, False, "!json false"),
]


@pytest.mark.parametrize("base", [BaseModel, BaseSettings])
@pytest.mark.parametrize(("annotation", "value", "text"), ROUND_TRIPS)
def test_a_value_has_this_text_and_reads_back_as_itself(
    base: type[BaseModel], annotation: Any, value: object, text: str | None
) -> None:
    rules = rules_of(annotation, base)
    written = rules.encode("x", value)
    if text is not None or value is None:
        assert written == text
    assert same_value(value_of(rules, written), value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [(float, "0.90"), (bool, "yes"), (int, " 5 "), (Decimal, "1e400"), (list[int], "[1, 2]"),
     (timedelta, "P1D"), (Path, "a/../b"), (Word, "a"), (dict[str, int], '{"a": 1}'), (JSON[int], " 5"),
     (datetime, "2024-01-01 00:00"), (Annotated[str, StringConstraints(strip_whitespace=True)] | None, " x"),
     (list[int] | None, "[]"), (ByteSize, "2 KiB"), (float, "-inf")],
)  # fmt: skip
def test_text_that_a_person_wrote_stays_as_it_stands(annotation: Any, text: str) -> None:
    assert rules_of(annotation).encode("x", text) == text


@pytest.mark.parametrize("annotation", [int, str, list[int], Plain, JSON[int | None]])
def test_none_is_refused_where_the_field_does_not_accept_it(annotation: Any) -> None:
    with pytest.raises(InvalidValueError, match="'x': None is not allowed"):
        rules_of(annotation).encode("x", None)


@pytest.mark.parametrize("annotation", [int | None, str | None, list[int] | None, Any, JSON[int] | None, None])
def test_sql_null_is_none_and_none_is_sql_null(annotation: Any) -> None:
    rules = rules_of(annotation)
    assert rules.encode("x", None) is None
    assert rules.decode("x", None) is None
    assert value_of(rules, None) is None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Any, (1, 2)), (Any, {1: 2}), (Any, Decimal(1)), (Any, {1}), (Any, object()), (object, b"a"),
     (bytes, b"\xff\xfe"), (Plain, Plain.PAIR), (Callable[[], None], print), (list[Any], [(1,)]),
     (dict[None, int], {None: 1}), (dict[Point, int], {Point(1): 1})],
)  # fmt: skip
def test_a_value_that_no_text_gives_back_is_refused(annotation: Any, value: object) -> None:
    with pytest.raises(InvalidValueError, match="cannot be stored as text so that it reads back the same"):
        rules_of(annotation).encode("x", value)


def test_bytes_of_any_kind_are_stored_where_the_class_has_an_encoding_for_them() -> None:
    rules = rules_of(bytes, ser_json_bytes="base64", val_json_bytes="base64")
    assert value_of(rules, rules.encode("x", b"\xff\xfe")) == b"\xff\xfe"


DEEP = 10_000


@pytest.mark.parametrize(
    "annotation",
    [str, int, float, Any, list[Any], list[Any] | str, JSON[Any], dict[str, float], Plain, Inner],
)
@pytest.mark.parametrize(
    "text",
    ["\0", "\ud800", '["\\u0000"]', '{"a":"\\ud800"}', "[1e400]", '{"a":-1E400}', "1" * 5_000, "[" * DEEP,
     '{"a":' * DEEP, "[" * DEEP + "]" * DEEP, "a" * (MAX_TEXT_BYTES + 1), "é" * (MAX_TEXT_BYTES // 2 + 1),
     "!json ", "!json [", "!json NaN", "!json " + "[" * DEEP, "!json " + "1" * 5_000, "!json 1e400",
     "\ufeff1"],
)  # fmt: skip
def test_poison_raises_nothing_but_our_own_error(annotation: Any, text: str) -> None:
    rules = rules_of(annotation)
    for step in (rules.decode, rules.read, rules.encode):
        error = error_of(step, "x", text)
        assert error is None or isinstance(error, InvalidValueError)
        assert error is None or error.__cause__ is None
        assert error is None or error.__suppress_context__ or error.__context__ is None
        assert len(str(error)) < 250


@pytest.mark.parametrize(
    ("annotation", "text", "reason"),
    [
        (str, "a\0", "U+0000"),
        (str, "\udfff", "surrogate"),
        (list[str], '["\\u0000"]', "U+0000"),
        (list[str] | str, '["\\u0000"]', "U+0000"),
        (JSON[list[str]], '["\\ud800"]', "surrogate"),
        (dict[str, int], '{"\\u0000":1}', "U+0000"),
        (float, "1e400", "too large"),
        (float, "9" * 400, "too large"),
        (list[float], "[1e400]", "too large"),
        (JSON[float], "1e400", "too large"),
        (list[int], f"[{'1' * 5_000}]", "not valid JSON"),
        (list[Any], "[" * DEEP, "nested"),
        (list[Any], "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), f"more than {MAX_DEPTH} levels"),
        (Any, ESCAPE + "[" * DEEP, "nested"),
        (str, "a" * (MAX_TEXT_BYTES + 1), f"longer than {MAX_TEXT_BYTES} bytes"),
        (str, "€" * 400_000, f"longer than {MAX_TEXT_BYTES} bytes"),
        (list[int], "1,2", "not valid JSON"),
        (list[int], "", "not valid JSON"),
        (Any, "!json {", "not valid JSON"),
    ],
)
def test_decode_refuses_with_a_reason(annotation: Any, text: str, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(reason)) as caught:
        rules_of(annotation).decode("x", text)
    assert caught.value.problems.keys() == {"x"}


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (str, "a\0", "U+0000"),
        (list[str], ["a\0"], "U+0000"),
        (dict[str, Any], {"a": ["\ud800"]}, "surrogate"),
        (str, "a" * (MAX_TEXT_BYTES + 1), "longer than"),
        (float, "1e400", "too large"),
        (float, "nan-sense", "unable to parse string as a number"),
        (FiniteFloat, math.nan, "finite number"),
        (FiniteFloat, "inf", "finite number"),
        (Annotated[float, Field(le=1)], 1.5, "Input should be less than or equal to 1"),
        (list[int], "1,2", "not valid JSON"),
        (list[int], ["a"], "unable to parse string as an integer"),
    ],
)
def test_encode_refuses_with_a_reason(annotation: Any, value: object, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(reason)):
        rules_of(annotation).encode("x", value)


def test_integers_of_thousands_of_digits_are_refused() -> None:
    for annotation, value in ((int, 10**5_000), (list[int], [10**5_000]), (Any, 10**5_000)):
        with pytest.raises(InvalidValueError):
            rules_of(annotation).encode("x", value)


def test_values_nested_without_end_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    endless: list[Any] = []
    endless.append(endless)
    for value in (deep, endless):
        for annotation in (Any, list[Any]):
            with pytest.raises(InvalidValueError):
                rules_of(annotation).encode("x", value)


def test_nesting_up_to_the_limit_is_a_value() -> None:
    rules = rules_of(list[Any])
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert rules.encode("x", value_of(rules, text)) == text


def test_brackets_within_a_text_are_no_nesting() -> None:
    rules = rules_of(list[str] | str)
    value = "[" * 2_000
    assert value_of(rules, rules.encode("x", value)) == value


def test_the_largest_text_is_a_value() -> None:
    assert check_text("x", "a" * MAX_TEXT_BYTES) == "a" * MAX_TEXT_BYTES
    assert check_text("x", "é" * (MAX_TEXT_BYTES // 2)) == "é" * (MAX_TEXT_BYTES // 2)


@pytest.mark.parametrize("text", [b"\xff\xfe5\x00", 5, None])
def test_what_is_no_str_is_no_text(text: Any) -> None:
    with pytest.raises(InvalidValueError, match="must be a str"):
        check_text("x", text)


class Holder(BaseModel):
    inner: dict[str, list[SecretStr]] = {}


@dataclass
class SecretBox:
    code: SecretBytes


class SecretEntry(TypedDict):
    code: Secret[int]


class SecretPair(NamedTuple):
    code: SecretStr


class Own(SecretStr):
    pass


@pytest.mark.parametrize(
    "annotation",
    [SecretStr, SecretBytes, Secret[int], Own, SecretStr | None, int | SecretStr, list[SecretStr],
     Annotated[SecretStr, Field(min_length=1)], dict[str, tuple[SecretBytes, ...]], Holder,
     list[Holder] | None, SecretBox, SecretEntry, SecretPair, JSON[SecretStr], RootModel[SecretStr]],
)  # fmt: skip
def test_a_field_that_holds_a_secret_is_neither_written_nor_read(annotation: Any) -> None:
    rules = rules_of(annotation)
    assert rules.secret_keys == {"x"}
    for step in (rules.encode, rules.decode, rules.read):
        with pytest.raises(SecretValueError, match="keep only a reference"):
            step("x", "canary")
        with pytest.raises(SecretValueError):
            step("x", None)


@pytest.mark.parametrize("value", [SecretStr("canary"), [SecretBytes(b"canary")], {"a": Secret(5)}])
def test_a_secret_in_a_field_of_any_type_is_not_written(value: object) -> None:
    rules = rules_of(Any)
    assert rules.secret_keys == frozenset()
    with pytest.raises(SecretValueError) as caught:
        rules.encode("x", value)
    assert "canary" not in str(caught.value)


def test_literals_and_names_that_speak_of_secrets_are_no_secrets() -> None:
    assert rules_of(Literal["SecretStr"]).secret_keys == frozenset()
    assert rules_of(Annotated[str, "the name of a Secret"]).secret_keys == frozenset()


class Aliased(BaseSettings):
    plain: int = 0
    alias: int = Field(0, alias="theAlias")
    choice: int = Field(0, validation_alias=AliasChoices(AliasPath("deep", 0), "first", "second"))
    path: int = Field(0, validation_alias=AliasPath("deep", 1))
    nested: Inner = Inner()


def test_keys_are_field_names_and_inputs_go_under_the_names_that_validation_expects() -> None:
    rules = TextRules(Aliased)
    names = {key: rules.input_name(key) for key in Aliased.model_fields}
    assert names == {
        "plain": "plain",
        "alias": "theAlias",
        "choice": "deep",
        "path": "deep",
        "nested": "nested",
    }
    texts = {"plain": "1", "alias": "2", "choice": "3", "path": "4", "nested": '{"thePort": 5}'}
    inputs = rules.inputs({key: rules.decode(key, text) for key, text in texts.items()})
    found = Aliased.model_validate(inputs)
    assert (found.plain, found.alias, found.choice, found.path, found.nested.port) == (1, 2, 3, 4, 5)
    with pytest.raises(UnknownKeyError):
        rules.decode("theAlias", "2")


def test_two_fields_may_share_the_head_of_a_path() -> None:
    class Pair(BaseModel):
        left: int = Field(7, validation_alias=AliasPath("pair", 0))
        right: int = Field(8, validation_alias=AliasPath("pair", 1, "value"))

    rules = TextRules(Pair)
    assert Pair.model_validate(rules.inputs({"right": 2})) == Pair.model_construct(left=7, right=2)
    assert Pair.model_validate(rules.inputs({"right": 2, "left": 1})) == Pair.model_construct(left=1, right=2)


def test_a_class_that_does_not_validate_by_alias_expects_field_names() -> None:
    class ByName(BaseModel):
        model_config = ConfigDict(validate_by_alias=False, validate_by_name=True)
        x: int = Field(0, alias="y")

    assert TextRules(ByName).input_name("x") == "x"


def test_an_unknown_key_is_answered_with_the_nearest_ones() -> None:
    rules = TextRules(Aliased)
    calls: list[Callable[[str, str], object]] = [
        rules.decode,
        rules.encode,
        lambda key, _: rules.input_name(key),
    ]
    for call in calls:
        with pytest.raises(UnknownKeyError, match="did you mean 'plain'"):
            call("plane", "1")


def test_inherited_generic_frozen_and_computed_fields() -> None:
    class Base(BaseSettings, Generic[T]):
        model_config = SettingsConfigDict(frozen=True)
        value: T

        @computed_field
        def twice(self) -> int:
            return 2

    class Child(Base[int]):
        other: str = "x"

    rules = TextRules(Child)
    assert rules.encode("value", 5) == "5"
    assert rules.read("value", "5") == 5
    assert rules.encode("other", "5") == "5"
    assert TextRules(Base[list[int]]).encode("value", [5]) == "[5]"
    with pytest.raises(UnknownKeyError):
        rules.encode("twice", 2)


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("x", '{"port": 1}')
    monkeypatch.setenv("X__PORT", "1")
    rules = rules_of(dict[str, int], env_nested_delimiter="__")
    assert rules.decode("x", "{}") == {}
    assert rules.decode("x", None) is None


def test_an_empty_text_is_a_value_and_null_is_none_whatever_the_class_says_of_empty_variables() -> None:
    assert rules_of(str, env_ignore_empty=True).decode("x", "") == ""
    assert rules_of(list[int] | None).decode("x", "null") is None


def test_settings_for_reading_the_environment_hold() -> None:
    by_name = rules_of(Plain | None, env_parse_enums=True)
    assert value_of(by_name, "PAIR") is Plain.PAIR
    assert value_of(by_name, by_name.encode("x", Plain.PAIR)) is Plain.PAIR
    none_text = rules_of(str | None, env_parse_none_str="none")
    assert none_text.decode("x", "none") is None
    assert none_text.encode("x", "none") == '!json "none"'
    assert none_text.decode("x", '!json "none"') == "none"
    undecoded = rules_of(list[int], enable_decoding=False)
    assert undecoded.decode("x", "[1]") == "[1]"
    strict = rules_of(int, strict=True)
    assert strict.encode("x", 5) == "5"
    assert strict.encode("x", "05") == "05"
    assert rules_of(date, strict=True).encode("x", date(2024, 1, 1)) == "2024-01-01"


def test_values_keep_their_case_insensitive_names() -> None:
    rules = rules_of(Inner)
    assert rules.decode("x", '{"THEPORT": 1}') == {"thePort": 1}


class Split(BaseSettings):
    numbers: Annotated[list[int], NoDecode] = []
    low: int = 0
    high: int = 9
    odd: int = 1
    even: Annotated[int, AfterValidator(lambda v: v * 2)] = 2
    name: str = ""

    @field_validator("numbers", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_serializer("numbers")
    def join(self, value: list[int]) -> str:
        return ",".join(map(str, value))

    @field_validator("high")
    @classmethod
    def not_below_low(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data["low"]:
            raise ValueError("high is below low")
        return value

    @field_validator("odd")
    @classmethod
    def must_be_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd")
        return value

    @field_validator("name")
    @classmethod
    def not_too_odd(cls, value: str) -> str:
        if value == "canary":
            raise ValueError(f"{value} is not a name")
        return value


def test_the_class_s_own_validators_and_serializers_take_part() -> None:
    rules = TextRules(Split)
    assert rules.encode("numbers", [1, 2]) == "1,2"
    assert rules.encode("numbers", "1,2") == "1,2"
    assert rules.read("numbers", "1,2") == [1, 2]
    with pytest.raises(InvalidValueError, match="must be odd"):
        rules.encode("odd", 2)


def test_a_validator_that_needs_other_fields_is_left_to_the_whole_model() -> None:
    assert TextRules(Split).encode("high", -5) == "-5"


def test_a_validator_that_is_not_idempotent_gets_the_value_that_was_given() -> None:
    rules = TextRules(Split)
    assert rules.encode("even", 3) == "3"
    assert rules.read("even", "3") == 6


def test_a_validator_that_breaks_is_a_refusal() -> None:
    def breaks(_: object) -> object:
        raise KeyError("canary")

    rules = rules_of(Annotated[int, BeforeValidator(breaks)])
    for step in (rules.encode, rules.read):
        with pytest.raises(InvalidValueError, match="a validator failed on it") as caught:
            step("x", "1")
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(Annotated[int, Field(le=1)], 31_337), (uuid.UUID, "31337"), (JSON[int], "31337x"),
     (list[int], ["31337x"]), (dict[str, int], {"31337": "x"}), (Literal["a"], "31337"), (AnyUrl, "31337"),
     (date, "31337-1-1"),
     (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "31337"})],
)  # fmt: skip
def test_messages_never_carry_the_value(annotation: Any, value: object) -> None:
    with pytest.raises(InvalidValueError) as caught:
        rules_of(annotation).encode("x", value)
    assert "31337" not in str(caught.value)
    assert "31337" not in str(caught.value.problems)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_messages_of_validators_that_quote_the_value_are_replaced() -> None:
    with pytest.raises(InvalidValueError, match=r"refused by a validator \(ValueError\)") as caught:
        TextRules(Split).encode("name", "canary")
    assert "canary" not in str(caught.value)


def test_fields_named_like_methods_of_pydantic_are_read() -> None:
    fields: Any = {"copy": (int, 1), "json": (list[int], [])}
    with pytest.warns(UserWarning, match="shadows an attribute"):
        owner = create_model("Owner", **fields)
    rules = TextRules(owner)
    assert rules.encode("copy", 5) == "5"
    assert rules.encode("json", [5]) == "[5]"


def test_an_undefined_name_is_a_fault_of_the_declaration() -> None:
    class Owner(BaseModel):
        x: Missing  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DeclarationError, match="'Missing'"):
        TextRules(Owner)


def test_equal_sets_have_equal_texts_in_every_process() -> None:
    rules = rules_of(set[str])
    words = [f"word{i}" for i in range(50)]
    assert rules.encode("x", set(words)) == rules.encode("x", {*words[25:], *words[:25]})


SAME: list[tuple[object, object]] = [
    (math.nan, float("nan")), ([math.nan], [float("nan")]), ({1: 2, 3: 4}, {3: 4, 1: 2}),
    ({float("nan"): 1}, {float("nan"): 1}), ({1, 2}, {2, 1}),
    (Cat(), Cat()), (Decimal("nan"), Decimal("nan")),
    (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=timezone(timedelta(0)))),
]  # fmt: skip
DIFFERENT: list[tuple[object, object]] = [
    (1, True), (1, 1.0), (1, "1"), (0.0, -0.0), (Decimal("1.0"), Decimal("1.00")), ((1,), [1]), ({1}, {True}),
    ({1}, frozenset({1})), ({1: 0}, {True: 0}), ({1: 0}, {1: False}), (Number.TWO, 2), (Word.A, "a"),
    (Cat(lives=1), Cat(lives=2)), (Box(1), Box(True)), (deque([1]), deque([1], 5)), (b"a", bytearray(b"a")),
    (datetime(2024, 1, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=1)))),
    (complex(0.0, 0.0), complex(0.0, -0.0)), (re.compile("a"), re.compile("a", re.IGNORECASE)), ([1], [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), SAME)
def test_same(left: object, right: object) -> None:
    assert same_value(left, right)
    assert same_value(right, left)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different(left: object, right: object) -> None:
    assert not same_value(left, right)
    assert not same_value(right, left)
