"""The text rules, for any type and any value."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from unittest.mock import patch
from uuid import UUID

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasPath,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    Json,
    RootModel,
    StrictBool,
    StrictInt,
    TypeAdapter,
    ValidationError,
)
from pydantic_settings import BaseSettings, ForceDecode, NoDecode, SettingsError
from typing_extensions import TypedDict

from hotconfig.core.errors import InvalidValueError, SecretValueError
from hotconfig.core.text import ESCAPE, TextRules
from hotconfig.core.text.limits import text_fault
from hotconfig.core.text.same import same_value
from hotconfig.core.text.survey import parse_scalar

EXAMPLES = int(os.environ.get("HOTCONFIG_TEXT_EXAMPLES", "25"))
T = TypeVar("T")
# As values, for mypy takes them for types of variables otherwise.
JSON: Any = Json
LIST: Any = list
DEQUE: Any = deque
TUPLE: Any = tuple
DICT: Any = dict
SET: Any = set
FROZENSET: Any = frozenset
Typed = tuple[Any, st.SearchStrategy[object]]


class Plain(Enum):
    ONE = 1
    WORD = "word"
    TWO = "ONE"
    NOTHING = ""
    HALF = 0.5


class Word(StrEnum):
    A = "a"
    ESCAPED = "!json 1"


class Number(IntEnum):
    ZERO = 0
    ONE = 1


class Point(NamedTuple):
    x: int
    y: str


class Entry(TypedDict):
    name: str
    when: date | None


@dataclass
class Box:
    width: float
    names: frozenset[str]


class Leaf(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")
    port: int = Field(1, alias="thePort")
    share: Decimal = Field(Decimal(0), validation_alias=AliasPath("deep", 2, "share"))
    word: str | int = Field("", exclude=True)


class Branch(BaseModel):
    kind: Literal["branch"] = "branch"
    leaves: dict[str, Leaf] = {}
    next: Branch | None = None


class Other(BaseModel):
    kind: Literal["other"] = "other"
    when: datetime | None = None


class Ids(RootModel[list[int]]):
    pass


class Count(RootModel[int]):
    pass


# No U+0000 and no surrogates: what must not be stored is tested for being refused, below.
characters = st.characters(codec="utf-8", exclude_characters="\0")
texts = st.one_of(
    st.text(characters, max_size=8),
    st.sampled_from(["", "null", "None", "true", "5", "5.0", "[1]", '{"a":1}', '"a"', "!json 5", "!json ", " ", "nan"]),
)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
durations = st.timedeltas(timedelta(days=-999_999), timedelta(days=999_999))
leaves = st.builds(
    lambda port, share, word, extra: Leaf.model_validate(
        {"thePort": port, "deep": [None, 0, {"share": share}], "word": word, **extra}
    ),
    st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.one_of(texts, st.integers()),
    st.dictionaries(st.sampled_from(["more", "other"]), texts | st.integers() | st.none(), max_size=2),
)  # fmt: skip
branches: st.SearchStrategy[object] = st.recursive(
    st.builds(Branch, leaves=st.dictionaries(texts, leaves, max_size=2)),
    lambda inner: st.builds(Branch, next=inner),
    max_leaves=3,
)

PLAIN: list[Typed] = [
    (str, texts),
    (int, st.integers()),
    (int, st.integers(-(10**60), 10**60)),
    (float, st.floats()),
    (bool, st.booleans()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (bytes, texts.map(str.encode)),
    (date, st.dates(min_value=date(1600, 1, 1))),
    (datetime, st.datetimes(min_value=datetime(1600, 1, 1))),  # noqa: DTZ001
    (datetime, st.datetimes(min_value=datetime(1600, 1, 1), timezones=offsets)),  # noqa: DTZ001
    (time, st.times()),
    (timedelta, durations),
    (UUID, st.uuids()),
    (IPv4Address, st.ip_addresses(v=4)),
    (IPv6Address, st.ip_addresses(v=6)),
    (PurePosixPath, texts.map(PurePosixPath)),
    (Plain, st.sampled_from(Plain)),
    (Word, st.sampled_from(Word)),
    (Number, st.sampled_from(Number)),
    (Literal["a", "5", 5, True], st.sampled_from(["a", "5", 5, True])),
    (ByteSize, st.integers(0, 2**60).map(ByteSize)),
    (StrictInt, st.integers()),
    (Annotated[bool, Field(strict=True)], st.booleans()),
    (Annotated[int, Field(ge=-5, le=5)], st.integers(-5, 5)),
    (Any, st.one_of(texts, st.integers(), st.floats(), st.booleans(), st.lists(texts, max_size=2))),
    (object, st.dictionaries(texts, st.one_of(st.none(), st.integers(), texts), max_size=2)),
    (Count, st.integers().map(Count)),
]
KEYS: list[Typed] = [
    (str, texts),
    (int, st.integers()),
    (date, st.dates(min_value=date(1600, 1, 1))),
    (Word, st.sampled_from(Word)),
    (UUID, st.uuids()),
    (bool, st.booleans()),
]
WHOLE: list[Typed] = [
    (Leaf, leaves),
    (Branch, branches),
    (Annotated[Branch | Other, Field(discriminator="kind")], st.one_of(branches, st.builds(Other))),
    (Branch | Other, st.one_of(branches, st.builds(Other))),
    (Ids, st.lists(st.integers(), max_size=3).map(Ids)),
    (Point, st.builds(Point, st.integers(), texts)),
    (Entry, st.fixed_dictionaries({"name": texts, "when": st.none() | st.dates(min_value=date(1600, 1, 1))})),
    (Box, st.builds(Box, st.floats(), st.frozensets(texts, max_size=3))),
    (JSON[list[int | str]], st.lists(st.integers() | texts, max_size=3)),
]


def listed(inner: Typed) -> Typed:
    return LIST[inner[0]], st.lists(inner[1], max_size=3)


def queued(inner: Typed) -> Typed:
    return DEQUE[inner[0]], st.lists(inner[1], max_size=3).map(deque)


def tupled(inner: Typed) -> Typed:
    return TUPLE[inner[0], ...], st.lists(inner[1], max_size=3).map(tuple)


def paired(inner: Typed) -> Typed:
    return TUPLE[int, inner[0]], st.tuples(st.integers(), inner[1])


def optional(inner: Typed) -> Typed:
    return inner[0] | None, st.none() | inner[1]


def annotated(inner: Typed) -> Typed:
    return Annotated[inner[0], Field(description="d")], inner[1]


def keyed(inner: Typed) -> st.SearchStrategy[Typed]:
    return st.sampled_from(KEYS).map(
        lambda key: (DICT[key[0], inner[0]], st.dictionaries(key[1], inner[1], max_size=3))
    )


def set_of(key: Typed) -> Typed:
    return SET[key[0]], st.sets(key[1], max_size=4)


def frozen(key: Typed) -> Typed:
    return FROZENSET[key[0]], st.frozensets(key[1], max_size=4)


def united(left: Typed, right: Typed) -> Typed:
    return left[0] | right[0], left[1] | right[1]


def extended(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    wrap: list[Callable[[Typed], Typed]] = [listed, queued, tupled, paired, optional, annotated]
    unions = st.tuples(inner, inner).filter(lambda both: _can_unite(*both)).map(lambda both: united(*both))
    return st.one_of(*(inner.map(one) for one in wrap), inner.flatmap(keyed), unions)


def _can_unite(left: Typed, right: Typed) -> bool:
    try:
        united(left, right)
    except TypeError:
        return False
    return True


basic = st.sampled_from(PLAIN + WHOLE) | st.sampled_from(KEYS).map(set_of) | st.sampled_from(KEYS).map(frozen)
typed: st.SearchStrategy[tuple[Any, object]] = st.recursive(basic, extended, max_leaves=4).flatmap(
    lambda one: st.tuples(st.just(one[0]), one[1])
)
wild_texts = st.one_of(
    st.text(max_size=20),
    texts,
    st.text('[]{}",:0123456789.eE+-!json nulltruefals\\ud\0', max_size=30),
    texts.map(lambda text: ESCAPE + text),
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    ).map(lambda tree: TypeAdapter(Any).dump_json(tree).decode()),
)


def class_of(annotation: Any, base: type[BaseModel] = BaseSettings, **config: Any) -> type[BaseModel]:
    return type("Owner", (base,), {"__annotations__": {"x": annotation}, "model_config": config})


def validated(owner: type[BaseModel], rules: TextRules, text: str | None) -> object:
    return getattr(owner.model_validate(rules.inputs({"x": rules.decode("x", text)})), "x")  # noqa: B009


relaxed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@relaxed
@given(typed)
@example((int | float | Decimal, 5.0))
@example((list[Any], [{"a": (1,)}]))
def test_what_is_written_reads_back_as_the_same_value(case: tuple[Any, object]) -> None:
    annotation, given_value = case
    owner = class_of(annotation, BaseModel)
    rules = TextRules(owner)
    value = _kept(owner, given_value)
    try:
        text = rules.encode("x", value)
    except InvalidValueError:
        assert _may_be_refused(annotation)
        return
    assert (text is None) == (value is None)
    # A str for a field without str values is text; here values are what the class keeps, so there is none.
    assert same_value(validated(owner, rules, text), value)


def _kept(owner: type[BaseModel], value: object) -> object:
    try:
        return getattr(owner(x=value), "x")  # noqa: B009
    except ValidationError:
        return value  # of a JSON[...]: what it keeps is not what it validates


def _may_be_refused(annotation: Any) -> bool:
    """Unions and Any leave open which type a JSON text within a list or model stands for."""
    return (
        "|" in str(annotation) or "Any" in str(annotation) or "object" in str(annotation) or "Union" in str(annotation)
    )


@relaxed
@given(st.sampled_from(PLAIN + WHOLE).flatmap(lambda one: st.tuples(st.just(one[0]), one[1])))
def test_any_value_of_a_definite_type_is_written_and_read_back(case: tuple[Any, object]) -> None:
    annotation, given_value = case
    for owner in (class_of(annotation, BaseModel), class_of(annotation, BaseSettings)):
        rules = TextRules(owner)
        value = _kept(owner, given_value)
        assert same_value(validated(owner, rules, rules.encode("x", value)), value)


CONFIGS: list[dict[str, Any]] = [
    {}, {"strict": True}, {"env_parse_enums": True}, {"case_sensitive": True}, {"enable_decoding": False},
    {"env_parse_none_str": "null"}, {"str_strip_whitespace": True}, {"use_enum_values": True},
    {"val_json_bytes": "base64", "ser_json_bytes": "base64"}, {"ser_json_timedelta": "float"},
]  # fmt: skip
SPECIAL: list[Any] = [
    Annotated[list[int], NoDecode], Annotated[list[int], ForceDecode], StrictBool | None, StrictInt | str,
    Literal[Number.ONE, "a"], Literal[Word.A], JSON[Any], JSON[list[int]] | None, Json, type[int], complex,
    dict[str, Any] | str, list[int] | None, Any, T, Leaf | int, Plain | None, dict[str, list[Leaf]],
]  # fmt: skip
types = st.sampled_from([one[0] for one in PLAIN + WHOLE] + SPECIAL) | st.recursive(basic, extended, max_leaves=3).map(
    lambda one: one[0]
)


@relaxed
@given(types, wild_texts, st.sampled_from(CONFIGS))
@example(list[int], "[1, 2]", {})
@example(Leaf, '{"THEPORT": 5, "PORT": 6}', {})
@example(Literal[Number.ONE, "a"], "1", {})
@example(StrictBool | None, "true", {})
@example(Plain | None, "ONE", {"env_parse_enums": True})
@example(Plain | None, "1", {})
@example(str | None, "null", {"env_parse_none_str": "null"})
@example(int, "05", {"strict": True})
@example(Annotated[list[int], ForceDecode], "[1]", {"enable_decoding": False})
@example(dict[str, Any] | str, "{", {})
def test_a_text_means_what_it_means_in_an_environment_variable(
    annotation: Any, text: str, config: dict[str, Any]
) -> None:
    assume(text_fault(text) is None)  # an environment cannot hold U+0000 either
    assume(not text.startswith(ESCAPE))  # ours alone
    owner = class_of(annotation, BaseSettings, **config)
    rules = TextRules(owner)
    with patch.dict(os.environ, {"x": text}, clear=True):
        theirs = _outcome(lambda: getattr(owner(), "x"))  # noqa: B009
    assume(theirs != ("missing",))  # JSON null of a list, dict or model: None for us, "not set" for them
    ours = _outcome(lambda: validated(owner, rules, text))
    assert _same_outcome(ours, theirs) or (theirs == ("refused",) and _is_a_number_by_name(ours, text)), (ours, theirs)


def _is_a_number_by_name(ours: Outcome, text: str) -> bool:
    """Of a class of names that are texts and numbers, pydantic takes the number for no text; we write it as one."""
    member = ours[1] if len(ours) > 1 else None
    return isinstance(member, Enum) and parse_scalar(text) == member.value


Outcome = tuple[str] | tuple[str, object]


def _outcome(read: Callable[[], object]) -> Outcome:
    try:
        return "value", read()
    except ValidationError as error:
        first = error.errors()[0]
        return ("missing",) if first["type"] == "missing" and first["loc"] == ("x",) else ("refused",)
    except (SettingsError, InvalidValueError, RecursionError):
        return ("refused",)


def _same_outcome(ours: Outcome, theirs: Outcome) -> bool:
    return ours[0] == theirs[0] and (len(ours) == 1 or len(theirs) == 1 or same_value(ours[1], theirs[1]))


@relaxed
@given(
    types,
    wild_texts | st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.sampled_from(CONFIGS),
)
def test_no_text_makes_decoding_raise_anything_else(annotation: Any, text: str, config: dict[str, Any]) -> None:
    rules = TextRules(class_of(annotation, BaseSettings, **config))
    for step in (rules.decode, rules.read):
        assert _message_of(step, text).startswith("key 'x'")


def _message_of(step: Callable[[str, str], object], text: str) -> str:
    try:
        step("x", text)
    except (InvalidValueError, SecretValueError) as error:
        return str(error)
    return "key 'x' can be read"


@relaxed
@given(types, wild_texts)
def test_text_that_a_person_may_write_is_kept_or_refused_or_a_value(annotation: Any, text: str) -> None:
    owner = class_of(annotation, BaseModel)
    rules = TextRules(owner)
    try:
        written = rules.encode("x", text)
    except InvalidValueError:
        return
    assert written is not None
    assert text_fault(written) is None
    assert written == text or same_value(rules.read("x", written), _kept(owner, text))


@relaxed
@given(st.data())
def test_same_is_reflexive_and_blind_to_the_order_of_sets_and_keys(data: st.DataObject) -> None:
    _, value = data.draw(typed)
    assert same_value(value, value)
    if isinstance(value, dict):
        items = list(value.items())
        random.Random(0).shuffle(items)
        assert same_value(dict(items), value)
