"""The last-known-good file: what a service showed when PostgreSQL last confirmed it, for a start without PostgreSQL.

Owns the format, what may be in it, and when a file is believed. Must not know how files are read and written.

A file is one line of header (name, format, length and SHA-256 of what follows) and one JSON object. The checksum tells
damage, not attackers: whoever can write the file can compute it, and an HMAC would change nothing, since its key would
have to lie where the same user reads it; PostgreSQL, where the signing keys are, is away when the file is needed. What
keeps others out are owner and mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from hotconfig.core.chain import DIGEST_BYTES, MAX_REVISION, Head
from hotconfig.core.errors import LastKnownGoodError

MAGIC: Final = b"hotconfig-last-known-good"
FORMAT: Final = 1
MAX_BYTES: Final = 64 * 1024 * 1024
REFRESH: Final = timedelta(hours=1)
"""How old the confirmation in a file may become before the file is written again though nothing changed."""


class Refusal(Enum):
    """Why a last-known-good file is not used."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not a file"
    """A symbolic link, a directory or a device."""
    FOREIGN_OWNER = "foreign owner"
    WRITABLE_BY_OTHERS = "writable by others"
    TOO_LARGE = "too large"
    MALFORMED = "malformed"
    """Not such a file at all, or its content is not what this format has."""
    TRUNCATED = "truncated"
    TAMPERED = "tampered"
    """The checksum does not fit what follows it."""
    NEWER_FORMAT = "newer format"
    OTHER_SERVICE = "other service"
    OTHER_SCHEMA = "other schema"
    OTHER_DATABASE = "other database"
    INVALID = "invalid"
    """The class does not accept the values."""


def refused(reason: Refusal, where: object, said: str) -> LastKnownGoodError:
    """The error for a file that is not used; ``said`` must not carry a value."""
    return LastKnownGoodError(f"the last-known-good file {where} is not used ({reason.value}): {said}", reason.value)


@dataclass(frozen=True, slots=True)
class Origins:
    """Which service of which database a file belongs to; ``database`` names host, port and name, no user."""

    service: str
    schema: str
    database: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a file says.

    ``withheld`` are keys that PostgreSQL has and the file has not: sensitive ones, and those that the class did not
    know. ``confirmed_at`` is when PostgreSQL last said that the texts are current.
    """

    origins: Origins
    schema_hash: str
    head: Head
    texts: Mapping[str, str | None] = field(repr=False)
    withheld: frozenset[str]
    confirmed_at: datetime
    written_at: datetime


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    service: str
    schema_name: str
    database: str
    schema_hash: str
    revision: int = Field(ge=0, le=MAX_REVISION)
    digest: str = Field(pattern=f"^[0-9a-f]{{{2 * DIGEST_BYTES}}}$")
    confirmed_at: AwareDatetime
    written_at: AwareDatetime
    withheld: list[str]
    texts: dict[str, str | None]


def fit_to_keep(
    texts: Mapping[str, str | None], known: Collection[str], sensitive: Collection[str]
) -> tuple[dict[str, str | None], frozenset[str]]:
    """The texts that may be kept in a file, and the keys of the others: sensitive ones, and those nobody here knows."""
    kept = {key: text for key, text in texts.items() if key in known and key not in sensitive}
    return kept, frozenset(texts.keys() - kept.keys())


def render(record: Record) -> bytes:
    """A file's content."""
    body = _Body(
        service=record.origins.service,
        schema_name=record.origins.schema,
        database=record.origins.database,
        schema_hash=record.schema_hash,
        revision=record.head.revision,
        digest=record.head.digest.hex(),
        confirmed_at=record.confirmed_at.astimezone(UTC),
        written_at=record.written_at.astimezone(UTC),
        withheld=sorted(record.withheld),
        texts=dict(record.texts),
    )
    content = body.model_dump_json(indent=1).encode() + b"\n"
    return b"%s %d %d %s\n" % (MAGIC, FORMAT, len(content), _checksum(content)) + content


def parse(data: bytes, where: object) -> Record:
    """Read a file's content back. ``where`` is for messages.

    Raises:
        LastKnownGoodError: it is not to be believed; see :class:`Refusal`.
    """
    content = _checked(data, where)
    try:
        body = _Body.model_validate_json(content)
    except ValidationError as error:
        fields = sorted({str(detail["loc"][0]) for detail in error.errors(include_input=False) if detail["loc"]})
        raise refused(Refusal.MALFORMED, where, f"unexpected content in {fields or 'all of it'}") from None
    return Record(
        Origins(body.service, body.schema_name, body.database),
        body.schema_hash,
        Head(body.revision, bytes.fromhex(body.digest)),
        body.texts,
        frozenset(body.withheld),
        body.confirmed_at,
        body.written_at,
    )


def check_origins(record: Record, ours: Origins, where: object) -> None:
    """Refuse a file of another service, schema or database.

    Raises:
        LastKnownGoodError: it is one.
    """
    found: list[tuple[Refusal, str, str]] = [
        (Refusal.OTHER_SERVICE, record.origins.service, ours.service),
        (Refusal.OTHER_SCHEMA, record.origins.schema, ours.schema),
        (Refusal.OTHER_DATABASE, record.origins.database, ours.database),
    ]
    for reason, theirs, wanted in found:
        if theirs != wanted:
            raise refused(reason, where, f"it belongs to {theirs!r}, this process asks for {wanted!r}")


def supersedes(record: Record, existing: Record, now: datetime) -> bool:
    """Whether writing ``record`` over ``existing`` is worth it: several processes keep the same file.

    One that lags behind must not undo what a sibling confirmed later. A time in the future (the clock was set back)
    is not believed.
    """
    if existing.origins != record.origins or existing.confirmed_at > now:
        return True
    if (existing.head, existing.schema_hash, existing.withheld) == (record.head, record.schema_hash, record.withheld):
        return record.confirmed_at - existing.confirmed_at >= REFRESH
    return record.confirmed_at >= existing.confirmed_at


def _checked(data: bytes, where: object) -> bytes:
    """The content below the header, once length and checksum hold."""
    header, newline, content = data.partition(b"\n")
    if not newline and (not data or MAGIC.startswith(data[: len(MAGIC)]) or data.startswith(MAGIC)):
        raise refused(Refusal.TRUNCATED, where, "it ends within its header")
    magic, *fields = header.split(b" ")
    if magic != MAGIC or not fields or not _is_number(fields[0]):
        raise refused(Refusal.MALFORMED, where, "it does not begin as such a file does")
    if int(fields[0]) > FORMAT:
        raise refused(Refusal.NEWER_FORMAT, where, f"it has format {int(fields[0])}, this version reads {FORMAT}")
    if len(fields) != 3 or int(fields[0]) != FORMAT or not _is_number(fields[1]):
        raise refused(Refusal.MALFORMED, where, "its header is not one of this format")
    if len(content) < int(fields[1]):
        raise refused(Refusal.TRUNCATED, where, f"{len(content)} of {int(fields[1])} bytes are there")
    if len(content) > int(fields[1]) or _checksum(content) != fields[2]:
        raise refused(Refusal.TAMPERED, where, "the checksum does not fit")
    return content


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 12


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(MAGIC + b" %d\n" % FORMAT + content).hexdigest().encode()


StartPolicy = Literal["fail", "last_known_good", "defaults"]
"""What a process does when PostgreSQL is away at its start."""
