"""``hotconfig audit verify``: recompute the hash chain and compare it, and the values, with what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hotconfig.cli.catalog import find
from hotconfig.cli.command import Call, command
from hotconfig.cli.exits import NO, OK
from hotconfig.core.chain import Break, Head, Recorded, verify
from hotconfig.core.errors import ConflictError

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive

_ATTEMPTS: Final = 10
"""How often a service is read anew because somebody wrote to it while it was read."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    audit = typer.Typer(no_args_is_help=True, help="Check that history is what it was.")
    command(audit, "verify")(verify_)
    app.add_typer(audit, name="audit")


@dataclass(frozen=True, slots=True)
class _Found:
    service: str
    head: Head
    changes: int
    broken: Break | None


def verify_(
    call: Call,
    service: Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="This one alone; else all.")] = None,
) -> int:
    """Recompute the hash chain of every service, from its first revision to its head, and compare the values with it.

    Exits with 1 and names the first break of each service if values or history were changed behind the triggers' back,
    and each trigger that is missing or disabled. What was cut off with its head, such as the newest revisions or a
    whole service, only a head that you wrote down elsewhere shows (list --json).
    """
    with call.connections.archive() as archive:
        faults = [f"{one.name} of {one.table} is {fault}" for one, fault in archive.trigger_faults()]
        names = list(archive.services()) if service is None else [find(archive, service).name]
        found = [_verify(archive, name) for name in names]
    if call.out.as_json:
        intact = not faults and not any(f.broken for f in found)
        call.out.document({"intact": intact, "services": [_document(f) for f in found], "triggers": faults})
    else:
        for one in found:
            _tell(call, one)
        for fault in faults:
            call.out.line(f"BROKEN: the trigger {fault}; hotconfig doctor says what to do", "bold red")
        if not found:
            call.out.line("nothing to verify: nothing was written yet")
    return NO if faults or any(f.broken for f in found) else OK


def _verify(archive: Archive, service: str) -> _Found:
    for _ in range(_ATTEMPTS):
        head = archive.head(service)
        rows, texts = list(archive.chain(service)), archive.texts(service)
        if archive.head(service) == head:
            broken = verify(service, rows, head) or _compare(service, rows, texts, head)
            return _Found(service, head, len(rows), broken)
    raise ConflictError(f"service {service!r} is written to faster than it can be read; try again")


def _compare(service: str, rows: Iterable[Recorded], texts: Mapping[str, str | None], head: Head) -> Break | None:
    """The history says what the values must be; one that was slipped in without a trigger is not in it."""
    told: dict[str, str | None] = {}
    for row in rows:
        if row.organization_id is not None:
            continue
        if row.op == "delete":
            told.pop(row.key, None)
        else:
            told[row.key] = row.new_value
    for key in sorted(told.keys() | texts.keys()):
        if (key in told, told.get(key)) != (key in texts, texts.get(key)):
            return Break(service, head.revision, f"the stored value of key {key!r} is not what the history says")
    return None


def _document(found: _Found) -> dict[str, object]:
    broken = found.broken
    return {
        "service": found.service,
        "revision": found.head.revision,
        "digest": found.head.digest.hex(),
        "changes": found.changes,
        "break": {"revision": broken.revision, "problem": broken.problem} if broken else None,
    }


def _tell(call: Call, found: _Found) -> None:
    if found.broken is None:
        call.out.line(f"{found.service}: intact, {found.changes} changes up to revision {found.head.revision}")
    else:
        call.out.line(
            f"{found.service}: BROKEN at revision {found.broken.revision}: {found.broken.problem}", "bold red"
        )
