"""What is known of a service: what PostgreSQL holds and what the registered classes say. And who is unknown.

Owns the messages for unknown services and keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hotconfig.cli.admission import Registered, Schemas
from hotconfig.core.chain import Head
from hotconfig.core.errors import UnknownKeyError
from hotconfig.core.names import alike, check_key, check_service, is_service

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive

MAX_LISTED: Final = 20
DOCTOR: Final = "hotconfig.doctor"
"""Reserved for ``doctor``: nobody's settings, so whoever listens there knows what it is, and lists leave it out."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as it stood a moment ago. ``texts`` are the global values."""

    name: str
    head: Head
    texts: Mapping[str, str | None]
    schemas: Schemas

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that has a value or that a registered class has, sorted."""
        return tuple(sorted(self.texts.keys() | self.schemas.keys))

    def misfit(self, key: str) -> str:
        """Why no registered class takes what is stored in the key; empty if all is well or nothing is stored."""
        return self.schemas.misfit(key, self.texts[key]) if key in self.texts else ""

    def require(self, key: str, *, way_out: str = "") -> None:
        """Make sure that the key is known.

        Raises:
            UnknownKeyError: it is not; the message names keys like it.
        """
        check_key(key)
        if key not in self.keys:
            hint = _hint(key, self.keys, "it has")
            raise UnknownKeyError(f"service {self.name!r} has no key {key!r}; {hint}{way_out}")


def services(archive: Archive) -> dict[str, Head]:
    """Every service that is somebody's, with its head."""
    # Before migration 0003 a schema could be registered for anything.
    return {name: head for name, head in archive.services().items() if name != DOCTOR and is_service(name)}


def find(archive: Archive, name: str, *, way_out: str = "", create: bool = False) -> Service:
    """Look a service up; with ``create`` it need not exist.

    Raises:
        UnknownKeyError: nobody ever wrote to it or bound a class to it; the message names services like it.
        DeclarationError: that cannot be the name of a service.
    """
    check_service(name)
    head = archive.head(name)
    schemas = Schemas(name, (Registered(*found) for found in archive.schemas(name)))
    service = Service(name, head, archive.texts(name), schemas)
    if head.revision == 0 and not service.schemas and not create:
        hint = _hint(name, list(services(archive)), "there are")
        raise UnknownKeyError(f"there is no service {name!r}; {hint}{way_out}")
    return service


def _hint(name: str, known: Sequence[str], there_are: str) -> str:
    """A sentence about all names, and which are like ``name``."""
    if near := alike(name, known):
        there_are = f"did you mean {' or '.join(map(repr, near))}? {there_are.capitalize()}"
    more = ", …" if len(known) > MAX_LISTED else ""
    return f"{there_are}: {', '.join(known[:MAX_LISTED])}{more}." if known else f"{there_are} none yet."
