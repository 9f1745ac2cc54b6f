"""Names of tenants, and the names of namespaces and groups made of them. Pure.

The API server accepts ``kube-evil`` and ``123``; what is reserved here is ours alone. The fixed prefix makes it
structural: no tenant's namespace can be anybody else's. The database holds the same rule for ``organizations.id``.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from hotconfig.provisioner.errors import InvalidNameError

NAMESPACE_PREFIX: Final = "org-"
MAX_SLUG: Final = 59
"""A namespace has 63 characters at most (DNS-1123 label), the prefix takes four."""

RESERVED: Final = frozenset({"default", "system", "admin", "root", "all", "any", "none", "null", "global", "hotconfig"})
RESERVED_PREFIXES: Final = ("kube", "openshift")

_SLUG: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_ROLE: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def check_slug(slug: object) -> str:
    """Return ``slug`` if it can name a tenant: 1 to 59 of ``a-z 0-9 -``, no hyphen at either end, not reserved.

    Raises:
        InvalidNameError: it cannot; the message says why, and what to do.
    """
    if not isinstance(slug, str) or not slug:
        raise InvalidNameError("a tenant needs a name: 1 to 59 of a-z, 0-9 and '-'")
    shown = ascii(slug[:80])
    if not slug.isascii():
        raise InvalidNameError(f"{shown} cannot name a tenant: {_strange(slug)}. Use a-z, 0-9 and '-' only")
    if len(slug) > MAX_SLUG:
        raise InvalidNameError(f"{shown} cannot name a tenant: {len(slug)} characters, {MAX_SLUG} are allowed")
    if not _SLUG.fullmatch(slug):
        raise InvalidNameError(
            f"{shown} cannot name a tenant: use a-z, 0-9 and '-', beginning and ending with a letter or a digit"
        )
    if slug in RESERVED or slug.startswith(RESERVED_PREFIXES):
        raise InvalidNameError(
            f"{shown} is reserved: {', '.join(sorted(RESERVED))} and everything that begins with "
            f"{' or '.join(RESERVED_PREFIXES)} cannot name a tenant. Choose another name"
        )
    return slug


def namespace_of(slug: str) -> str:
    """The namespace of a tenant: ``org-acme``. ``slug`` is checked already."""
    return f"{NAMESPACE_PREFIX}{slug}"


def group_of(slug: str, role: str = "admin") -> str:
    """The group that is bound, made of organization and role: ``org:acme:admin``.

    Who is in it is decided where people log in, so that a change of membership needs no call to Kubernetes.

    Raises:
        InvalidNameError: ``role`` is none, such as one with a colon.
    """
    if not _ROLE.fullmatch(role):
        raise InvalidNameError(f"{role!a} cannot name a role: use a-z, 0-9 and '-', beginning with a letter")
    return f"org:{slug}:{role}"


def _strange(slug: str) -> str:
    """Which character is not ASCII. Its name tells a Cyrillic letter from the Latin one that looks the same."""
    strange = next(character for character in slug if not character.isascii())
    return f"it contains {unicodedata.name(strange, 'an unnamed character')} (U+{ord(strange):04X})"
