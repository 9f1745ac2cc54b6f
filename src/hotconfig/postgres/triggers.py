"""The triggers that keep the history: which there have to be, and which are missing or disabled.

What there has to be is read from the migrations themselves. Must not know what is told to whom.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hotconfig.postgres.connect import Session, in_schema
from hotconfig.postgres.migrate import migrations

_MADE: Final = re.compile(r"^CREATE TRIGGER (\w+) (?:BEFORE|AFTER) [A-Z ]+? ON (\w+)", re.MULTILINE)

_PRESENT: Final = """\
SELECT c.relname, t.tgname, t.tgenabled IN ('O', 'A') FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND NOT t.tgisinternal"""


class Trigger(NamedTuple):
    """One trigger of one table."""

    table: str
    name: str


def made_by_migrations(numbers: frozenset[int]) -> frozenset[Trigger]:
    """The triggers that these migrations make."""
    return frozenset(
        Trigger(table, name)
        for migration in migrations()
        if migration.number in numbers
        for name, table in re.findall(_MADE, migration.text)
    )


def find_faults(session: Session, schema: str) -> list[tuple[Trigger, str]]:
    """The triggers that are ``missing`` or ``disabled`` in a migrated schema, by table and name."""
    applied = session.execute(in_schema("SELECT number FROM {schema}.migrations", schema)).fetchall()
    present = {
        Trigger(str(table), str(name)): bool(fires)
        for table, name, fires in session.execute(_PRESENT, {"schema": schema}).fetchall()
    }
    wanted = made_by_migrations(frozenset(int(number) for (number,) in applied))
    return [
        (trigger, "disabled" if trigger in present else "missing")
        for trigger in sorted(wanted)
        if not present.get(trigger)
    ]


def way_out(schema: str, trigger: Trigger, fault: str) -> str:
    """What to do about one of them, as the owner."""
    if fault == "disabled":
        return f'ALTER TABLE "{schema}".{trigger.table} ENABLE TRIGGER {trigger.name}'
    return "make it anew, as `hotconfig migrate --sql` prints it"
