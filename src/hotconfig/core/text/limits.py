"""What no text may be: too long, too deep, or of characters that PostgreSQL or the wire cannot carry.

Owns the limits of a text and the poison that valid-looking JSON can hide. The same limit of length stands as
a CHECK constraint in the database. Pure; knows nothing of fields and types.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Final, cast

from hotconfig.core.errors import InvalidValueError

MAX_TEXT_BYTES: Final = 1_048_576
"""1 MiB of UTF-8: room for a large table of settings, and small enough to travel in one message."""

MAX_DEPTH: Final = 128
"""Levels of nesting in JSON. Python's parser gives up between some hundred and a few thousand levels,
depending on who calls; a reader must accept whatever the writer accepted, so the limit is fixed, and below
pydantic-core's 200."""

_SUSPICIOUS: Final = re.compile(r"\\u|[eE]\+?[0-9]{3}|[0-9]{200}")
"""An escaped character, or a number that may exceed a float (at most 1.8e308): worth a closer look, which is
slower."""

_LARGE_NUMBER: Final = re.compile(r"[0-9_]{309}|[eE]")  # "inf" and "Infinity" contain no "e"


class PoisonError(Exception):
    """The text is refused whatever the field may say. ``reason`` carries no value.

    Deliberately not a ``ValueError``: pydantic-settings takes those for "not JSON" and goes on with the text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def refusal(key: str, reason: str) -> InvalidValueError:
    """The error for one key and one reason."""
    return InvalidValueError(f"key {key!r}: {reason}", {key: reason})


def check_text(key: str, text: str) -> str:
    """Return ``text`` if PostgreSQL and the wire can carry it.

    Raises:
        InvalidValueError: it is not a ``str``, contains U+0000 or half of a surrogate pair, or has more than
            :data:`MAX_TEXT_BYTES` bytes in UTF-8.
    """
    reason = text_fault(text)
    if reason is not None:
        raise refusal(key, reason)
    return text


def text_fault(text: object) -> str | None:
    """Why the text cannot be carried, or None if it can."""
    if not isinstance(text, str):
        return "the text must be a str"
    if len(text) > MAX_TEXT_BYTES:
        return _TOO_LONG
    if "\0" in text:
        return _NUL
    return None if text.isascii() else _fault_of_unicode(text)


_NUL: Final = "the character U+0000 cannot be stored in PostgreSQL"
_SURROGATE: Final = "half of a surrogate pair is no character and cannot be stored; was the text decoded wrongly?"
_TOO_LONG: Final = f"longer than {MAX_TEXT_BYTES} bytes; keep it in a file or an object store and store a reference"
_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} levels deep"
TOO_LARGE: Final = "a number is too large for a float; write Infinity if that is meant"
POISON: Final = frozenset({_NUL, _SURROGATE, _TOO_LONG, _TOO_DEEP, TOO_LARGE})
"""The reasons for which a text is refused whatever the field may say."""


def _fault_of_unicode(text: str) -> str | None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return _SURROGATE
    return _TOO_LONG if size > MAX_TEXT_BYTES else None


def parse_json(text: str) -> object:
    """Parse JSON as pydantic-settings does, by Python's ``json``.

    Raises:
        PoisonError: it parses, but to something that must not get in.
        ValueError: it does not parse.
    """
    try:
        tree: object = json.loads(text)
    except RecursionError:
        raise PoisonError(_TOO_DEEP) from None
    check_tree(text, tree)
    return tree


def check_tree(text: str, tree: object) -> None:
    """Refuse what ``text`` parsed to if it is too deep or if escapes and exponents brought poison in.

    Raises:
        PoisonError: see its ``reason``.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_too_deep(tree):
        raise PoisonError(_TOO_DEEP)
    if _SUSPICIOUS.search(text):
        for item in _texts_of(tree):
            fault = text_fault(item)
            if fault is not None:
                raise PoisonError(fault)
        json.loads(text, parse_float=_check_number)


def is_too_large(text: str) -> bool:
    """Whether ``text`` is a number that would silently become infinite. ``inf`` is meant to be infinite."""
    if not _LARGE_NUMBER.search(text):
        return False
    try:
        return math.isinf(float(text))
    except ValueError:
        return False


def _check_number(text: str) -> None:
    if is_too_large(text):
        raise PoisonError(TOO_LARGE)


def _is_too_deep(tree: object) -> bool:
    level = [tree]
    for _ in range(MAX_DEPTH + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _texts_of(tree: object) -> Iterator[str]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
        stack.extend(_children(node))
        if isinstance(node, dict):
            stack.extend(cast("dict[str, object]", node))


def _children(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from cast("dict[str, object]", node).values()
    elif isinstance(node, list):
        yield from cast("list[object]", node)
