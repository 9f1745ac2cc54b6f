"""Whether programs take what is stored: every service's texts against the JSON Schemas that its classes registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from hotconfig.cli.catalog import Service, find, services
from hotconfig.core.errors import HotConfigError
from hotconfig.core.finding import Finding, ok

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive

CHECK: Final = "stored values"
_LIMITS: Final = "by JSON Schema only: validators written in Python are not asked; see status() of your programs"


def check_stored(archive: Archive) -> Iterator[Finding]:
    """One finding for each text that does not fit, which names service and key; a single one if all of them do."""
    try:
        known = [find(archive, name) for name in services(archive)]
    except HotConfigError as error:
        yield Finding(CHECK, "problem", "cannot be read", str(error))
        return
    findings = [finding for service in known for finding in judge(service)]
    yield from findings
    if not findings:
        texts = sum(len(service.texts) for service in known)
        yield ok(CHECK, f"{texts}, none that a registered class refuses ({_LIMITS})")


def judge(service: Service) -> Iterator[Finding]:
    """What does not fit in one service: a problem if no class takes it, a warning if only the newest does not."""
    for key, text in service.texts.items():
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
