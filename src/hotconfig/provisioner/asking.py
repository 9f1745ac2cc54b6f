"""What a request may say beside what it wants: the limits of the tables, told before anything is sent. Pure."""

from __future__ import annotations

import math
from typing import Final

from hotconfig.provisioner.errors import InvalidRequestError, UnknownOrganizationError

MAX_BY: Final = 256
MAX_REASON: Final = 2000
MAX_KEY: Final = 255
MAX_RETENTION_S: Final = 100 * 366 * 86_400.0
"""A hundred years; offboarded for longer is not offboarded."""


def check_text(what: str, text: object, *, most: int, least: int = 1) -> str:
    """Return ``text`` if it is one that PostgreSQL keeps, of so many characters.

    Raises:
        InvalidRequestError: it is not; the message says how it must be, and does not repeat it.
    """
    if not isinstance(text, str) or not least <= len(text) <= most or (least and not text.strip()):
        raise InvalidRequestError(f"{what} must be a text of {least} to {most} characters")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequestError(f"{what} must not contain NUL or half a character: PostgreSQL does not keep them")
    return text


def check_story(by: str, reason: str | None) -> None:
    """Who asks, and why: as the histories keep them. Raises as :func:`check_text`."""
    check_text("by", by, most=MAX_BY)
    if reason is not None:
        check_text("reason", reason, least=0, most=MAX_REASON)


def check_seconds(what: str, seconds: object, *, most: float = math.inf) -> float:
    """Return ``seconds`` if it is a number, not negative and not above ``most``.

    Raises:
        InvalidRequestError: it is not.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= most:
        limit = "" if most == math.inf else f", at most {most:.0f}"
        raise InvalidRequestError(f"{what} must be a number of seconds, 0 or more{limit}")
    return float(seconds)


def check_limit(limit: int | None) -> int | None:
    """Return ``limit`` if it limits.

    Raises:
        InvalidRequestError: it is negative.
    """
    if limit is not None and limit < 0:
        raise InvalidRequestError("limit must be 0 or more; None is all")
    return limit


def check_known(slug: object) -> str:
    """Return ``slug`` if an organization could have that name.

    Raises:
        UnknownOrganizationError: none could.
    """
    if not isinstance(slug, str) or not slug or not slug.isascii() or not slug.isprintable():
        raise UnknownOrganizationError(f"there is no organization {slug!a}. Check the name.")
    return slug
