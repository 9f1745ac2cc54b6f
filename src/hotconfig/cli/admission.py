"""May this text be stored? Asked of the JSON Schemas that classes registered when they were bound.

Pure. A schema describes JSON, a text is read by the rules for environment values, so a text is admitted if any
reading of it fits. The class itself has the last word: readers refuse a whole change set that does not validate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import jsonschema.exceptions

from hotconfig.cli.registered import (
    DEFS,
    CostlyError,
    Document,
    MalformedSchemaError,
    Schema,
    errors_of,
    parts_of,
    read_document,
)
from hotconfig.core.errors import InvalidValueError, SecretValueError
from hotconfig.core.text.limits import TOO_LARGE, PoisonError, check_text, is_too_large, parse_json

_best_match: Any = jsonschema.exceptions.best_match  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]

_ESCAPE: Final = "!json "
_WORDS: Final = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0"), False),
}
"""The words that pydantic takes for booleans."""
_SAID_LENGTH: Final = 200
_TYPE_PARTS: Final = 50
SECRECY: Final = "holds a secret"
"""Begins what is said about a stored text in a key that a class keeps a secret in."""
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


@dataclass(frozen=True, slots=True)
class Registered:
    """One JSON Schema as it was found: its hash, the role that registered it if that is known, and what it says."""

    schema_hash: str
    by: str | None
    document: object

    def __str__(self) -> str:
        return f"schema {self.schema_hash[:64]!r}" + (f", registered by role {self.by!r}" if self.by else "")


class Schemas:
    """The schemas of one service, newest first; none if no class was ever bound."""

    def __init__(self, service: str, found: Iterable[Registered]) -> None:
        self._service = service
        self._schemas: list[_Root] = []
        self._malformed: list[tuple[Registered, str]] = []
        for one in found:
            try:
                self._schemas.append(_Root(one))
            except (MalformedSchemaError, RecursionError) as error:
                self._malformed.append((one, str(error) or "it is nested too deeply"))

    def __bool__(self) -> bool:
        return bool(self._schemas)

    @property
    def faults(self) -> list[tuple[Registered, str]]:
        """Which of those that were found are left out, and why; some show only when they judged something."""
        costly = [(root.registered, "judging by it takes too long") for root in self._schemas if root.costly]
        return self._malformed + costly

    @property
    def keys(self) -> frozenset[str]:
        """The keys that any of the classes has."""
        return frozenset(key for root in self._schemas for key in root.properties)

    def type_of(self, key: str) -> str:
        """A short name for what the newest class takes, empty if it does not have the key."""
        return next((_type_of(root.property(key)) for root in self._having(key)), "")

    def is_sensitive(self, key: str) -> bool:
        """Whether a class announces the key without its value."""
        return any(root.properties[key].get("x-hotconfig-sensitive") is True for root in self._having(key))

    def is_secret(self, key: str) -> bool:
        """Whether a class keeps a secret in the key."""
        return self._keeper(key) is not None

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
        keeper = self._keeper(key)
        if keeper is not None:
            raise SecretValueError(
                f"service {self._service!r}: key {key!r} {SECRECY}, and secrets do not belong into the database: "
                f"keep only a reference to it here (a name, a path). So says {keeper.registered}; if that is of no "
                f"class of yours, delete its row from service_schemas, as the owner"
            )
        if not self._schemas:
            return "no class was bound to this service yet, so nothing could be checked"
        having = self._having(key)
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
        return [root.refusal(key, text) for root in self._having(key)]

    def misfit(self, key: str, text: str | None) -> str:
        """Why no class takes a text that is stored already; empty if one does, or none has the key."""
        if self.is_secret(key):
            return f"{SECRECY}: delete it, and change the secret"
        reasons = self.refusals(key, text)
        return reasons[0] if reasons and all(reasons) else ""

    def _having(self, key: str) -> list[_Root]:
        return [root for root in self._schemas if key in root.properties]

    def _keeper(self, key: str) -> _Root | None:
        return next((root for root in self._having(key) if root.keeps_secret(key)), None)


class _Root:
    """One class's schema."""

    def __init__(self, registered: Registered) -> None:
        self.registered = registered
        self._document: Document = read_document(registered.document)
        self.properties = self._document.properties
        self.required = self._document.required
        self.costly = False

    def property(self, key: str) -> Schema:
        """A schema for one key that stands by itself."""
        return {**self.properties[key], "$defs": self._document.defs}

    def keeps_secret(self, key: str) -> bool:
        """Whether a pydantic secret hides anywhere in the key."""
        return _holds_secret(self.properties[key], self._document.defs)

    def refusal(self, key: str, text: str | None) -> str:
        """Why no reading of the text fits, without the value; empty if one does, or if judging costs too much."""
        if self.costly:
            return ""
        try:
            return _refusal(self.property(key), text)
        except CostlyError:  # left to the class itself, whatever the next text is
            self.costly = True
            return ""


def readings(text: str, *, words: bool = True) -> Iterator[Any]:
    """What the text may mean, the likeliest first; with ``words``, also what pydantic takes for booleans.

    Readers refuse numbers that no float can hold, and JSON that is poisoned: what they do not read is left out.
    """
    body = text.removeprefix(_ESCAPE)
    for read in (parse_json, int, _read_float):
        try:
            yield read(body)
        except (ValueError, PoisonError):
            continue
    if words and (word := text.strip().lower()) in _WORDS:
        yield _WORDS[word]
    yield text


def _read_float(body: str) -> float:
    if is_too_large(body):
        raise PoisonError(TOO_LARGE)
    return float(body)


def _refusal(schema: Schema, text: str | None) -> str:
    """Why no reading fits, without the value; empty if one does."""
    if text is not None and _asks_number(schema) and is_too_large(text.removeprefix(_ESCAPE)):
        return TOO_LARGE
    meant = [None] if text is None else list(readings(text, words=_takes_words(schema)))
    errors: list[Any] = []
    for value in meant:
        found = errors_of(schema, schema["$defs"], value, len(text or ""))
        if not found:
            return ""
        errors.append(_best_match(found))
    if text is None:
        return "must not be NULL"
    if poison := _poison(text):
        return poison
    telling = next((error for error in errors if _tells(error)), None)
    return _reason(telling) if telling is not None else f"must be of type {_type_of(schema) or 'as registered'}"


def _poison(text: str) -> str:
    """Why no reader would take such JSON, whatever the class; empty if it is none, or harmless."""
    try:
        parse_json(text.removeprefix(_ESCAPE))
    except PoisonError as error:
        return error.reason
    except ValueError:
        return ""
    return ""


def _takes_words(schema: Schema) -> bool:
    """Whether a boolean is asked for, and not one that is listed: of those only ``true`` and ``false`` are read."""
    return any(not option.keys() & {"enum", "const"} for option in _options(schema))


def _asks_number(schema: Schema) -> bool:
    """Whether a float is among what is asked for: then readers refuse a number that none can hold, as text as well."""
    types = [option.get("type", ()) for option in _options(schema)]
    return any("number" in ([one] if isinstance(one, str) else one) for one in types)


def _options(schema: Schema) -> list[Schema]:
    defs: Schema = schema["$defs"]
    whole = _resolved(schema, defs)
    return [_resolved(option, defs) for option in whole.get("anyOf") or whole.get("oneOf") or [whole]]


def _tells(error: Any) -> bool:
    """A reading that failed a constraint, or deep inside, tells more than one that is of a wrong type altogether."""
    return bool(error.absolute_path) or error.validator not in ("type", "anyOf", "oneOf")


def _reason(error: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    wanted = error.validator_value
    if error.validator == "enum" and not wanted:
        said = "must not be there"
    elif error.validator == "type":
        said = f"must be of type {wanted}"
    elif error.validator in _REASONS:
        listed = isinstance(wanted, list)
        said = _REASONS[error.validator].format(", ".join(map(str, cast("list[Any]", wanted))) if listed else wanted)
    else:
        said = f"does not satisfy {error.validator!r} of the registered schema"
    said = said if len(said) <= _SAID_LENGTH else f"{said[:_SAID_LENGTH]}…"
    return f"{said} at {where[:_SAID_LENGTH]}" if where else said


def _type_of(schema: Schema) -> str:
    """``number``, ``array of string``, ``INFO | DEBUG``, ``integer | null``."""
    said = _name(schema, schema["$defs"], [_TYPE_PARTS])
    return said if len(said) <= _SAID_LENGTH else f"{said[:_SAID_LENGTH]}…"


def _name(schema: Schema, defs: Schema, left: list[int]) -> str:
    """Recursive, as types may be: ``left`` parts are named at most."""
    left[0] -= 1
    if left[0] < 0:
        return "…"
    schema = _resolved(schema, defs)
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " | ".join(dict.fromkeys(_name(option, defs, left) for option in options[:_TYPE_PARTS]))
    items = schema.get("items")
    if schema.get("type") == "array" and items:
        inner = _name(items, defs, left)
        return f"array of {inner}" if inner else "array"
    found = schema.get("format") or schema.get("type", "")
    return " | ".join(cast("list[str]", found)) if isinstance(found, list) else str(found)


def _resolved(schema: Schema, defs: Schema) -> Schema:
    return defs[schema["$ref"].removeprefix(DEFS)] if "$ref" in schema else schema


def _holds_secret(schema: Schema, defs: Schema) -> bool:
    """Whether a pydantic secret hides anywhere in the schema."""
    seen: set[str] = set()
    stack = [schema]
    while stack:
        for part in parts_of(stack.pop()):
            if part.get("writeOnly") is True and part.get("format") == "password":
                return True
            reference = part.get("$ref")
            if reference is not None and reference not in seen:
                seen.add(reference)
                stack.append(defs[reference.removeprefix(DEFS)])
    return False
