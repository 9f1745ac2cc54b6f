"""Whether programs take what is stored: every service's texts against the JSON Schemas that its classes registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from hotconfig.cli.admission import SECRECY
from hotconfig.cli.catalog import Service, find, services
from hotconfig.core.errors import HotConfigError
from hotconfig.core.finding import Finding, ok
from hotconfig.core.names import is_service

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive

CHECK: Final = "stored values"
_LIMITS: Final = "by JSON Schema only: validators written in Python are not asked; see status() of your programs"
_SCHEMAS: Final = "registered schemas"
_REMOVE: Final = (
    "every role with grant_reader may register schemas. If it is of no class of yours, delete its row from "
    "service_schemas, as the owner, and look after the role"
)


def check_stored(archive: Archive) -> Iterator[Finding]:
    """One finding for each text that does not fit, which names service and key; a single one if all of them do.

    And one for each registered schema that cannot be used.
    """
    try:
        names = list(archive.services())
        known = [find(archive, name) for name in services(archive)]
    except HotConfigError as error:
        yield Finding(CHECK, "problem", "cannot be read", str(error))
        return
    findings = [finding for service in known for finding in judge(service)]
    yield from findings
    if not findings:
        texts = sum(len(service.texts) for service in known)
        yield ok(CHECK, f"{texts}, none that a registered class refuses ({_LIMITS})")
    for name in names:
        if not is_service(name):
            yield Finding(_SCHEMAS, "warning", f"{name[:64]!r} cannot name a service, and has schemas", _REMOVE)
    yield from (finding for service in known for finding in judge_schemas(service))


def judge_schemas(service: Service) -> Iterator[Finding]:
    """The registered schemas that nothing can be checked with."""
    for registered, reason in service.schemas.faults:
        told = f"service {service.name!r}: {registered} is left out, because {reason}"
        yield Finding(_SCHEMAS, "warning", told, _REMOVE)


def judge(service: Service) -> Iterator[Finding]:
    """What does not fit in one service: a problem if no class takes it, a warning if only the newest does not."""
    for key, text in service.texts.items():
        if service.schemas.is_secret(key):
            yield Finding(
                CHECK,
                "problem",
                f"service {service.name!r}: key {key!r} {SECRECY}",
                f"run: hotconfig delete {service.name} {key}. And change the secret: the history keeps what was stored",
            )
            continue
        reasons = service.schemas.refusals(key, text)
        if not reasons or not reasons[0]:
            continue
        told = f"service {service.name!r}: key {key!r} {reasons[0]}"
        way_out = f"run: hotconfig set {service.name} {key}=VALUE, or: hotconfig delete {service.name} {key}"
        if all(reasons):
            yield Finding(
                CHECK, "problem", told, f"running programs keep what they had, new ones do not start; {way_out}"
            )
        else:
            yield Finding(CHECK, "warning", f"{told}, says the newest class; an older one takes it", way_out)
