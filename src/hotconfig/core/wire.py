"""The two forms in which a commit is announced, and how a message is read back.

Signed form, on ``config:<service>:@commits``: ``hotconfig1 <key id> <HMAC-SHA256 in hex> <JSON>``. The HMAC covers
the bytes of the JSON, so nothing has to be canonical, and nothing unsigned is ever parsed.
Plain form, on ``config:<service>:<key>``: the bare text. Anybody may send it, so it proves nothing: it is a hint.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from pydantic_core import from_json, to_json

from hotconfig.core.chain import DIGEST_BYTES, MAX_REVISION, Change, ChangeSet, Head
from hotconfig.core.names import COMMITS, commits_channel, is_key, key_channel, parse_channel
from hotconfig.core.tracecontext import bounded

TAG: Final = b"hotconfig1"
MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Longer messages are not looked at. A signed change set stays below it; see ``MAX_INLINE_BYTES``."""
MAX_INLINE_BYTES: Final = 64 * 1024
"""A change set with more text than this is announced without values: readers fetch them from PostgreSQL."""

Keyring = Mapping[int, bytes]
"""Signing secrets by id. The highest id signs, every one verifies."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something may have changed: look at PostgreSQL. ``text`` is what a plain message claimed, for one key."""

    service: str
    reason: str
    key: str | None = None
    text: bytes | None = None


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message on one of our channels that is no news at all."""

    reason: str


Decoded = ChangeSet | Hint | Undecodable


def messages(change_set: ChangeSet, keyring: Keyring) -> Iterator[tuple[str, bytes]]:
    """What to publish for a commit, in this order: the signed change set, then each key in plain.

    Without a signing key (all were deleted) there is no signed form; the plain one sends readers to PostgreSQL.
    """
    if keyring:
        large = sum(len(change.text or "") for change in change_set.changes) * 4 > MAX_INLINE_BYTES
        yield commits_channel(change_set.service), encode(_withhold(change_set) if large else change_set, keyring)
    for change in change_set.changes:
        text = None if change.withheld or change.deleted else change.text
        yield key_channel(change_set.service, change.key), (text or "").encode()


def encode(change_set: ChangeSet, keyring: Keyring) -> bytes:
    """The signed form of a change set, signed with the newest key."""
    key_id = max(keyring)
    body = to_json(
        {
            "service": change_set.service,
            "parent": [change_set.parent.revision, change_set.parent.digest.hex()],
            "head": [change_set.head.revision, change_set.head.digest.hex()],
            "changes": [_pack(change) for change in change_set.changes],
            "at": change_set.at,
            "by": change_set.by,
            "reason": change_set.reason,
            "trace": dict(change_set.trace),
        }
    )
    return b"%s %d %s %s" % (TAG, key_id, _mac(keyring[key_id], body), body)


def decode(channel: bytes, data: bytes, keyring: Keyring) -> Decoded:
    """Read one message. Never raises, whatever the bytes are."""
    name = parse_channel(channel)
    if name is None:
        return Undecodable("not a hotconfig channel")
    if len(data) > MAX_MESSAGE_BYTES:
        return Hint(name.service, "oversize message")
    if name.key != COMMITS:
        return Hint(name.service, "plain message", name.key, data)
    body = _verified(data, keyring)
    if body is None:
        return Hint(name.service, "unsigned or badly signed message")
    change_set = _unpack(body)
    if change_set is None or change_set.service != name.service:
        return Hint(name.service, "signed message of an unknown form")
    return change_set


def _verified(data: bytes, keyring: Keyring) -> bytes | None:
    try:
        tag, key_id, mac, body = data.split(b" ", 3)
        secret = keyring.get(int(key_id)) if len(key_id) <= 9 else None
    except ValueError:
        return None
    if tag != TAG or secret is None or not hmac.compare_digest(mac, _mac(secret, body)):
        return None
    return body


def _mac(secret: bytes, body: bytes) -> bytes:
    mac = _keyed(secret).copy()
    mac.update(body)
    return mac.hexdigest().encode()


@lru_cache(maxsize=16)
def _keyed(secret: bytes) -> hmac.HMAC:
    """The key's own part of an HMAC, made once: ``hmac.digest`` looks its algorithm up in OpenSSL at every call."""
    return hmac.new(secret, digestmod="sha256")


def _pack(change: Change) -> list[Any]:
    if change.deleted:
        return [change.key, None, "deleted"]
    return [change.key, None, "withheld"] if change.withheld else [change.key, change.text]


def _unpack(body: bytes) -> ChangeSet | None:
    """A later version may add fields; one that this version needs and does not find makes it a hint."""
    try:
        # Values are not cached: each comes once, and the cache would keep them.
        raw = cast("dict[str, Any]", from_json(body, cache_strings="keys"))
        reason = raw.get("reason")
        return ChangeSet(
            _str(raw["service"]),
            *_unpack_heads(raw["parent"], raw["head"]),
            tuple([_unpack_change(*item) for item in cast("list[list[Any]]", raw["changes"])]),
            _str(raw["at"]),
            _str(raw["by"]),
            None if reason is None else _str(reason),
            bounded(raw.get("trace")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _str(value: object) -> str:
    if type(value) is not str:
        raise ValueError("not a text")
    return value


def _unpack_heads(parent: list[Any], head: list[Any]) -> tuple[Head, Head]:
    before, after = _unpack_head(*parent), _unpack_head(*head)
    if after.revision != before.revision + 1:
        raise ValueError("not one commit")
    return before, after


def _unpack_head(revision: int, digest: str) -> Head:
    raw = bytes.fromhex(digest)
    if type(revision) is not int or not 0 <= revision <= MAX_REVISION or len(raw) != DIGEST_BYTES:
        raise ValueError("not a head")
    return Head(revision, raw)


def _unpack_change(key: str, text: str | None, mark: str = "") -> Change:
    if not is_key(key) or not (text is None or type(text) is str) or mark not in ("", "deleted", "withheld"):
        raise ValueError("not a change")
    return Change(key, text, deleted=mark == "deleted", withheld=mark == "withheld")


def _withhold(change_set: ChangeSet) -> ChangeSet:
    changes = tuple(c if c.deleted else Change(c.key, withheld=True) for c in change_set.changes)
    return change_set._replace(changes=changes)
