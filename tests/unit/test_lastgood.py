"""The last-known-good file: what is written is read back, and whatever was done to it is refused with its reason."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotconfig.core.chain import Head
from hotconfig.core.errors import ConfigurationError, LastKnownGoodError
from hotconfig.core.lastgood import (
    REFRESH,
    Origins,
    Record,
    Refusal,
    check_origins,
    fit_to_keep,
    parse,
    render,
    supersedes,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
ORIGINS = Origins("ai", "hotconfig", "db:5432/app")
RECORD = Record(ORIGINS, "c0ffee", Head(7, b"d" * 32), {"threshold": "0.9", "note": None}, frozenset(), NOW, NOW)
CONTENT = render(RECORD)
CANARY = "canary-77aa01"


def reason_of(data: bytes) -> Refusal:
    with pytest.raises(LastKnownGoodError, match="the-file") as caught:
        parse(data, "the-file")
    assert isinstance(caught.value, ConfigurationError)
    return Refusal(caught.value.reason)


def signed_again(body: bytes, version: int = 1) -> bytes:
    magic = b"hotconfig-last-known-good"
    digest = hashlib.sha256(magic + b" %d\n" % version + body).hexdigest().encode()
    return magic + b" %d %d %s\n" % (version, len(body), digest) + body


moments = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
records = st.builds(
    Record,
    st.builds(Origins, st.text(), st.text(), st.text()),
    st.text(),
    st.builds(Head, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32)),
    st.dictionaries(st.text(), st.none() | st.text()),
    st.frozensets(st.text()),
    moments,
    moments,
)


@given(records)
def test_reading_what_was_written_is_the_identity(record: Record) -> None:
    assert parse(render(record), "x") == record


def test_times_come_back_in_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    assert parse(render(replace(RECORD, confirmed_at=elsewhere)), "x").confirmed_at.utcoffset() == timedelta(0)


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(place: int, by: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] ^= by
    with pytest.raises(LastKnownGoodError):
        parse(bytes(changed), "x")


@given(st.integers(0, len(CONTENT) - 1))
def test_every_shorter_file_is_truncated(length: int) -> None:
    assert reason_of(CONTENT[:length]) is Refusal.TRUNCATED


@given(st.binary())
def test_no_other_content_is_ever_believed(data: bytes) -> None:
    with pytest.raises(LastKnownGoodError):
        parse(data, "x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (CONTENT.replace(b'"0.9"', b'"0.1"'), Refusal.TAMPERED),
        (CONTENT + b"\n", Refusal.TAMPERED),
        (CONTENT.replace(b" 1 ", b" 2 ", 1), Refusal.NEWER_FORMAT),
        (signed_again(CONTENT.partition(b"\n")[2], version=2), Refusal.NEWER_FORMAT),
        (CONTENT.replace(b" 1 ", b" 0 ", 1), Refusal.MALFORMED),
        (CONTENT.replace(b" 1 ", b" x ", 1), Refusal.MALFORMED),
        (b"threshold=0.9\n", Refusal.MALFORMED),
        (b"", Refusal.TRUNCATED),
        (signed_again(b"{}"), Refusal.MALFORMED),
        (signed_again(b"[" * 100_000), Refusal.MALFORMED),
        (signed_again(b"\xff\xfe"), Refusal.MALFORMED),
    ],
)
def test_each_kind_of_damage_has_its_name(data: bytes, reason: Refusal) -> None:
    assert reason_of(data) is reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"revision": 7', b'"revision": -7'),
        (b'"revision": 7', b'"revision": 9223372036854775808'),
        (b'"revision": 7', b'"revision": "7"'),
        (b'"digest": "64', b'"digest": "zz'),
        (b'"threshold": "0.9"', b'"threshold": 0.9'),
        (b'"withheld": []', b'"withheld": {}'),
        (b'"service": "ai"', b'"service": "ai", "more": 1'),
        (b"678901Z", b"678901"),
    ],
)
def test_content_of_another_shape_is_refused_though_its_checksum_fits(old: bytes, new: bytes) -> None:
    body = CONTENT.partition(b"\n")[2]
    assert old in body
    assert reason_of(signed_again(body.replace(old, new))) is Refusal.MALFORMED


def test_a_refusal_never_carries_a_value() -> None:
    record = replace(RECORD, texts={"threshold": CANARY})
    body = render(record).partition(b"\n")[2]
    for data in (
        signed_again(body.replace(b'"revision": 7', f'"revision": "{CANARY}"'.encode())),
        signed_again(body.replace(f'"{CANARY}"'.encode(), f'["{CANARY}"]'.encode())),
        render(record)[:-1],
    ):
        with pytest.raises(LastKnownGoodError) as caught:
            parse(data, "x")
        assert CANARY not in str(caught.value)
        assert CANARY not in repr(record)


@pytest.mark.parametrize(
    ("ours", "reason"),
    [
        (replace(ORIGINS, service="email"), Refusal.OTHER_SERVICE),
        (replace(ORIGINS, schema="staging"), Refusal.OTHER_SCHEMA),
        (replace(ORIGINS, database="other:5432/app"), Refusal.OTHER_DATABASE),
    ],
)
def test_a_file_of_somebody_else_is_refused(ours: Origins, reason: Refusal) -> None:
    check_origins(RECORD, ORIGINS, "x")
    with pytest.raises(LastKnownGoodError) as caught:
        check_origins(RECORD, ours, "x")
    assert caught.value.reason == reason.value


def test_sensitive_and_unknown_keys_are_left_out_and_named() -> None:
    texts = {"threshold": "0.9", "token": CANARY, "of_another_version": CANARY}
    assert fit_to_keep(texts, {"threshold", "token", "model"}, {"token"}) == (
        {"threshold": "0.9"},
        frozenset({"token", "of_another_version"}),
    )


def later(record: Record, by: timedelta) -> Record:
    return replace(record, confirmed_at=record.confirmed_at + by, written_at=record.written_at + by)


def test_siblings_write_the_same_state_once_an_hour() -> None:
    assert not supersedes(later(RECORD, timedelta(minutes=1)), RECORD, NOW + timedelta(minutes=1))
    assert supersedes(later(RECORD, REFRESH), RECORD, NOW + REFRESH)


def test_a_sibling_that_lags_does_not_undo_what_was_confirmed_later() -> None:
    newer = replace(later(RECORD, timedelta(seconds=5)), head=Head(8, b"e" * 32))
    assert supersedes(newer, RECORD, NOW + timedelta(seconds=5))
    assert not supersedes(RECORD, newer, NOW + timedelta(seconds=6))


def test_a_rewound_state_is_kept_like_any_other() -> None:
    rewound = replace(later(RECORD, timedelta(seconds=5)), head=Head(3, b"f" * 32))
    assert supersedes(rewound, RECORD, NOW + timedelta(seconds=5))


@pytest.mark.parametrize(
    "existing", [later(RECORD, timedelta(days=1)), replace(RECORD, origins=Origins("a", "b", "c"))]
)
def test_a_file_from_the_future_or_of_somebody_else_is_no_reason_to_spare_it(existing: Record) -> None:
    assert supersedes(RECORD, existing, NOW)
