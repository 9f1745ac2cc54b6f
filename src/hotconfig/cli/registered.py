"""A registered JSON Schema, made safe to use: every role with grant_reader may register any text for any service.

Owns which keywords count and what judging may cost. Nothing is fetched, no pattern backtracks, no schema runs for
long. Pure. Must not know services, keys and how a text is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

import jsonschema
import jsonschema.exceptions
import jsonschema.validators
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

Schema = Mapping[str, Any]

DEFS: Final = "#/$defs/"
MAX_DEPTH: Final = 100
"""Levels of nesting. A class of Pydantic's has some ten."""
MAX_STEPS: Final = 5_000
"""What judging one value may cost: a step for each keyword and each of its members, beside :data:`STEPS_FOR_EACH`."""
STEPS_FOR_EACH: Final = 4
"""Further steps for each character of the text."""
MAX_PATTERN: Final = 1000
"""Characters of a pattern, and of a text that one is applied to. Beyond, the class alone looks."""

_DECIMAL: Final = "^(?!^[-+.]*$)"
"""How Pydantic begins the pattern of a Decimal: the one look-ahead that is understood here."""
_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


class MalformedSchemaError(ValueError):
    """It is no JSON Schema of the kind that classes register; says why."""


class CostlyError(Exception):
    """Judging was given up."""


# what counts ---------------------------------------------------------------------------------------------------


class Document(NamedTuple):
    """The schema of one class, with nothing in it but keywords that count, of the shape that they must have."""

    properties: Mapping[str, Schema]
    required: tuple[str, ...]
    defs: Mapping[str, Schema]


def read_document(found: object) -> Document:
    """Take what somebody registered apart.

    Raises:
        MalformedSchemaError: it is no object, a keyword is not of its shape, or a reference leads out of it.
    """
    if not isinstance(found, dict):
        raise MalformedSchemaError("it is not an object")
    whole = cast("dict[str, Any]", found)
    defs = _named(whole.get("$defs", {}), 0)
    names = defs.keys()
    reference = whole.get("$ref")
    if reference is not None:  # so written for a class that refers to itself
        top = defs[_check_reference(reference, names)]
    else:
        top = _one({name: part for name, part in whole.items() if name != "$defs"}, 0)
    for part in (top, *defs.values()):
        _check_references(part, names)
    return Document(top.get("properties", {}), tuple(top.get("required", ())), defs)


def _one(found: object, depth: int) -> dict[str, Any]:
    """One schema; true and false, which are schemas as well, as objects that mean the same."""
    if depth > MAX_DEPTH:
        raise MalformedSchemaError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(found, bool):
        return {} if found else {"enum": []}
    if not isinstance(found, dict):
        raise MalformedSchemaError("a part of it is neither an object nor a boolean")
    whole = cast("dict[str, Any]", found)
    return {name: _SHAPES[name](part, depth + 1) for name, part in whole.items() if name in _SHAPES}


def _named(found: object, depth: int) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise MalformedSchemaError("what should name its parts is not an object")
    return {name: _one(part, depth + 1) for name, part in cast("dict[str, Any]", found).items()}


def _several(found: object, depth: int) -> list[Any]:
    if not isinstance(found, list) or not found:
        raise MalformedSchemaError("what should list parts of it is not a list with anything in it")
    return [_one(part, depth + 1) for part in _listed(found)]


def _shape(wanted: str, fits: Callable[[Any], bool]) -> Callable[[object, int], Any]:
    def checked(found: object, _depth: int) -> Any:
        if not fits(found):
            raise MalformedSchemaError(f"a keyword of it should be {wanted}")
        return found

    return checked


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]  # pyright: ignore[reportUnknownVariableType]


def _is_type(found: Any) -> bool:
    listed = _listed(found)
    return bool(listed) and all(isinstance(one, str) and one in _TYPES for one in listed)


_number: Final = _shape("a number", _is_number)
_count: Final = _shape(
    "a number that counts", lambda found: isinstance(found, int) and not isinstance(found, bool) and found >= 0
)
_text: Final = _shape("a text", lambda found: isinstance(found, str))
_flag: Final = _shape("true or false", lambda found: isinstance(found, bool))

_SHAPES: Final[dict[str, Callable[[object, int], Any]]] = {
    "$ref": _text,
    "type": _shape("a type or a list of them", _is_type),
    "enum": _shape("a list", lambda found: isinstance(found, list)),
    "const": _shape("anything", lambda _: True),
    "anyOf": _several,
    "oneOf": _several,
    "allOf": _several,
    "prefixItems": _several,
    "items": _one,
    "additionalProperties": _one,
    "propertyNames": _one,
    "properties": _named,
    "required": _shape(
        "a list of texts", lambda found: isinstance(found, list) and all(isinstance(one, str) for one in _listed(found))
    ),
    "minimum": _number,
    "maximum": _number,
    "exclusiveMinimum": _number,
    "exclusiveMaximum": _number,
    "multipleOf": _shape("a number above 0", lambda found: _is_number(found) and found > 0),
    "minLength": _count,
    "maxLength": _count,
    "minItems": _count,
    "maxItems": _count,
    "minProperties": _count,
    "maxProperties": _count,
    "pattern": _text,
    "patternProperties": _shape("an object", lambda found: isinstance(found, dict)),
    "format": _text,
    "writeOnly": _flag,
    "x-hotconfig-sensitive": _flag,
}
"""The keywords that count, and their shapes. All others, such as titles, are left out."""


def _check_reference(found: object, names: Any) -> str:
    if isinstance(found, str) and found.startswith(DEFS) and found.removeprefix(DEFS) in names:
        return found.removeprefix(DEFS)
    raise MalformedSchemaError(f"a reference does not lead to one of its own parts ({DEFS}…)")


def _check_references(schema: Schema, names: Any) -> None:
    for part in parts_of(schema):
        if "$ref" in part:
            _check_reference(part["$ref"], names)


def parts_of(schema: Schema) -> Iterator[Schema]:
    """The schema and every schema in it; references are not followed."""
    stack: list[Schema] = [schema]
    while stack:
        one = stack.pop()
        yield one
        for name, part in one.items():
            shape = _SHAPES.get(name)
            if shape is _one:
                stack.append(part)
            elif shape is _named:
                stack.extend(part.values())
            elif shape is _several:
                stack.extend(part)


# judging -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Trial:
    defs: Mapping[str, Schema]
    steps: int


_trial: Final[ContextVar[_Trial]] = ContextVar("trial")


def errors_of(schema: Schema, defs: Mapping[str, Schema], value: object, size: int) -> list[Any]:
    """What ``jsonschema`` has against a value that stands in ``size`` characters; nothing if it fits.

    Raises:
        CostlyError: it takes more than such a value is worth.
    """
    token = _trial.set(_Trial(defs, MAX_STEPS + STEPS_FOR_EACH * size))
    try:
        return list(_Validator(schema).iter_errors(value))
    except RecursionError:
        raise CostlyError from None
    finally:
        _trial.reset(token)


_Check = Callable[[Any, Any, Any, Any], Iterator[Any] | None]
_OF_JSONSCHEMA: Final = cast("Mapping[str, _Check]", jsonschema.Draft202012Validator.VALIDATORS)
_Error: Any = jsonschema.exceptions.ValidationError


def _counted(check: _Check) -> _Check:
    def counted(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        trial = _trial.get()
        trial.steps -= 1 + (len(cast("list[Any]", wanted)) if isinstance(wanted, list | dict) else 0)
        if trial.steps < 0:
            raise CostlyError
        return check(validator, wanted, instance, schema)

    return counted


def _reference(validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    yield from validator.descend(instance, _trial.get().defs[wanted.removeprefix(DEFS)])


def _type(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """As ``jsonschema`` has it; a whole number that no float can hold is none where a float is asked for."""
    types = _listed(wanted)
    if isinstance(instance, int) and "number" in types and "integer" not in types and not _fits_float(instance):
        yield _Error("too large")
        return
    yield from _OF_JSONSCHEMA["type"](validator, wanted, instance, schema) or ()


def _fits_float(number: float) -> bool:
    try:
        float(number)
    except OverflowError:
        return False
    return True


def _bound(holds: Callable[[Any, Any], bool]) -> _Check:
    """Pydantic's bounds refuse NaN, which every comparison is false for; those of JSON Schema let it pass."""

    def bound(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
        if _is_number(instance) and not holds(instance, wanted):
            yield _Error("out of bounds")

    return bound


def _multiple_of(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """As Pydantic has it: nearly is enough for a float, and what is not finite passes."""
    if not _is_number(instance):
        return
    if isinstance(instance, int) and isinstance(wanted, int):
        far = bool(instance % wanted)
    else:
        comparable = _fits_float(wanted) and _fits_float(instance) and math.isfinite(instance)
        far = comparable and abs(math.remainder(instance, wanted)) > abs(instance) / 1e9
    if far:
        yield _Error("no multiple")


def _additional(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """Names that are to match a pattern are left to the class, and so is what stands under them."""
    if not isinstance(instance, dict) or "patternProperties" in schema:
        return
    known = schema.get("properties", {})
    for name, part in cast("dict[str, Any]", instance).items():
        if name not in known:
            yield from validator.descend(part, wanted, path=name)


def _pattern(_validator: Any, wanted: str, instance: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and matches(wanted, instance) is False:
        yield _Error("no match")


def matches(pattern: str, text: str) -> bool | None:
    """Whether the pattern is found in the text, by Pydantic's own engine, which never backtracks.

    None where only the class can say: the engine does not know such a pattern, or one of the two is long.
    """
    if len(pattern) > MAX_PATTERN or len(text) > MAX_PATTERN:
        return None
    if pattern.startswith(_DECIMAL):
        if not text.strip("-+."):
            return False
        pattern = "^" + pattern.removeprefix(_DECIMAL)
    engine = _engine(pattern)
    if engine is None:
        return None
    try:
        engine.validate_python(text)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=256)
def _engine(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


_OWN: Final[dict[str, _Check]] = {
    "$ref": _reference,
    "type": _type,
    "minimum": _bound(lambda number, bound: number >= bound),
    "maximum": _bound(lambda number, bound: number <= bound),
    "exclusiveMinimum": _bound(lambda number, bound: number > bound),
    "exclusiveMaximum": _bound(lambda number, bound: number < bound),
    "multipleOf": _multiple_of,
    "additionalProperties": _additional,
    "pattern": _pattern,
}
_AS_THEY_ARE: Final = (
    *("enum", "const", "anyOf", "oneOf", "allOf", "prefixItems", "items", "propertyNames", "properties", "required"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)
_checks: Final = {**_OWN, **{name: _OF_JSONSCHEMA[name] for name in _AS_THEY_ARE}}
_create: Any = jsonschema.validators.create  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_Validator: Any = _create(
    meta_schema={},
    validators={name: _counted(check) for name, check in _checks.items()},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER,
)
