"""A settings class with a field of every kind that the text rules tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple
from uuid import UUID

from pydantic import AliasChoices, AliasPath, BaseModel, ByteSize, Field, HttpUrl, Json, SecretStr, StrictInt
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from typing_extensions import TypedDict

from hotconfig.core.declaration import Sensitive, settings


class Color(Enum):
    RED = "red"
    TWO = 2


class Level(IntEnum):
    LOW = 1
    HIGH = 9


class Point(NamedTuple):
    x: int
    y: float


class Entry(TypedDict):
    name: str
    size: int


@dataclass
class Box:
    width: float
    names: frozenset[str]


class Leaf(BaseModel):
    port: int = Field(1, alias="thePort")
    share: Decimal = Decimal(0)


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tail: str | None = None


@settings(service="every")
class Everything(BaseSettings):
    """Defaults everywhere, so that any part of it can be given."""

    model_config = SettingsConfigDict(env_prefix="HOTCONFIG_FUZZ_")

    a_str: str = "s"
    a_short: Annotated[str, Field(max_length=5, pattern=r"^[a-z]*$")] = "s"
    a_bool: bool = False
    an_int: int = 0
    a_bounded: Annotated[int, Field(ge=0, le=100, multiple_of=2)] = 0
    a_strict: StrictInt = 0
    a_float: float = 0.5
    a_finite: Annotated[float, Field(allow_inf_nan=False)] = 0.5
    a_decimal: Decimal = Decimal(0)
    a_bytes: bytes = b""
    a_date: date = date(2026, 1, 1)
    a_datetime: datetime | None = None
    a_time: time | None = None
    a_duration: timedelta = timedelta(seconds=1)
    a_uuid: UUID | None = None
    an_address: IPv4Address | IPv6Network | None = None
    a_path: Path = Path("/")
    a_url: HttpUrl | None = None
    a_size: ByteSize = ByteSize(1)
    a_color: Color = Color.RED
    a_level: Level = Level.LOW
    a_literal: Literal["a", 5, True] = "a"
    an_optional: int | None = None
    a_union: int | str | list[int] = 0
    anything: Any = None
    some_ints: list[int] = []
    some_unsplit: Annotated[list[str], NoDecode] = []
    a_set: set[str] = set()
    a_pair: tuple[int, str] = (0, "")
    a_dict: dict[str, list[float]] = {}
    by_number: dict[int, Color] = {}
    a_model: Leaf = Leaf()
    a_pet: Annotated[Cat | Dog, Field(discriminator="kind")] = Cat()
    a_point: Point = Point(0, 0)
    an_entry: Entry | None = None
    a_box: Box | None = None
    a_json: Json[list[int]] = Field("[]", validate_default=True)
    a_hint: Annotated[str, Sensitive()] = ""
    a_secret: SecretStr = SecretStr("unset")
    aliased: int = Field(0, validation_alias=AliasChoices("other", AliasPath("deep", 1, "down")))


GENUINE: Final = (
    "s", "true", "0", "42", "-7", "0.90", "1e3", "nan", "red", "RED", "9", "a", "5", "2026-01-01",
    "2026-01-01T00:00:00Z",
    "12:30:00", "PT1H", "90", "123e4567-e89b-12d3-a456-426614174000", "10.0.0.1", "fe80::/10", "/etc", "https://a.b/c?d",
    "5 MiB", "[1, 2]", '["a"]', '[1, "x"]', '{"a": [1.5]}', '{"1": "red"}', '{"thePort": 80, "share": "0.1"}',
    '{"kind": "dog", "tail": "t"}', '{"kind": "cat", "lives": 3}', '[1, 2.5]', '{"name": "n", "size": 1}',
    '{"width": 1.0, "names": ["x"]}', "!json 5", '!json "x"', "!json [1]", "a,b,c", '{"down": 3}',
)  # fmt: skip
