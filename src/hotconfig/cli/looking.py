"""``hotconfig get``, ``list`` and ``history``: what PostgreSQL holds and how it came to be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from hotconfig.cli.catalog import Service, find, services
from hotconfig.cli.command import Call, command
from hotconfig.cli.exits import NO, OK
from hotconfig.cli.output import NULL, STYLES, WITHHELD, cell, shown
from hotconfig.core.chain import Recorded
from hotconfig.core.tenants.records import QUOTA_SERVICE

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive

MOST_SHOWN: Final = 1_000_000
ServiceName = Annotated[str, typer.Argument(metavar="SERVICE", help="The name in @hotconfig.settings(service=...).")]
DELETED = Text("(deleted)", style="dim italic")
ABSENT = Text("(default)", style="dim italic")
_WITHHELD = Text(WITHHELD, style="dim")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "get")(get)
    command(app, "list")(list_)
    command(app, "history")(history)


def get(
    call: Call,
    service: ServiceName,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Print this one value alone.")] = None,
) -> int:
    """Print the values of a service, or one value exactly as it is stored, sensitive or not.

    Of a whole service, what a class keeps a secret in is not shown.
    A key that is not stored takes whatever the program's environment and defaults say; then the exit code is 1.
    """
    with call.connections.archive() as archive:
        found = find(archive, service)
    if key is None:
        _print_texts(call, found)
        return OK
    _print_text(call, found, key)
    return OK if key in found.texts else NO


def _print_texts(call: Call, found: Service) -> None:
    if secrets := [key for key in found.texts if found.schemas.is_secret(key)]:
        call.out.note(f"not shown, because a class keeps a secret in it: {', '.join(map(repr, secrets))}")
    if call.out.as_json:
        values = {key: None if found.schemas.is_secret(key) else text for key, text in found.texts.items()}
        call.out.document({"service": found.name, "revision": found.head.revision, "values": values})
        return
    rows = [(key, _WITHHELD if found.schemas.is_secret(key) else cell(text)) for key, text in found.texts.items()]
    call.out.table(("KEY", "VALUE"), rows)
    if not found.texts:
        call.out.note(f"service {found.name!r} has no stored values{_instead(found)}")


def _instead(found: Service) -> str:
    if found.name == QUOTA_SERVICE:
        return " for everybody; those of an organization are shown by: hotconfig-provisioner get ORGANIZATION"
    return "; its programs run on their defaults"


def _print_text(call: Call, found: Service, key: str) -> None:
    found.require(key)
    stored = key in found.texts
    text = found.texts.get(key)
    if call.out.as_json:
        call.out.document(
            {
                "service": found.name,
                "revision": found.head.revision,
                "key": key,
                "value": text,
                "stored": stored,
            }
        )
    elif stored:
        whole = NULL if text is None else text
        call.out.raw(shown(whole) if call.out.interactive else whole)
    else:
        call.out.note(f"key {key!r} of service {found.name!r} is not stored: the class's default applies")


def list_(
    call: Call,
    service: Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="List this service's keys.")] = None,
) -> None:
    """List the services, or everything known about the keys of one; MISFIT says why no program takes a stored value."""
    with call.connections.archive() as archive:
        if service is None:
            _list_services(call, archive)
        else:
            found = find(archive, service)
            _note_unknown(call, found)
            _list_keys(call, archive, found)


def _list_services(call: Call, archive: Archive) -> None:
    rows: list[dict[str, Any]] = []
    for name, head in services(archive).items():
        newest = archive.history(name, limit=1)
        rows.append(
            {
                "service": name,
                "revision": head.revision,
                "digest": head.digest.hex(),
                "keys": len(archive.texts(name)),
                "at": newest[0].changed_at if newest else None,
                "by": newest[0].changed_by if newest else None,
            }
        )
    if call.out.as_json:
        call.out.document({"services": rows})
        return
    call.out.table(
        ("SERVICE", "REVISION", "KEYS", "CHANGED", "BY"),
        [(r["service"], str(r["revision"]), str(r["keys"]), moment(r["at"]), r["by"] or "") for r in rows],
    )
    if not rows:
        call.out.note("nothing was written yet; try: hotconfig set SERVICE KEY=VALUE")


def _list_keys(call: Call, archive: Archive, found: Service) -> None:
    misfits = {key: found.misfit(key) for key in found.keys}
    for registered, reason in found.schemas.faults:
        call.out.note(f"{registered} is left out, because {reason}")
    newest = {key: next(iter(archive.history(found.name, key=key, limit=1)), None) for key in found.keys}
    if call.out.as_json:
        call.out.document(
            {
                "service": found.name,
                "revision": found.head.revision,
                "digest": found.head.digest.hex(),
                "keys": [_key_document(found, key, newest[key]) for key in found.keys],
            }
        )
        return
    rows = [_key_row(found, key, newest[key]) for key in found.keys]
    columns: tuple[str, ...] = ("KEY", "VALUE", "TYPE", "REVISION", "CHANGED", "BY")
    if any(misfits.values()):  # rare, and then it should be seen
        columns = (*columns, "MISFIT")
        rows = [(*row, Text(shown(misfits[row[0]]), style=STYLES["problem"])) for row in rows]
    call.out.table(columns, rows)


def _note_unknown(call: Call, found: Service) -> None:
    unknown = sorted(found.texts.keys() - found.schemas.keys) if found.schemas else []
    if unknown:
        call.out.note(f"no registered class has the key {', '.join(map(repr, unknown))}: programs ignore it")


def _key_document(found: Service, key: str, last: Recorded | None) -> dict[str, Any]:
    sensitive = _is_sensitive(found, key, last)
    return {
        "key": key,
        "value": None if sensitive else found.texts.get(key),
        "stored": key in found.texts,
        "sensitive": sensitive,
        "type": found.schemas.type_of(key) or None,
        "misfit": found.misfit(key) or None,
        "revision": last.revision if last else None,
        "at": last.changed_at if last else None,
        "by": last.changed_by if last else None,
        "reason": last.reason if last else None,
    }


def _key_row(found: Service, key: str, last: Recorded | None) -> tuple[str, *tuple[str | Text, ...]]:
    value: str | Text = ABSENT
    if key in found.texts:
        value = _WITHHELD if _is_sensitive(found, key, last) else cell(found.texts[key])
    story = (str(last.revision), moment(last.changed_at), last.changed_by) if last else ("", "", "")
    return (key, value, found.schemas.type_of(key), *story)


def _is_sensitive(found: Service, key: str, last: Recorded | None) -> bool:
    schemas = found.schemas
    return schemas.is_sensitive(key) or schemas.is_secret(key) or (last is not None and last.sensitive)


def history(
    call: Call,
    service: ServiceName,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Show the changes of this key alone.")] = None,
    limit: Annotated[int, typer.Option(help="How many changes, the newest first.", min=1, max=MOST_SHOWN)] = 20,
) -> None:
    """Show who changed what, when and why, the newest first. Sensitive values and secrets are not shown."""
    with call.connections.archive() as archive:
        found = find(archive, service)
        rows = archive.history(service, key=key, limit=limit + 1)
        if key is not None and not rows:  # a deleted key still has a history
            found.require(key)
    has_older, rows = len(rows) > limit, rows[:limit]
    secrets = frozenset(row.key for row in rows if found.schemas.is_secret(row.key))
    rows = [replace(row, sensitive=row.sensitive or row.key in secrets) for row in rows]
    if call.out.as_json:
        changes = [change_document(row) for row in rows]
        call.out.document({"service": service, "changes": changes, "has_older": has_older})
        return
    call.out.table(
        ("REVISION", "CHANGED", "KEY", "OLD", "NEW", "BY", "REASON"),
        [
            (str(r.revision), moment(r.changed_at), _whose(r), _old(r), _new(r), r.changed_by, r.reason or "")
            for r in rows
        ],
    )
    if has_older:
        call.out.note(f"there are older changes: --limit {limit * 5}")


def change_document(row: Recorded) -> dict[str, Any]:
    """One row of the history, for programs. Sensitive values are left out."""
    return {
        "revision": row.revision,
        "key": row.key,
        "organization": row.organization_id,
        "op": row.op,
        "old": None if row.sensitive else row.old_value,
        "new": None if row.sensitive else row.new_value,
        "sensitive": row.sensitive,
        "at": row.changed_at,
        "by": row.changed_by,
        "db_user": row.db_user,
        "reason": row.reason,
        "digest": row.digest.hex(),
    }


def moment(at: str | None) -> str:
    """A time for people: to the second, in UTC."""
    return f"{at[:10]} {at[11:19]}Z" if at else ""


def _whose(row: Recorded) -> str:
    return row.key if row.organization_id is None else f"{row.key} ({row.organization_id})"


def _old(row: Recorded) -> str | Text:
    if row.op == "insert":
        return ABSENT
    return _WITHHELD if row.sensitive else cell(row.old_value)


def _new(row: Recorded) -> str | Text:
    if row.op == "delete":
        return DELETED
    return _WITHHELD if row.sensitive else cell(row.new_value)
