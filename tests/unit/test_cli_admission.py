"""Which texts the registered JSON Schemas admit, and what is said about the others."""

from __future__ import annotations

import contextlib
import functools
import json
import select
import socket
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from hotconfig.cli.admission import Registered, Schemas
from hotconfig.cli.registered import matches
from hotconfig.core.candidate import Blueprint
from hotconfig.core.declaration import settings
from hotconfig.core.errors import InvalidValueError, SecretValueError
from hotconfig.core.text.limits import TOO_LARGE


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
    free: float = 0.5
    mixed: float | str = 0.5
    step: float = Field(0.5, multiple_of=0.1)
    bounded: list[Annotated[float, Field(le=1)]] = []
    floats: list[float] = []
    wide: float = Field(0.5, ge=0)
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "x"
    needed: int


class Loop(BaseModel):
    inner: Loop | None = None
    size: int = 1


def schemas(*classes: type[BaseModel]) -> Schemas:
    return found(*(Blueprint(one).json_schema() for one in classes))


def found(*documents: object) -> Schemas:
    return Schemas("lab", [Registered(f"h{number}", "ann", one) for number, one in enumerate(documents)])


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
        ("either", "1e400"),
        ("free", "NaN"),
        ("free", "inf"),
        ("wide", "inf"),
        ("free", "1e308"),
        ("mixed", "abc"),
        ("count", "9" * 400),
        ("step", "0.3"),
        ("step", "NaN"),
        ("name", "1e400"),
        ("code", "abc"),
        ("code", "null"),
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
        ("ratio", "inf", "must be at most 1"),
        ("ratio", "-Infinity", "must be at least 0"),
        ("free", "1e400", TOO_LARGE),
        ("free", "!json 1e400", TOO_LARGE),
        ("free", "9" * 400, TOO_LARGE),
        ("mixed", "1e400", TOO_LARGE),
        ("bounded", "[0.5, NaN]", "must be at most 1 at [1]"),
        ("bounded", "[0.5, 1e400]", TOO_LARGE),
        ("small", "NaN", "must be of type integer | null"),
        ("wide", "NaN", "must be at least 0"),
        ("wide", "-inf", "must be at least 0"),
        ("floats", f"[{'9' * 400}]", "must be of type number at [0]"),
        ("code", "A1", "must match ^[a-z]+$"),
        ("code", "9", "must match ^[a-z]+$"),
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
        found().check("anything", text)


def test_without_schemas_a_text_is_admitted_with_a_remark() -> None:
    assert "no class was bound" in found().check("ratio", "abc")


def test_a_key_that_no_class_has_is_admitted_with_a_remark() -> None:
    assert "no registered class has the key" in schemas(Lab).check("other", "1")


def test_what_only_an_older_class_takes_is_admitted_with_a_remark() -> None:
    newest = {"properties": {"size": {"type": "integer", "maximum": 5}}}
    older = {"properties": {"size": {"type": "integer"}}}
    assert "an older class takes this" in found(newest, older).check("size", "7")


def test_what_the_newest_class_takes_and_an_older_one_refuses_is_admitted_with_a_remark() -> None:
    lax = {"properties": {"size": {"type": "integer"}}}
    strict = {"properties": {"size": {"type": "integer", "maximum": 5}}}
    told = found(lax, strict).check("size", "7")
    assert told == "key 'size': programs with an older class refuse this: must be at most 5"
    assert found(lax, strict).check("size", "5") == ""


def test_the_keys_of_a_class_that_refers_to_itself_are_found() -> None:
    loop = found(Loop.model_json_schema())
    assert loop.keys == {"inner", "size"}
    assert loop.check("inner", '{"inner": null, "size": 2}') == ""
    with pytest.raises(InvalidValueError):
        loop.check("size", "x")


def test_types_are_named_for_people() -> None:
    lab = schemas(Lab)
    assert lab.type_of("ratio") == "number"
    assert lab.type_of("level") == "INFO | DEBUG"
    assert lab.type_of("tags") == "array of string"
    assert lab.type_of("count") == "integer | null"
    assert lab.type_of("node") == "object"
    assert lab.type_of("nothing") == ""


def test_a_key_without_a_default_is_known_as_required() -> None:
    assert schemas(Lab).is_required("needed")
    assert not schemas(Lab).is_required("ratio")
    assert not found().is_required("needed")


def test_a_key_marked_in_any_schema_is_sensitive() -> None:
    marked = {"properties": {"hint": {"type": "string", "x-hotconfig-sensitive": True}}}
    assert found({"properties": {"hint": {}}}, marked).is_sensitive("hint")
    assert not schemas(Lab).is_sensitive("name")


# schemas that no class registered -------------------------------------------------------------------------------


class Listener:
    """A server that nobody should come to."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/schema.json"

    def was_called(self) -> bool:
        readable, _, _ = select.select([self.socket], [], [], 0)
        return bool(readable)


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.socket.close()


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id"])
def test_nothing_is_fetched_that_a_schema_refers_to(listener: Listener, keyword: str) -> None:
    for document in (
        {"properties": {"k": {keyword: listener.url}}},
        {"properties": {"k": {"anyOf": [{keyword: listener.url}, {"type": "integer"}]}}},
        {"properties": {"k": {"$ref": "#/$defs/a"}}, "$defs": {"a": {keyword: listener.url}}},
        {keyword: listener.url, "properties": {"k": {"type": "integer"}}},
    ):
        made = found(document)
        with contextlib.suppress(InvalidValueError):
            made.check("k", "5")
        made.type_of("k")
        made.is_secret("k")
        assert not listener.was_called()


@pytest.mark.parametrize(
    "document",
    [
        "not an object",
        [],
        None,
        5,
        {"properties": []},
        {"properties": {"k": 5}},
        {"properties": {"k": {"$ref": "file:///etc/passwd"}}},
        {"properties": {"k": {"$ref": "#/$defs/missing"}}},
        {"properties": {"k": {"$ref": 5}}},
        {"$ref": "#/$defs/missing"},
        {"$defs": 5},
        {"properties": {"k": {"type": "nonsense"}}},
        {"properties": {"k": {"type": []}}},
        {"properties": {"k": {"type": [[]]}}},
        {"properties": {"k": {"enum": 5}}},
        {"properties": {"k": {"anyOf": {}}}},
        {"properties": {"k": {"anyOf": []}}},
        {"properties": {"k": {"anyOf": [5]}}},
        {"properties": {"k": {"multipleOf": 0}}},
        {"properties": {"k": {"minimum": "1"}}},
        {"properties": {"k": {"maxLength": -1}}},
        {"properties": {"k": {"maxLength": True}}},
        {"properties": {"k": {"pattern": 5}}},
        {"properties": {"k": {"format": {}}}},
        {"properties": {"k": {"required": [5]}}},
        {"required": 5},
        {"properties": {"k": functools.reduce(lambda inner, _: {"items": inner}, range(5000), dict[str, Any]())}},
    ],
)
def test_a_malformed_schema_is_left_out_and_named_and_the_others_count(document: object) -> None:
    made = found(document, {"properties": {"k": {"type": "integer"}}})
    ((left_out, reason),) = made.faults
    assert str(left_out) == "schema 'h0', registered by role 'ann'"
    assert reason
    assert made.check("k", "5") == ""
    with pytest.raises(InvalidValueError, match="must be of type integer"):
        made.check("k", "x")
    assert not found(document)


def doubled(keyword: str, end: dict[str, Any]) -> dict[str, Any]:
    """A schema that doubles with each of its parts."""
    parts = {f"a{n}": {keyword: [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)}
    return {"properties": {"k": {"$ref": "#/$defs/a0"}}, "$defs": {**parts, "a60": end}}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"properties": {"k": {"type": "string", "pattern": "^(a+)+$"}}}, "a" * 900 + "!"),
        ({"properties": {"k": {"type": "string", "pattern": "^(a|aa)+$"}}}, "a" * 900 + "!"),
        ({"properties": {"k": {"type": "string", "pattern": r"^(\w?){500}\w{500}$"}}}, "a" * 400 + "!"),
        ({"properties": {"k": {"type": "object", "patternProperties": {"^(a+)+$": {}}}}}, f'{{"{"a" * 900}!": 1}}'),
        (
            {"properties": {"k": {"propertyNames": {"pattern": "^(a+)+$"}, "additionalProperties": False}}},
            f'{{"{"a" * 900}!": 1}}',
        ),
        (doubled("anyOf", {"type": "integer"}), "x"),
        (doubled("allOf", {}), "x"),
        (doubled("oneOf", {"type": "string", "format": "password", "writeOnly": False}), "x"),
        ({"properties": {"k": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}, "x"),
        ({"properties": {"k": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 3}}}, "x"),
        ({"properties": {"k": {"uniqueItems": True}}}, "[" + ",".join(["{}"] * 100_000) + "]"),
        ({"properties": {"k": {"items": {"enum": list(range(30_000))}}}}, "[" + ",".join(["-1"] * 30_000) + "]"),
    ],
    ids=lambda given: "" if isinstance(given, str) else None,
)
def test_no_schema_holds_the_command_up(document: dict[str, Any], text: str) -> None:
    made = found(*[{**document, "title": str(number)} for number in range(5)])
    with contextlib.suppress(InvalidValueError):
        made.check("k", text)
    made.misfit("k", text)
    assert len(made.type_of("k")) <= 201
    assert not made.is_secret("k")


def test_a_schema_that_takes_too_long_is_named_and_the_others_count() -> None:
    made = found(doubled("allOf", {}), {"properties": {"k": {"type": "integer"}}})
    assert made.check("k", "5") == ""
    assert [(str(one), reason) for one, reason in made.faults] == [
        ("schema 'h0', registered by role 'ann'", "judging by it takes too long")
    ]


def test_a_large_value_is_judged_whole() -> None:
    texts: list[str] = ["a"] * 100_000
    assert schemas(Lab).check("tags", json.dumps(texts)) == ""
    with pytest.raises(InvalidValueError, match=r"must be of type string at \[100000\]"):
        schemas(Lab).check("tags", json.dumps([*texts, 1]))


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        (r"^\p{Lu}", "Ärger", True),
        ("(?=a)b", "abc", None),
        ("a", "a" * 1001, None),
        ("a" * 1001, "a", None),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "1.5", True),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "-.", False),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "abc", False),
    ],
)
def test_patterns_are_judged_as_pydantic_does_or_left_to_the_class(pattern: str, text: str, found: bool | None) -> None:
    assert matches(pattern, text) is found


def test_who_says_that_a_key_is_secret_is_named() -> None:
    hostile = {"properties": {"ratio": {"type": "string", "format": "password", "writeOnly": True}}}
    made = found(Blueprint(Lab).json_schema(), hostile)
    with pytest.raises(SecretValueError, match="So says schema 'h1', registered by role 'ann'"):
        made.check("ratio", "0.4")


def test_a_stored_secret_is_a_misfit() -> None:
    assert schemas(Lab).misfit("secret", "CANARY") == "holds a secret: delete it, and change the secret"
    assert schemas(Lab).is_secret("hidden")
    assert not schemas(Lab).is_secret("name")


def test_types_that_refer_to_themselves_have_a_name() -> None:
    tree = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/tree"}}, {"type": "string"}]}
    assert found({"properties": {"k": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": tree}}).type_of("k").endswith("…")
