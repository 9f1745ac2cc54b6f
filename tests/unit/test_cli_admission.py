"""Which texts the registered JSON Schemas admit, and what is said about the others."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from hotconfig.cli.admission import Schemas
from hotconfig.core.candidate import Blueprint
from hotconfig.core.declaration import settings
from hotconfig.core.errors import InvalidValueError, SecretValueError


class Limits(BaseModel):
    cpu: int = Field(1, ge=1)
    token: SecretStr | None = None


class Node(BaseModel):
    children: list[Node] = []


@settings(service="lab")
class Lab(BaseModel):
    ratio: float = Field(0.5, ge=0, le=1)
    price: Decimal = Decimal(1)
    count: int | None = None
    small: int | None = Field(None, ge=0, le=9)
    flag: bool = False
    name: Annotated[str, Field(max_length=5)] = "x"
    level: Literal["INFO", "DEBUG"] = "INFO"
    tags: list[str] = []
    node: Node = Node()
    secret: SecretStr = SecretStr("x")
    hidden: Limits = Limits()
    either: int | str = 1
    needed: int


class Loop(BaseModel):
    inner: Loop | None = None
    size: int = 1


def schemas(*classes: type[BaseModel]) -> Schemas:
    return Schemas("lab", [Blueprint(one).json_schema() for one in classes])


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("ratio", "0.90"),
        ("ratio", "1"),
        ("ratio", "0"),
        ("price", "1.10"),
        ("count", "3"),
        ("count", "null"),
        ("count", None),
        ("small", "9"),
        ("flag", "true"),
        ("flag", "False"),
        ("flag", "yes"),
        ("flag", "0"),
        ("name", ""),
        ("name", "12"),
        ("name", "true"),
        ("level", "DEBUG"),
        ("tags", "[]"),
        ("tags", '["a"]'),
        ("node", '{"children": [{"children": []}]}'),
        ("either", "5"),
        ("either", '!json "5"'),
        ("either", "abc"),
    ],
)
def test_a_text_that_the_class_reads_is_admitted_without_a_word(key: str, text: str | None) -> None:
    assert schemas(Lab).check(key, text) == ""


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("ratio", "1.7", "must be at most 1"),
        ("ratio", "-0.1", "must be at least 0"),
        ("ratio", "abc", "must be of type number"),
        ("ratio", None, "must not be NULL"),
        ("count", "x", "must be of type integer | null"),
        ("small", "12", "must be at most 9"),
        ("flag", "maybe", "must be of type boolean"),
        ("name", "abcdef", "must have at most 5 characters"),
        ("level", "WARN", "must be one of INFO, DEBUG"),
        ("tags", "a", "must be of type array of string"),
        ("tags", '["a", 1]', "must be of type string at [1]"),
        ("node", '{"children": [{"children": 1}]}', "must be of type array at children[0].children"),
    ],
)
def test_a_text_that_the_class_refuses_is_refused_with_the_reason(key: str, text: str | None, reason: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        schemas(Lab).check(key, text)
    assert str(caught.value) == f"service 'lab': key {key!r} {reason}"
    assert caught.value.problems == {key: reason}


def test_a_refusal_does_not_repeat_the_value() -> None:
    for key in ("ratio", "count", "flag", "level", "tags"):
        with pytest.raises(InvalidValueError) as caught:
            schemas(Lab).check(key, "hunter2!")
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["secret", "hidden"])
def test_a_key_in_which_a_secret_hides_is_refused_whatever_the_text(key: str) -> None:
    with pytest.raises(SecretValueError, match="reference"):
        schemas(Lab).check(key, "{}")


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * (2**20 + 1)])
def test_a_text_that_cannot_be_stored_is_refused_without_any_schema(text: str) -> None:
    with pytest.raises(InvalidValueError):
        Schemas("lab", []).check("anything", text)


def test_without_schemas_a_text_is_admitted_with_a_remark() -> None:
    assert "no class was bound" in Schemas("lab", []).check("ratio", "abc")


def test_a_key_that_no_class_has_is_admitted_with_a_remark() -> None:
    assert "no registered class has the key" in schemas(Lab).check("other", "1")


def test_what_only_an_older_class_takes_is_admitted_with_a_remark() -> None:
    newest = {"properties": {"size": {"type": "integer", "maximum": 5}}}
    older = {"properties": {"size": {"type": "integer"}}}
    assert "an older class takes this" in Schemas("lab", [newest, older]).check("size", "7")


def test_what_the_newest_class_takes_and_an_older_one_refuses_is_admitted_with_a_remark() -> None:
    lax = {"properties": {"size": {"type": "integer"}}}
    strict = {"properties": {"size": {"type": "integer", "maximum": 5}}}
    told = Schemas("lab", [lax, strict]).check("size", "7")
    assert told == "key 'size': programs with an older class refuse this: must be at most 5"
    assert Schemas("lab", [lax, strict]).check("size", "5") == ""


def test_the_keys_of_a_class_that_refers_to_itself_are_found() -> None:
    found = Schemas("lab", [Loop.model_json_schema()])
    assert found.keys == {"inner", "size"}
    assert found.check("inner", '{"inner": null, "size": 2}') == ""
    with pytest.raises(InvalidValueError):
        found.check("size", "x")


def test_types_are_named_for_people() -> None:
    found = schemas(Lab)
    assert found.type_of("ratio") == "number"
    assert found.type_of("level") == "INFO | DEBUG"
    assert found.type_of("tags") == "array of string"
    assert found.type_of("count") == "integer | null"
    assert found.type_of("node") == "object"
    assert found.type_of("nothing") == ""


def test_a_key_without_a_default_is_known_as_required() -> None:
    assert schemas(Lab).is_required("needed")
    assert not schemas(Lab).is_required("ratio")
    assert not Schemas("lab", []).is_required("needed")


def test_a_key_marked_in_any_schema_is_sensitive() -> None:
    marked = {"properties": {"hint": {"type": "string", "x-hotconfig-sensitive": True}}}
    assert Schemas("lab", [{"properties": {"hint": {}}}, marked]).is_sensitive("hint")
    assert not schemas(Lab).is_sensitive("name")
