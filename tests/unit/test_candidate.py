"""Candidates: precedence, and every habit that pydantic users have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from hotconfig.core.candidate import Blueprint, Built, Layers, merged
from hotconfig.core.declaration import settings
from hotconfig.core.errors import DeclarationError, ReadOnlySettingsError, UnknownKeyError
from hotconfig.sources import HotConfigSource, capture

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)
Texts = dict[str, str | None]


def build(settings_class: type[S], texts: Mapping[str, str | None], pins: Mapping[str, Any] | None = None) -> S:
    """What a process would show that finds these texts in PostgreSQL and its own sources around them."""
    instance = blueprint(settings_class, pins).build(texts).instance
    assert instance is not None
    return instance


def blueprint(settings_class: type[S], pins: Mapping[str, Any] | None = None) -> Blueprint[S]:
    return Blueprint(settings(service="ai")(settings_class), capture(settings_class), pins)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# precedence ---------------------------------------------------------------------------------------------------


class Plain(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_")
    a: int = 0
    b: int = 0


def test_postgresql_wins_over_the_environment_and_pins_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_A", "1")
    monkeypatch.setenv("APP_B", "1")
    assert build(Plain, {}) == Plain(a=1, b=1)
    assert build(Plain, {"a": "2"}) == Plain(a=2, b=1)
    assert build(Plain, {"a": "2", "b": "2"}, pins={"b": 3}) == Plain(a=2, b=3)
    assert build(Plain, {}, pins={"b": 3}) == Plain(a=1, b=3)


def test_the_environment_is_read_once() -> None:
    made = blueprint(Plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APP_A", "1")
        assert made.build({}).instance == Plain(a=0)
    assert made.build({}).instance == Plain(a=0)


def test_dotenv_and_secrets_files_give_way_to_postgresql(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("a=1\nb=1\n")
    (tmp_path / "c").write_text("1")
    (tmp_path / "d").write_text("1")

    class Files(BaseSettings):
        model_config = SettingsConfigDict(env_file=".env", secrets_dir=tmp_path)
        a: int = 0
        b: int = 0
        c: int = 0
        d: int = 0

    assert build(Files, {}) == Files()
    assert build(Files, {"a": "2", "c": "2"}).model_dump() == {"a": 2, "b": 1, "c": 2, "d": 1}


@pytest.mark.parametrize(("place", "a", "b"), [(0, 2, 2), (1, 1, 2), (2, 1, 1)], ids=["first", "between", "last"])
def test_hotconfig_source_says_where_postgresql_stands(place: int, a: int, b: int) -> None:
    class Placed(BaseSettings):
        a: int = 0
        b: int = 0

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            fixed = [InitSettingsSource(settings_cls, {"a": 1}), InitSettingsSource(settings_cls, {"b": 1})]
            return (*fixed[:place], HotConfigSource(settings_cls), *fixed[place:])

    assert build(Placed, {"a": "2", "b": "2"}).model_dump() == {"a": a, "b": b}
    assert build(Placed, {}).model_dump() == {"a": 1, "b": 1}
    assert Placed().model_dump() == {"a": 1, "b": 1}
    assert build(Placed, {"a": "2", "b": "2"}, pins={"a": 3, "b": 3}).model_dump() == {"a": 3, "b": 3}


def test_what_wins_over_postgresql_wins_under_any_of_the_fields_names() -> None:
    class Named(BaseSettings):
        model_config = SettingsConfigDict(populate_by_name=True)
        a: int = Field(0, validation_alias=AliasChoices("first", "second"))

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return Above(settings_cls), HotConfigSource(settings_cls)

    class Above(HotConfigSource):
        name = "first"

        def __call__(self) -> dict[str, Any]:
            return {self.name: 1}

    for name in ("first", "second", "a"):
        Above.name = name
        captured = Layers(high={name: 1})
        made = Blueprint(settings(service="ai")(Named), captured).build({"a": "2"})
        assert made.instance is not None
        assert made.instance.a == 1


def test_a_custom_source_sees_what_those_before_it_said() -> None:
    seen: list[tuple[dict[str, Any], list[str]]] = []

    class Curious(HotConfigSource):
        def __call__(self) -> dict[str, Any]:
            seen.append((dict(self.current_state), list(self.settings_sources_data)))
            return {"b": self.current_state.get("a", 0) + 1}

    class Asking(BaseSettings):
        a: int = 0
        b: int = 0

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return InitSettingsSource(settings_cls, {"a": 7}), Curious(settings_cls)

    assert Asking().model_dump() == {"a": 7, "b": 8}
    assert build(Asking, {}).model_dump() == {"a": 7, "b": 8}
    assert seen[0] == seen[-1]
    assert seen[-1] == ({"a": 7}, ["InitSettingsSource"])


def test_an_unknown_pin_is_refused() -> None:
    with pytest.raises(UnknownKeyError, match="Plain has no key 'thresold'; it has: a"):
        blueprint(Plain, pins={"thresold": 1})


def test_a_pin_that_does_not_validate_is_a_problem_by_key() -> None:
    assert blueprint(Plain, pins={"a": "no number"}).build({"a": "1"}).problems.keys() == {"a"}


def test_a_text_under_a_pin_is_not_even_read() -> None:
    assert build(Plain, {"a": "no number"}, pins={"a": 3}).a == 3


# names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alias",
    [
        None,
        "LIMIT",
        AliasChoices("FIRST", "SECOND"),
        AliasPath("DEEP", "in", 0),
        AliasChoices(AliasPath("DEEP", "x"), "FLAT"),
    ],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_a_key_is_the_fields_name_whatever_its_alias(alias: Any, by_name: bool) -> None:
    config = ConfigDict(populate_by_name=by_name)

    class Named(BaseModel):
        model_config = config
        limit: int = Field(0, validation_alias=alias)
        other: int = 0

    assert build(Named, {"limit": "5", "other": "6"}).model_dump() == {"limit": 5, "other": 6}
    assert build(Named, {"limit": "5"}, pins={"limit": 7}).limit == 7


@pytest.mark.parametrize("name", ["FIRST", "SECOND"])
def test_an_environment_value_under_any_alias_gives_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Named(BaseSettings):
        limit: int = Field(0, validation_alias=AliasChoices("FIRST", "SECOND"))

    monkeypatch.setenv(name, "1")
    assert build(Named, {}).limit == 1
    assert build(Named, {"limit": "2"}).limit == 2


@pytest.mark.parametrize("alias", [AliasChoices(AliasPath("deep", "x"), "gee"), AliasPath("deep", "x")])
@pytest.mark.parametrize("extra", ["forbid", "ignore"])
def test_what_the_environment_says_in_the_place_that_is_looked_at_first_gives_way(
    alias: Any, extra: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Named(BaseSettings):
        model_config = SettingsConfigDict(populate_by_name=True, extra=extra)
        limit: int = Field(0, validation_alias=alias)

    monkeypatch.setenv("DEEP", '{"x": 7}')
    assert build(Named, {}).limit == 7
    assert build(Named, {"limit": "100"}).limit == 100


@pytest.mark.parametrize("raw", ['{"x": 1, "y": 2}', '{"y": 2}'])
def test_a_field_picked_out_of_a_structure_leaves_its_neighbours(raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Picked(BaseSettings):
        x: int = Field(0, validation_alias=AliasPath("data", "x"))
        y: int = Field(0, validation_alias=AliasPath("data", "y"))

    monkeypatch.setenv("DATA", raw)
    assert build(Picked, {"x": "5"}).model_dump() == {"x": 5, "y": 2}
    assert build(Picked, {"x": "5"}, pins={"y": 9}).model_dump() == {"x": 5, "y": 9}


def test_an_item_picked_out_of_a_list_leaves_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picked(BaseSettings):
        items: list[int] = []
        first: int = Field(0, validation_alias=AliasPath("items", 0))
        last: int = Field(0, validation_alias=AliasPath("items", -1))

    class Beyond(BaseSettings):
        second: int = Field(0, validation_alias=AliasPath("items", 1))
        first: int = Field(0, validation_alias=AliasPath("items", 0))

    monkeypatch.setenv("ITEMS", "[1, 2]")
    assert build(Picked, {"first": "5"}).model_dump() == {"items": [5, 2], "first": 5, "last": 2}
    assert build(Picked, {"last": "5"}).model_dump() == {"items": [1, 5], "first": 1, "last": 5}
    monkeypatch.setenv("ITEMS", "[1]")
    assert build(Beyond, {"second": "5"}).model_dump() == {"second": 5, "first": 1}


def test_a_structure_from_postgresql_replaces_the_whole_field_behind_an_alias_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Picked(BaseSettings):
        x: dict[str, int] = Field(default_factory=dict, validation_alias=AliasPath("data", "x"))

    monkeypatch.setenv("DATA", '{"x": {"a": 1}}')
    assert build(Picked, {"x": '{"b": 2}'}).x == {"b": 2}


def test_case_sensitive_names_and_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sensitive(BaseSettings):
        model_config = SettingsConfigDict(case_sensitive=True, env_prefix="app_")
        Limit: int = 0

    monkeypatch.setenv("app_Limit", "1")
    monkeypatch.setenv("APP_LIMIT", "9")
    assert build(Sensitive, {}).Limit == 1
    assert build(Sensitive, {"Limit": "2"}).Limit == 2
    assert blueprint(Sensitive).build({"limit": "3"}).unknown == {"limit"}


# nested models ------------------------------------------------------------------------------------------------


class Server(BaseModel):
    host: str = "localhost"
    port: int = 80


class Nested(BaseSettings):
    model_config = SettingsConfigDict(env_nested_delimiter="__")
    server: Server = Server()
    limits: dict[str, int] = {}


def test_a_nested_value_replaces_the_whole_field_without_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER__PORT", "1")
    monkeypatch.setenv("LIMITS__A", "1")
    assert build(Nested, {}).model_dump() == {"server": {"host": "localhost", "port": 1}, "limits": {"a": 1}}
    found = build(Nested, {"server": '{"host": "pg"}', "limits": '{"b": 2}'})
    assert found.model_dump() == {"server": {"host": "pg", "port": 80}, "limits": {"b": 2}}
    assert build(Nested, {}, pins={"limits": {"c": 3}}).limits == {"c": 3}


def test_partial_updates_of_nested_defaults_work_as_without_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    class Partial(BaseSettings):
        model_config = SettingsConfigDict(env_nested_delimiter="__", nested_model_default_partial_update=True)
        server: Server = Server(host="default", port=81)
        other: Server = Server(host="other", port=82)

    monkeypatch.setenv("SERVER__PORT", "1")
    assert build(Partial, {}) == Partial()
    assert build(Partial, {}).server == Server(host="default", port=1)
    assert build(Partial, {"server": '{"host": "pg", "port": 2}'}).server == Server(host="pg", port=2)


def test_merging_leaves_both_sides_alone() -> None:
    below: dict[str, Any] = {"a": {"x": 1}, "b": 1}
    above: dict[str, Any] = {"a": {"y": 2}, "b": {"z": 3}}
    assert merged(below, above) == {"a": {"x": 1, "y": 2}, "b": {"z": 3}}
    assert (below, above) == ({"a": {"x": 1}, "b": 1}, {"a": {"y": 2}, "b": {"z": 3}})


# classes of every kind ----------------------------------------------------------------------------------------


class Base(BaseSettings):
    a: int = 1

    @field_validator("a")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 0:
            raise ValueError("must not be negative")
        return value


class Derived(Base):
    b: int = 2


class Box(BaseModel, Generic[T]):
    value: T
    more: list[T] = []


def test_inherited_fields_and_validators_count() -> None:
    assert build(Derived, {"a": "3", "b": "4"}).model_dump() == {"a": 3, "b": 4}
    assert blueprint(Derived).build({"a": "-1"}).problems == {"a": "must not be negative"}


def test_a_generic_class_validates_by_its_type() -> None:
    assert build(Box[int], {"value": "5", "more": "[1]"}).model_dump() == {"value": 5, "more": [1]}
    assert blueprint(Box[int]).build({"value": "x"}).problems.keys() == {"value"}
    assert type(build(Box[str], {"value": "5"}).value) is str


def test_a_required_field_may_come_from_postgresql_alone() -> None:
    assert blueprint(Box[int]).build({}).problems == {"value": "Field required"}
    assert build(Box[int], {"value": "1"}).value == 1


@pytest.mark.parametrize("extra", ["forbid", "allow", "ignore"])
def test_keys_that_the_class_does_not_have_never_reach_it(extra: Any) -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra=extra)
        a: int = 1

    built = blueprint(Strict).build({"a": "2", "later": "1"})
    assert built.instance == Strict(a=2)
    assert built.unknown == {"later"}
    assert not (built.instance.model_extra)
    assert not ({})


def test_extras_of_other_sources_stay(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("a=1\nmore=x\n")

    class Open(BaseSettings):
        model_config = SettingsConfigDict(env_file=".env", extra="allow")
        a: int = 0

    assert build(Open, {"a": "2"}).model_extra == {"more": "x"}


def test_validators_of_all_kinds_run_on_the_whole() -> None:
    class Checked(BaseModel):
        low: Annotated[int, BeforeValidator(lambda value: str(value).removesuffix("%"))] = 0
        high: int = 10
        seen: list[str] = []

        @model_validator(mode="before")
        @classmethod
        def _rename(cls, data: Any) -> Any:
            return {"high": data.pop("maximum"), **data} if "maximum" in data else data

        @model_validator(mode="after")
        def _ordered(self) -> Checked:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    assert build(Checked, {"low": "5%"}).low == 5
    refused = blueprint(Checked).build({"low": "50"})
    assert refused == Built(None, {"*": "low is above high"}, frozenset())
    assert build(Checked, {"low": "50", "high": "60"}).high == 60


def test_computed_cached_and_private_attributes_belong_to_each_instance() -> None:
    class Rich(BaseModel):
        a: int = 1
        _doubled: int = PrivateAttr(0)

        def model_post_init(self, _: object, /) -> None:
            self._doubled = self.a * 2

        @computed_field  # type: ignore[prop-decorator]
        @property
        def tripled(self) -> int:
            return self.a * 3

        @cached_property
        def halved(self) -> float:
            return self.a / 2

    found = build(Rich, {"a": "4"})
    assert (found._doubled, found.tripled, found.halved) == (8, 12, 2.0)
    assert found.model_dump() == {"a": 4, "tripled": 12}


def test_what_is_set_is_what_some_source_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_A", "1")
    assert build(Plain, {}).model_fields_set == {"a"}
    assert build(Plain, {"b": "0"}).model_fields_set == {"a", "b"}


def test_a_candidate_is_sealed_and_the_next_one_is_another() -> None:
    made = blueprint(Plain)
    one, two = made.build({"a": "1"}).instance, made.build({"a": "1"}).instance
    assert one is not None
    assert one == two
    assert one is not two
    with pytest.raises(ReadOnlySettingsError):
        one.a = 2


def test_default_objects_are_not_shared_between_candidates() -> None:
    class Lists(BaseModel):
        a: list[int] = []

    made = blueprint(Lists)
    one, two = made.build({}).instance, made.build({}).instance
    assert one is not None
    assert two is not None
    one.a.append(1)
    assert two.a == []


@pytest.mark.parametrize("error", [RuntimeError, RecursionError, KeyError, StopIteration])
def test_whatever_a_validator_raises_is_a_problem_without_a_value(error: type[Exception]) -> None:
    class Touchy(BaseModel):
        a: str = ""

        @field_validator("a")
        @classmethod
        def _touchy(cls, value: str) -> str:
            raise error(value)

    built = blueprint(Touchy).build({"a": "canary"})
    assert built.instance is None
    assert "canary" not in str(built.problems)
    assert error.__name__ in str(built.problems)


def test_a_class_with_its_own_init_is_refused() -> None:
    class Own(BaseModel):
        a: int = 1

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)

    with pytest.raises(DeclarationError, match="Own overrides __init__"):
        blueprint(Own)


def test_a_class_whose_instances_cannot_be_referred_to_weakly_is_refused() -> None:
    class Slotted(BaseModel):
        __slots__ = ("more",)
        a: int = 1

    class Mended(BaseModel):
        __slots__ = ("__weakref__", "more")
        a: int = 1

    with pytest.raises(DeclarationError, match="__weakref__"):
        blueprint(Slotted)
    assert build(Mended, {"a": "2"}).a == 2


def test_an_unmarked_class_is_refused() -> None:
    class Unmarked(BaseModel):
        a: int = 1

    with pytest.raises(DeclarationError, match="has no service"):
        Blueprint(Unmarked)


# falling back -------------------------------------------------------------------------------------------------


def test_only_bad_keys_fall_back_and_the_first_reasons_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_A", "1")
    built = blueprint(Plain).build_without_bad_keys({"a": "x", "b": "2", "later": "1"})
    assert built.instance == Plain(a=1, b=2)
    assert built.problems.keys() == {"a"}
    assert built.unknown == {"later"}


def test_nothing_falls_back_where_everything_fits() -> None:
    assert blueprint(Plain).build_without_bad_keys({"a": "1"}).problems == {}


def test_a_class_that_cannot_do_without_says_what_is_missing() -> None:
    built = blueprint(Box[int]).build_without_bad_keys({"value": "x"})
    assert built.instance is None
    assert built.problems == {"value": "Field required"}


def test_the_json_schema_has_keys_and_no_defaults() -> None:
    class Inner(BaseModel):
        default: int = 4711

    class Described(BaseModel):
        limit: int = Field(4711, ge=0, validation_alias="LIMIT")
        inner: Inner = Inner()

    schema = blueprint(Described).json_schema()
    assert schema["properties"]["limit"]["minimum"] == 0
    assert "default" in schema["$defs"]["Inner"]["properties"]
    assert "4711" not in str(schema)


@pytest.mark.parametrize(("settings_class", "across"), [(Plain, False), (Base, True), (Nested, False)])
def test_whether_keys_depend_on_each_other_is_known(settings_class: type[BaseModel], across: bool) -> None:
    assert blueprint(settings_class).validates_across is across


async def _later(value: Any) -> Any:
    return value


def _one_field_later() -> type[BaseModel]:
    class Later(BaseModel):
        a: int = 1

        @field_validator("a")
        @classmethod
        async def _checked(cls, value: int) -> int:
            return value

    return Later


def _all_fields_later() -> type[BaseModel]:
    class Later(BaseModel):
        a: int = 1

        @model_validator(mode="before")
        @classmethod
        async def _checked(cls, data: Any) -> Any:
            return data

    return Later


def _annotation_later() -> type[BaseModel]:
    class Later(BaseModel):
        a: Annotated[int, BeforeValidator(_later)] = 1

    return Later


def _end_later() -> type[BaseModel]:
    class Later(BaseModel):
        a: int = 1

        async def model_post_init(self, context: Any, /) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            pass

    return Later


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (_one_field_later, "_checked"),
        (_all_fields_later, "_checked"),
        (_annotation_later, "a"),
        (_end_later, "model_post_init"),
    ],
)
def test_a_validator_that_would_have_to_be_awaited_is_refused(make: Callable[[], type[BaseModel]], name: str) -> None:
    with pytest.raises(DeclarationError, match=f"nobody would await: {name}\\. .* without `async`"):
        blueprint(make())
