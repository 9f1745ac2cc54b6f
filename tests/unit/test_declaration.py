"""Marking a settings class."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_settings import BaseSettings

from hotconfig.core.declaration import Sensitive, sensitive_keys, service_of, settings
from hotconfig.core.errors import DeclarationError

T = TypeVar("T")
UNTYPED: Any = settings


def test_the_decorator_returns_the_same_class() -> None:
    class AI(BaseSettings):
        threshold: float = 0.75

    assert settings(service="ai")(AI) is AI
    assert service_of(AI) == "ai"
    assert AI(threshold=0.5).threshold == 0.5


def test_the_mark_shows_in_no_field_and_no_dump() -> None:
    @settings(service="ai")
    class AI(BaseModel):
        model_config = ConfigDict(extra="forbid")
        threshold: float = 0.75

    assert set(AI.model_fields) == {"threshold"}
    assert AI().model_dump() == {"threshold": 0.75}
    assert "properties" in AI.model_json_schema()
    assert list(AI.model_json_schema()["properties"]) == ["threshold"]


def test_a_subclass_inherits_the_service_and_may_have_its_own() -> None:
    @settings(service="ai")
    class Base(BaseModel):
        a: int = 1

    class Derived(Base):
        b: int = 2

    @settings(service="other")
    class Other(Base):
        c: int = 3

    assert service_of(Derived) == "ai"
    assert service_of(Other) == "other"
    assert service_of(Base) == "ai"


def test_a_generic_class_can_be_marked_before_and_after_it_is_given_its_type() -> None:
    @settings(service="ai")
    class Box(BaseModel, Generic[T]):
        value: T

    assert service_of(Box[int]) == "ai"

    class Plain(BaseModel, Generic[T]):
        value: T

    assert service_of(settings(service="email")(Plain[int])) == "email"
    with pytest.raises(DeclarationError):
        service_of(Plain[str])


def test_a_class_without_a_mark_is_told_what_to_write() -> None:
    class AI(BaseModel):
        pass

    with pytest.raises(DeclarationError, match=r'AI has no service: write @hotconfig.settings\(service="..."\)'):
        service_of(AI)


def test_the_decorator_without_a_service_says_what_to_write() -> None:
    class AI(BaseModel):
        pass

    with pytest.raises(DeclarationError, match=r'AI needs a service: write @hotconfig.settings\(service="..."\)'):
        UNTYPED(AI)
    with pytest.raises(DeclarationError, match="needs a service"):
        UNTYPED()


@pytest.mark.parametrize("service", ["", "a:b", "*", "é", "a" * 64])
def test_an_impossible_service_is_refused_at_once(service: str) -> None:
    with pytest.raises(DeclarationError, match="cannot name a service"):
        settings(service=service)


@pytest.mark.parametrize("thing", [object, dict, "AI", len])
def test_only_pydantic_classes_can_be_marked(thing: Any) -> None:
    with pytest.raises(DeclarationError, match="is not a pydantic class"):
        UNTYPED(service="ai")(thing)


@pytest.mark.parametrize("name", ["größe", "a" * 128])
def test_a_field_that_cannot_be_a_key_is_refused_by_class_and_name(name: str) -> None:
    made = create_model("Measures", **{name: (int, 1)})  # type: ignore[call-overload]
    with pytest.raises(DeclarationError, match=r"Measures: field .* cannot be a key"):
        settings(service="ai")(made)


def test_sensitive_is_found_on_the_field_and_one_level_down() -> None:
    class Hints(BaseModel):
        plain: str = ""
        marked: Annotated[str, Sensitive()] = ""
        optional: Annotated[str, Sensitive()] | None = None
        listed: list[Annotated[str, Sensitive()]] = Field(default_factory=list)
        described: Annotated[str, Sensitive(), Field(max_length=9)] = Field("", description="a hint")

    assert sensitive_keys(Hints) == {"marked", "optional", "listed", "described"}


def test_sensitive_does_not_change_the_class() -> None:
    class Hints(BaseModel):
        marked: Annotated[str, Sensitive()] = ""

    assert Hints(marked="x").model_dump() == {"marked": "x"}
    assert "Sensitive" not in str(Hints.model_json_schema())
