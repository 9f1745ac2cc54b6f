"""What pydantic found wrong, told without the values.

Owns the only way in which a ``ValidationError`` may leave hotconfig: as key and reason. A ``ValidationError``
carries the input, its messages may quote it, and its locations may contain keys of users' dictionaries; so
messages are rebuilt here from the error's type and from the limits that the class itself declares.
Must not know texts, databases or messages.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from types import TracebackType
from typing import Final, cast, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticKnownError
from pydantic_core.core_schema import ErrorType

MODEL_KEY: Final = "*"
"""Stands for the class as a whole, where a validator of the model refused and no single key is to blame."""

_KNOWN: Final = frozenset[str](get_args(ErrorType))
_DECLARED: Final = frozenset[str]().union(
    # What an error says about the class. Everything else in its context (`error`, `tag`, `tz_actual`,
    # `actual_length`, a custom error's own entries) is taken or derived from the input.
    ("ge", "gt", "le", "lt", "multiple_of", "expected", "pattern", "min_length", "max_length", "field_type"),
    ("max_digits", "decimal_places", "whole_digits", "class", "class_name", "expected_schemes"),
    ("expected_tags", "expected_version", "discriminator", "tz_expected"),
)
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")


def problems(
    error: ValidationError, keys: Mapping[str, str] | None = None, *, known: Container[str] = frozenset()
) -> dict[str, str]:
    """Map each offending key to its reasons, never with a value.

    ``keys`` translates input names (aliases) into keys; ``known`` holds the names of nested fields, which may
    appear in a path. Other parts of a location are left out: they can be keys of a user's dictionary. What
    concerns the model as a whole stands under :data:`MODEL_KEY`.

    The message of a users' validator is kept only if it stands literally in the code that raised it (``raise
    ValueError("must be odd")``). A message that was put together may contain the value and is replaced.
    """
    found: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        key, reason = _located(detail, keys or {}, known)
        reasons = found.setdefault(key, [])
        if reason not in reasons:
            reasons.append(reason)
    return {key: "; ".join(reasons) for key, reasons in found.items()}


def one_line(found: Mapping[str, str]) -> str:
    """The problems as one line of a message: ``threshold: Input should be …; model: Field required``."""
    return "; ".join(
        f"{'the class as a whole' if key == MODEL_KEY else key}: {reason}" for key, reason in found.items()
    )


def _located(detail: ErrorDetails, keys: Mapping[str, str], known: Container[str]) -> tuple[str, str]:
    head, *rest = detail["loc"] or (MODEL_KEY,)
    name = head if isinstance(head, str) else MODEL_KEY
    path = ".".join(part for part in rest if isinstance(part, str) and part in known)
    reason = _reason(detail)
    return keys.get(name, name), f"in {path}: {reason}" if path else reason


def _reason(detail: ErrorDetails) -> str:
    kind = detail["type"]
    context = cast("dict[str, object]", detail.get("ctx", {}))
    if kind in {"value_error", "assertion_error"}:
        return _of_validator(context.get("error"))
    if kind not in _KNOWN:
        return f"refused by a validator ({kind})" if _IDENTIFIER.fullmatch(kind) else "refused by a validator"
    if _DECLARED.issuperset(context):
        return _canonical(kind, context)
    return _described(kind, context)


def _canonical(kind: str, context: dict[str, object]) -> str:
    """Pydantic's own sentence, rebuilt from type and limits: a custom error may bear a known type's name."""
    try:
        return PydanticKnownError(cast("ErrorType", kind), context or None).message()
    except TypeError:  # limits that are dates or timedeltas
        return _described(kind, context)


def _described(kind: str, context: Mapping[str, object]) -> str:
    limits = [f"{name}={value}" for name, value in context.items() if name in _DECLARED]
    return f"Input is not valid ({', '.join([kind, *limits])})"


def _of_validator(error: object) -> str:
    if not isinstance(error, Exception):
        return "refused by a validator"
    message = str(error)
    if message and message in _literals(error.__traceback__):
        return message
    return f"refused by a validator ({type(error).__name__})"


def _literals(traceback: TracebackType | None) -> Iterator[object]:
    while traceback is not None:
        yield from traceback.tb_frame.f_code.co_consts
        traceback = traceback.tb_next
