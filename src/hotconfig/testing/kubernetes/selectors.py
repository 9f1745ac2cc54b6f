"""Label selectors, field selectors and the tokens of paged lists. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from hotconfig.testing.kubernetes.statuses import ApiError
from hotconfig.testing.kubernetes.trees import Json, is_map

Test: TypeAlias = Callable[[Mapping[str, str]], bool]

_SET: Final = re.compile(r"(\S+)\s+(in|notin)\s+\(([^()]*)\)")
_SPLIT: Final = re.compile(r",(?![^()]*\))")


def labels(selector: str) -> Test:
    """The test that ``a=b,c!=d,e in (f,g),h,!i`` stands for."""
    tests = [_requirement(part.strip()) for part in _SPLIT.split(selector) if part.strip()]
    return lambda found: all(test(found) for test in tests)


def _requirement(text: str) -> Test:
    if match := _SET.fullmatch(text):
        key, word, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        return lambda found: (found.get(key) in values) is (word == "in")
    for sign in ("!=", "==", "="):
        if sign in text:
            key, _, value = (part.strip() for part in text.partition(sign))
            return lambda found: (found.get(key) == value) is (sign != "!=")
    if re.fullmatch(r"!?[\w./-]+", text) is None:
        raise ApiError(400, f"unable to parse requirement: found '{text}', expected: identifier")
    return (lambda found: text[1:] not in found) if text.startswith("!") else (lambda found: text in found)


def matches_fields(selector: str, value: Json) -> bool:
    """Whether the object fits ``metadata.name=x,metadata.namespace=y``, or any other path of plain values."""
    for part in filter(None, selector.split(",")):
        path, sign, wanted = part.partition("!=") if "!=" in part else part.partition("=")
        found: Any = value
        for step in path.strip().split("."):
            found = found.get(step) if is_map(found) else None
        if (str(found or "") == wanted.strip().lstrip("=")) is (sign == "!="):
            return False
    return True


def token(version: int, start: str) -> str:
    """The ``continue`` token of a list as of ``version`` whose last item was ``start``."""
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": f"{start}\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def start_of(text: str) -> tuple[int, str]:
    """The version and the last item of a ``continue`` token."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return int(found["rv"]), str(found["start"]).removesuffix("\0")
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise ApiError(400, f"continue key is not valid: {error}") from error
