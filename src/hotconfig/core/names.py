"""Names of services and keys, and the channels made of them.

Owns what a valid name is and how a channel is parsed. The same rules stand as CHECK constraints in the
database, so that a hand-written row cannot bring in a name that a channel could not carry.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from hotconfig.core.errors import DeclarationError

PREFIX: Final = "config:"
COMMITS: Final = "@commits"
"""The part of a service's channel that carries signed change sets. Never a key: ``@`` begins no name."""

_SERVICE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")


class Channel(NamedTuple):
    """A channel ``config:<service>:<key>``, taken apart. ``key`` may be :data:`COMMITS`."""

    service: str
    key: str


def check_service(name: object) -> str:
    """Return ``name`` if it can name a service: 1 to 63 of ``A-Z a-z 0-9 _ . -``, not beginning with ``.`` or ``-``.

    Raises:
        DeclarationError: it cannot.
    """
    if isinstance(name, str) and _SERVICE.fullmatch(name):
        return name
    raise DeclarationError(
        f"{name!r} cannot name a service: use 1 to 63 letters, digits, '_', '.' or '-', "
        "beginning with a letter, a digit or '_'"
    )


def check_key(name: object) -> str:
    """Return ``name`` if it can be a key: an ASCII identifier of at most 127 characters.

    Raises:
        DeclarationError: it cannot.
    """
    if isinstance(name, str) and _KEY.fullmatch(name):
        return name
    nested = isinstance(name, str) and "." in name and all(map(_KEY.fullmatch, name.split(".")))
    raise DeclarationError(
        f"{name!r} cannot be a key: use 1 to 127 ASCII letters, digits or '_', not beginning with a digit"
        + ("; a field of a nested model is written with the whole of it, as JSON" if nested else "")
    )


def alike(name: object, known: Iterable[str]) -> list[str]:
    """Those of ``known`` that somebody may have meant by ``name``, whatever the case, the likeliest first."""
    folded: dict[str, list[str]] = {}
    for each in known:
        folded.setdefault(each.casefold(), []).append(each)
    near = difflib.get_close_matches(str(name).casefold(), folded)
    return [each for one in near for each in folded[one]]


def is_service(name: str) -> bool:
    """Whether ``name`` can name a service."""
    return _SERVICE.fullmatch(name) is not None


def is_key(name: str) -> bool:
    """Whether ``name`` can be a key."""
    return _KEY.fullmatch(name) is not None


def key_channel(service: str, key: str) -> str:
    """The channel of one key, fixed by contract: ``config:ai:threshold``."""
    return f"{PREFIX}{service}:{key}"


def commits_channel(service: str) -> str:
    """The channel of the signed change sets of one service: ``config:ai:@commits``."""
    return f"{PREFIX}{service}:{COMMITS}"


def service_pattern(service: str) -> str:
    """The pattern that a reader of one service subscribes to: ``config:ai:*``."""
    return f"{PREFIX}{service}:*"


@lru_cache(maxsize=1024)
def parse_channel(raw: bytes) -> Channel | None:
    """Take a channel apart into exactly its parts, or None if it is not one of ours."""
    try:
        prefix, service, key = raw.decode("ascii").split(":")
    except ValueError:
        return None
    if prefix != "config" or not _SERVICE.fullmatch(service):
        return None
    return Channel(service, key) if key == COMMITS or _KEY.fullmatch(key) else None
