"""May this text be stored? Asked of the JSON Schemas that classes registered when they were bound.

Pure. A schema describes JSON, a text is read by the rules for environment values, so a text is admitted if any
reading of it fits. The class itself has the last word: readers refuse a whole change set that does not validate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import jsonschema
import jsonschema.exceptions
from jsonschema.validators import validator_for

from hotconfig.core.errors import InvalidValueError, SecretValueError
from hotconfig.core.text.limits import check_text

Schema = Mapping[str, Any]

_best_match: Any = jsonschema.exceptions.best_match  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]

_ESCAPE: Final = "!json "
_WORDS: Final = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0"), False),
}
"""The words that pydantic takes for booleans."""
_DEFS: Final = "#/$defs/"
_REASONS: Final = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be greater than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "pattern": "must match {}",
    "enum": "must be one of {}",
    "const": "must be {}",
    "required": "must have {}",
}


class Schemas:
    """The schemas of one service, newest first; none if no class was ever bound."""

    def __init__(self, service: str, registered: Sequence[Schema]) -> None:
        self._service = service
        self._schemas = tuple(_Root(schema) for schema in registered)

    def __bool__(self) -> bool:
        return bool(self._schemas)

    @property
    def keys(self) -> frozenset[str]:
        """The keys that any of the classes has."""
        return frozenset(key for root in self._schemas for key in root.properties)

    def type_of(self, key: str) -> str:
        """A short name for what the newest class takes, empty if it does not have the key."""
        return next((_type_of(root.property(key)) for root in self._schemas if key in root.properties), "")

    def is_sensitive(self, key: str) -> bool:
        """Whether a class announces the key without its value."""
        return any(root.properties.get(key, {}).get("x-hotconfig-sensitive") is True for root in self._schemas)

    def is_required(self, key: str) -> bool:
        """Whether the newest class has no default for the key."""
        return bool(self._schemas) and key in self._schemas[0].required

    def check(self, key: str, text: str | None) -> str:
        """Admit a text, or NULL given as None, and return what should be said about it, if anything.

        Raises:
            InvalidValueError: no registered class takes it.
            SecretValueError: a class keeps a secret in this key.
        """
        if text is not None:
            check_text(key, text)
        having = self._having(key)
        if any(_holds_secret(root.property(key)) for root in having):
            raise SecretValueError(
                f"service {self._service!r}: key {key!r} holds a secret, and secrets do not belong into the database: "
                "keep only a reference to it here (a name, a path)"
            )
        if not self._schemas:
            return "no class was bound to this service yet, so nothing could be checked"
        if not having:
            return f"no registered class has the key {key!r}: readers ignore it"
        reasons = self.refusals(key, text)
        if all(reasons):
            raise InvalidValueError(f"service {self._service!r}: key {key!r} {reasons[0]}", {key: str(reasons[0])})
        if reasons[0]:
            return f"key {key!r}: an older class takes this, the newest one does not: {reasons[0]}"
        refusing = next(filter(None, reasons), "")
        return f"key {key!r}: programs with an older class refuse this: {refusing}" if refusing else ""

    def refusals(self, key: str, text: str | None) -> list[str]:
        """Why each class that has the key does not take this text, newest first; an empty text where it does."""
        return [_refusal(root.property(key), text) for root in self._having(key)]

    def misfit(self, key: str, text: str | None) -> str:
        """Why no class takes a text that is stored already; empty if one does, or none has the key."""
        reasons = self.refusals(key, text)
        return reasons[0] if reasons and all(reasons) else ""

    def _having(self, key: str) -> list[_Root]:
        return [root for root in self._schemas if key in root.properties]


class _Root:
    """One class's schema."""

    def __init__(self, schema: Schema) -> None:
        self._defs: Schema = schema.get("$defs") or {}
        reference = schema.get("$ref", "")  # so written for a class that refers to itself
        top: Schema = self._defs.get(reference.removeprefix(_DEFS), schema) if reference else schema
        self.properties: Mapping[str, Schema] = top.get("properties") or {}
        self.required: Sequence[str] = top.get("required") or ()

    def property(self, key: str) -> Schema:
        """A schema for one key that stands by itself."""
        return {**self.properties[key], "$defs": self._defs}


def readings(text: str, *, words: bool = True) -> Iterator[Any]:
    """What the text may mean, the likeliest first; with ``words``, also what pydantic takes for booleans."""
    body = text.removeprefix(_ESCAPE)
    for read in (json.loads, int, float):
        try:
            yield read(body)
        except (ValueError, RecursionError):
            continue
    if words and (word := text.strip().lower()) in _WORDS:
        yield _WORDS[word]
    yield text


def _refusal(schema: Schema, text: str | None) -> str:
    """Why no reading fits, without the value; empty if one does."""
    validator: Any = validator_for(schema, default=jsonschema.Draft202012Validator)(schema)
    meant = [None] if text is None else list(readings(text, words=_takes_words(schema)))
    errors: list[Any] = []
    for value in meant:
        found = list(validator.iter_errors(value))
        if not found:
            return ""
        errors.append(_best_match(found))
    if text is None:
        return "must not be NULL"
    telling = next((error for error in errors if _tells(error)), None)
    return _reason(telling) if telling is not None else f"must be of type {_type_of(schema) or 'as registered'}"


def _takes_words(schema: Schema) -> bool:
    """Whether a boolean is asked for, and not one that is listed: of those only ``true`` and ``false`` are read."""
    defs: Schema = schema.get("$defs") or {}
    whole = _resolved(schema, defs)
    options = [_resolved(option, defs) for option in whole.get("anyOf") or whole.get("oneOf") or [whole]]
    return any(not option.keys() & {"enum", "const"} for option in options)


def _tells(error: Any) -> bool:
    """A reading that failed a constraint, or deep inside, tells more than one that is of a wrong type altogether."""
    return bool(error.absolute_path) or error.validator not in ("type", "anyOf", "oneOf")


def _reason(error: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    wanted = error.validator_value
    if error.validator == "type":
        said = f"must be of type {wanted}"
    elif error.validator in _REASONS:
        listed = isinstance(wanted, list)
        said = _REASONS[error.validator].format(", ".join(map(str, cast("list[Any]", wanted))) if listed else wanted)
    else:
        said = f"does not satisfy {error.validator!r} of the registered schema"
    return f"{said} at {where}" if where else said


def _type_of(schema: Schema) -> str:
    """``number``, ``array of string``, ``INFO | DEBUG``, ``integer | null``."""
    schema = _resolved(schema, schema.get("$defs") or {})
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        defs = cast("Schema", schema.get("$defs") or {})
        return " | ".join(dict.fromkeys(_type_of({**option, "$defs": defs}) for option in options))
    items = schema.get("items")
    if schema.get("type") == "array" and isinstance(items, dict):
        inner = _type_of({**items, "$defs": schema.get("$defs") or {}})
        return f"array of {inner}" if inner else "array"
    found = schema.get("format") or schema.get("type", "")
    return " | ".join(cast("list[str]", found)) if isinstance(found, list) else str(found)


def _resolved(schema: Schema, defs: Schema) -> Schema:
    reference = str(schema.get("$ref", ""))
    target = defs.get(reference.removeprefix(_DEFS)) if reference else None
    return {**target, "$defs": defs} if isinstance(target, dict) else schema


def _holds_secret(schema: Schema) -> bool:
    """Whether a pydantic secret hides anywhere in the schema."""
    defs = cast("Schema", schema.get("$defs") or {})
    seen: set[str] = set()
    stack: list[Any] = [{name: part for name, part in schema.items() if name != "$defs"}]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            node = cast("dict[str, Any]", node)
            if node.get("writeOnly") is True and node.get("format") == "password":
                return True
            reference = node.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                stack.append(defs.get(reference.removeprefix(_DEFS)))
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(cast("Iterable[Any]", node))
    return False
