"""``hotconfig set`` and ``delete``: one commit from the command line, checked against the registered schemas."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from hotconfig.cli.catalog import Service, find
from hotconfig.cli.command import Call, command
from hotconfig.cli.output import WITHHELD, cell
from hotconfig.core.chain import Change
from hotconfig.core.errors import UsageError
from hotconfig.core.names import check_key
from hotconfig.core.tenants.records import QUOTA_KEYS, QUOTA_SERVICE
from hotconfig.runtime.timing import Timing

if TYPE_CHECKING:
    from hotconfig.postgres.truth import Archive
    from hotconfig.runtime.publishing import Commit

MAX_BY: Final = 256
MAX_REASON: Final = 2000
_OPTION: Final = re.compile(r"--|-[A-Za-z]")
_CREATE: Final = " To make a new one, add --create."
_CREATE_SERVICE: Final = (
    " A service is there as soon as a program has bound its class, with the same database and schema. "
    "To write before that, add --create."
)
_TIMING: Final = Timing()
_UNANNOUNCED: Final = (
    "programs that reach Redis see it within about 12 s, unless a relay runs; those that have lost it, or have none, "
    f"within milliseconds, through PostgreSQL's LISTEN (behind a pooler they look every {_TIMING.poll_s:g} s)"
)
"""12 s: 1.25 times the ``reconcile_s`` that is the default."""

ServiceName = Annotated[str, typer.Argument(metavar="SERVICE", help="The name in @hotconfig.settings(service=...).")]
Reason = Annotated[str | None, typer.Option(help="Why, for the history.")]
By = Annotated[str | None, typer.Option(help="Who, for the history.", show_default="user@host")]
Expect = Annotated[
    int | None, typer.Option(metavar="REVISION", help="Write only if this is still the newest revision.", min=0)
]


def add_to(app: typer.Typer) -> None:
    """Register the commands. Negative numbers are values, so unknown options are looked at here."""
    command(app, "set", context_settings={"ignore_unknown_options": True})(set_)
    command(app, "delete")(delete)


def set_(  # noqa: PLR0913 - a command has as many parameters as options
    call: Call,
    service: ServiceName,
    words: Annotated[list[str], typer.Argument(metavar="KEY=VALUE... | KEY VALUE", help="What to store, as text.")],
    *,
    reason: Reason = None,
    by: By = None,
    expect: Expect = None,
    null: Annotated[bool, typer.Option("--null", help="Store NULL (None) in the named keys.")] = False,
    create: Annotated[bool, typer.Option("--create", help="Allow a service or key nobody knows yet.")] = False,
    sensitive: Annotated[bool, typer.Option("--sensitive", help="Announce the change without the value.")] = False,
) -> None:
    """Store values and announce them to running programs. All keys of one call change together, in one revision.

    Text is stored exactly as given: 0.90 stays 0.90. Lists, dicts and models are JSON. It is checked first against
    what the programs said they take.
    """
    changes = parse(words, null=null)
    _refuse_quotas(service, changes)
    who = story(by, reason)
    with call.connections.archive() as archive:
        found = find(archive, service, create=create, way_out=_CREATE_SERVICE)
        _admit(call, found, changes, create=create)
        marked = _sensitive(archive, found, changes, everything=sensitive)
    with call.connections.publisher() as publisher:
        commit = publisher.commit(service, changes, by=who, reason=reason, expect=expect, sensitive=marked)
    _report(call, commit, changes, marked)


def delete(
    call: Call,
    service: ServiceName,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="What to delete.")],
    *,
    reason: Reason = None,
    by: By = None,
    expect: Expect = None,
) -> None:
    """Delete values: programs return to what their environment, files and defaults say. The history keeps them."""
    who = story(by, reason)
    changes = [Change(key, deleted=True) for key in dict.fromkeys(keys)]
    with call.connections.archive() as archive:
        found = find(archive, service)
    for key in keys:
        found.require(key)
        if found.schemas.is_required(key) and key in found.texts:
            call.out.note(f"key {key!r} has no default: programs without another source for it refuse this change")
    with call.connections.publisher() as publisher:
        commit = publisher.commit(service, changes, by=who, reason=reason, expect=expect)
    _report(call, commit, changes, frozenset())


def parse(words: Sequence[str], *, null: bool) -> list[Change]:
    """What the words after the service mean: ``KEY=VALUE...``, ``KEY VALUE``, or with ``null`` just keys.

    Raises:
        UsageError: neither, or a key twice.
        DeclarationError: that cannot be a key.
    """
    stray = next((word for word in words if _OPTION.match(word)), None)
    if stray is not None:
        raise UsageError(f"no such option: {stray}; a value that begins with a dash is written KEY={stray}")
    if null:
        changes = [Change(check_key(word)) for word in words]
    elif "=" in words[0]:
        changes = [_pair(word) for word in words]
    elif len(words) == 2:
        changes = [Change(check_key(words[0]), words[1])]
    else:
        raise UsageError("write KEY=VALUE for each key, or KEY VALUE for a single one")
    twice = {change.key for change in changes if sum(change.key == other.key for other in changes) > 1}
    if twice:
        raise UsageError(f"given more than once: {', '.join(sorted(twice))}")
    return changes


def _pair(word: str) -> Change:
    key, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"after the first KEY=VALUE, {word!r} needs a '=', too")
    return Change(check_key(key), text)


def story(by: str | None, reason: str | None) -> str:
    """Who makes the change, by default whoever runs this.

    Raises:
        UsageError: that, or the reason, cannot stand in the history.
    """
    who = by if by is not None else f"{_user()}@{socket.gethostname()}"[:MAX_BY]
    if not who or len(who) > MAX_BY:
        raise UsageError(f"--by must say who makes the change, in 1 to {MAX_BY} characters")
    if not who.isprintable():
        raise UsageError("--by is one line of text: it has a line break, or another character that cannot be printed")
    if reason is not None and (len(reason) > MAX_REASON or "\0" in reason):
        raise UsageError(f"--reason takes at most {MAX_REASON} characters")
    return who


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container under a number that has no name; which of the two depends on Python
        return f"uid{os.getuid()}"


def _refuse_quotas(service: str, changes: Iterable[Change]) -> None:
    if service == QUOTA_SERVICE and (keys := [change.key for change in changes if change.key in QUOTA_KEYS]):
        raise UsageError(
            f"{', '.join(keys)} of service {service!r} belong to organizations: a value for all changes no quota. "
            "Use: hotconfig-provisioner quota ORGANIZATION"
        )


def _admit(call: Call, found: Service, changes: Iterable[Change], *, create: bool) -> None:
    notes: list[str] = []
    for change in changes:
        if not create:
            found.require(change.key, way_out=_CREATE)
        notes.append(found.schemas.check(change.key, change.text))
    notes += [f"{registered} is left out, because {reason}" for registered, reason in found.schemas.faults]
    for note in dict.fromkeys(filter(None, notes)):
        call.out.note(f"service {found.name!r}: {note}")


def _sensitive(archive: Archive, found: Service, changes: Iterable[Change], *, everything: bool) -> frozenset[str]:
    """The keys to be announced without a value. Once sensitive, a key stays so for this command."""
    return frozenset(
        change.key
        for change in changes
        if everything
        or found.schemas.is_sensitive(change.key)
        or any(row.sensitive for row in archive.history(found.name, key=change.key, limit=1))
    )


def _report(call: Call, commit: Commit, changes: Sequence[Change], sensitive: frozenset[str]) -> None:
    if commit.changed and not commit.announced:
        why = "" if call.connections.redis_url else ", because no Redis is configured here (HOTCONFIG_REDIS_URL)"
        call.out.note(f"not announced{why}: {_UNANNOUNCED}")
    if call.out.as_json:
        call.out.document(asdict(commit))
        return
    if not commit.changed:
        call.out.line(f"{commit.service}: nothing changed, revision {commit.revision} holds this already")
        return
    call.out.line(f"{commit.service}: revision {commit.revision}{', announced' if commit.announced else ''}")
    call.out.table(("KEY", "VALUE"), [(change.key, _told(change, sensitive)) for change in changes])


def _told(change: Change, sensitive: frozenset[str]) -> str | Text:
    if change.deleted:
        return "(deleted)"
    return WITHHELD if change.key in sensitive else cell(change.text)
