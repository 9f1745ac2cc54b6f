"""The two forms of an announcement, and what becomes of every other message."""

from __future__ import annotations

import hmac
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotconfig.core.chain import Change, ChangeSet, Head
from hotconfig.core.wire import MAX_MESSAGE_BYTES, Hint, Undecodable, decode, encode, messages
from tests.support.chains import KEYRING, Truth, published, signed

CHANNEL = b"config:ai:@commits"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
DIGESTS = st.binary(min_size=32, max_size=32)
CHANGES = st.one_of(
    st.tuples(KEYS, st.none() | TEXTS).map(lambda pair: Change(*pair)),
    st.builds(lambda key: Change(key, deleted=True), KEYS),
    st.builds(lambda key: Change(key, withheld=True), KEYS),
)
TRACES: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {"traceparent": st.from_regex(r"00-[1-9a-f][0-9a-f]{31}-[1-9a-f][0-9a-f]{15}-0[01]", fullmatch=True)},
    optional={"tracestate": st.from_regex(r"[a-z]{1,9}=[!-~]{1,9}", fullmatch=True)},
) | st.just({})
CHANGE_SETS = st.builds(
    lambda revision, digests, **rest: ChangeSet(
        parent=Head(revision, digests[0]), head=Head(revision + 1, digests[1]), **rest
    ),
    st.integers(0, 2**63 - 2),
    st.tuples(DIGESTS, DIGESTS),
    service=st.sampled_from(["ai", "Web.hook-2", "_"]),
    changes=st.lists(CHANGES, max_size=4).map(tuple),
    at=TEXTS,
    by=TEXTS,
    reason=st.none() | TEXTS,
    trace=TRACES,
)


def sample() -> ChangeSet:
    return Truth().commit(threshold="0.90", model=None)


def seal(body: bytes, key_id: int = 1) -> bytes:
    mac = hmac.digest(KEYRING[key_id], body, "sha256").hex().encode()
    return b"hotconfig1 %d %s %s" % (key_id, mac, body)


def body_of(data: bytes) -> dict[str, object]:
    found = json.loads(data.split(b" ", 3)[3])
    assert isinstance(found, dict)
    return found


def channel_of(change_set: ChangeSet) -> bytes:
    return f"config:{change_set.service}:@commits".encode()


@given(CHANGE_SETS)
def test_what_is_signed_is_read_back_the_same(change_set: ChangeSet) -> None:
    assert decode(channel_of(change_set), encode(change_set, KEYRING), KEYRING) == change_set


@given(
    st.sampled_from([CHANNEL, b"config:ai:threshold", b"config:x:y", b"", b"config:\xff:y"]) | st.binary(max_size=40),
    st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"hotconfig1 1 " + rest),
)
def test_any_bytes_on_any_channel_are_a_hint_or_nothing(channel: bytes, data: bytes) -> None:
    assert isinstance(decode(channel, data, KEYRING), Hint | Undecodable)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_that_is_signed_but_no_change_set_is_a_hint(value: object) -> None:
    assert decode(CHANNEL, seal(json.dumps(value).encode()), KEYRING) == Hint("ai", "signed message of an unknown form")


@given(
    st.sampled_from(["service", "parent", "head", "changes", "at", "by"]),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers() | st.text() | st.lists(st.none())),
)
def test_a_signed_change_set_with_one_odd_field_never_raises(name: str, value: object) -> None:
    found = decode(CHANNEL, seal(json.dumps(body_of(signed(sample())[1]) | {name: value}).encode()), KEYRING)
    if isinstance(found, ChangeSet):
        assert name in {"at", "by", "changes"}
        assert found.service == "ai"


@given(st.data())
def test_a_flipped_bit_makes_it_a_hint(data: st.DataObject) -> None:
    message = bytearray(signed(sample())[1])
    at = data.draw(st.integers(0, len(message) * 8 - 1))
    message[at // 8] ^= 1 << at % 8
    assert isinstance(decode(CHANNEL, bytes(message), KEYRING), Hint)


@given(st.data())
def test_a_truncated_or_lengthened_message_is_a_hint(data: st.DataObject) -> None:
    message = signed(sample())[1]
    end = data.draw(st.integers(0, len(message) - 1))
    assert isinstance(decode(CHANNEL, message[:end], KEYRING), Hint)
    assert isinstance(decode(CHANNEL, message + b" ", KEYRING), Hint)


@pytest.mark.parametrize("key_id", [b"3", b"0", b"-1", b"", b"x", b"1" * 10, b"1" * 5000, b"\xd9\xa1"])
def test_an_unknown_key_is_a_hint(key_id: bytes) -> None:
    tag, _, mac, body = signed(sample())[1].split(b" ", 3)
    assert decode(CHANNEL, b" ".join([tag, key_id, mac, body]), KEYRING) == Hint(
        "ai", "unsigned or badly signed message"
    )


def test_a_message_signed_with_somebody_elses_secret_is_a_hint() -> None:
    forged = encode(sample(), {2: b"guessed".ljust(32)})
    assert isinstance(decode(CHANNEL, forged, KEYRING), Hint)
    assert isinstance(decode(CHANNEL, forged, {}), Hint)


def test_another_tag_is_a_hint() -> None:
    data = signed(sample())[1].replace(b"hotconfig1", b"hotconfig2", 1)
    assert isinstance(decode(CHANNEL, data, KEYRING), Hint)


def test_a_change_set_counts_on_its_own_services_channel_only() -> None:
    data = signed(sample())[1]
    assert decode(b"config:email:@commits", data, KEYRING) == Hint("email", "signed message of an unknown form")
    assert isinstance(decode(b"config:ai:threshold", data, KEYRING), Hint)


def test_the_newest_key_signs_and_all_verify() -> None:
    assert signed(sample())[1].startswith(b"hotconfig1 2 ")
    change_set = sample()
    assert decode(CHANNEL, encode(change_set, {1: KEYRING[1]}), KEYRING) == change_set


def test_a_later_version_may_add_fields() -> None:
    body = body_of(signed(sample())[1]) | {"color": "blue", "nested": {"deep": [1]}}
    found = decode(CHANNEL, seal(json.dumps(body).encode()), KEYRING)
    assert isinstance(found, ChangeSet)
    assert found.changes == sample().changes


@pytest.mark.parametrize("name", ["service", "parent", "head", "changes", "at", "by"])
def test_a_needed_field_that_is_missing_makes_it_a_hint(name: str) -> None:
    body = body_of(signed(sample())[1])
    del body[name]
    assert isinstance(decode(CHANNEL, seal(json.dumps(body).encode()), KEYRING), Hint)


@pytest.mark.parametrize(
    "changes",
    [
        [["no key", "1"]],
        [["a", 1]],
        [["a", "1", "mangled"]],
        [["a", "1", "deleted", "more"]],
        [[]],
        [["a:b", "1"]],
        {"a": "1"},
        "a",
    ],
)
def test_a_change_of_an_unknown_form_makes_it_a_hint(changes: object) -> None:
    body = body_of(signed(sample())[1]) | {"changes": changes}
    assert isinstance(decode(CHANNEL, seal(json.dumps(body).encode()), KEYRING), Hint)


@pytest.mark.parametrize(
    "head",
    [
        [1, "00"], [True, "00" * 32], ["1", "00" * 32], [1.0, "00" * 32], [1], None, [1, "zz" * 32], [7, "00" * 32],
        [-1, "00" * 32], [2**63, "00" * 32], [10**30, "00" * 32], [1, 7], [1, "00" * 32, 1],
    ],
)  # fmt: skip
def test_a_head_of_an_unknown_form_makes_it_a_hint(head: object) -> None:
    for name in ("head", "parent"):
        body = body_of(signed(sample())[1]) | {name: head}
        assert isinstance(decode(CHANNEL, seal(json.dumps(body).encode()), KEYRING), Hint)


@pytest.mark.parametrize(("name", "value"), [("by", 7), ("at", None), ("service", ["ai"]), ("reason", ["why"])])
def test_a_story_that_is_no_text_makes_it_a_hint(name: str, value: object) -> None:
    body = body_of(signed(sample())[1]) | {name: value}
    assert isinstance(decode(CHANNEL, seal(json.dumps(body).encode()), KEYRING), Hint)


def test_a_leap_over_revisions_that_nobody_could_ask_about_is_a_hint() -> None:
    top = 2**63 - 1
    body = body_of(signed(sample())[1]) | {"parent": [top, "00" * 32], "head": [top + 1, "11" * 32]}
    assert isinstance(decode(CHANNEL, seal(json.dumps(body).encode()), KEYRING), Hint)


def test_deeply_nested_json_is_a_hint() -> None:
    assert isinstance(decode(CHANNEL, seal(b'{"changes":' + b"[" * 100_000), KEYRING), Hint)


def test_an_oversize_message_is_not_looked_at() -> None:
    padded = json.dumps(body_of(signed(sample())[1]) | {"padding": "x" * MAX_MESSAGE_BYTES}).encode()
    assert decode(CHANNEL, seal(padded), KEYRING) == Hint("ai", "oversize message")
    assert decode(b"config:ai:threshold", b"x" * (MAX_MESSAGE_BYTES + 1), KEYRING) == Hint("ai", "oversize message")


def test_a_plain_message_is_a_hint_that_says_which_key() -> None:
    assert decode(b"config:ai:threshold", b"0.90", KEYRING) == Hint("ai", "plain message", "threshold", b"0.90")
    assert decode(b"config:ai:threshold", b"\xff", {}) == Hint("ai", "plain message", "threshold", b"\xff")


@pytest.mark.parametrize("channel", [b"", b"ai", b"config:ai", b"config:a:b:c", b"config:*:x", b"other:ai:threshold"])
def test_a_foreign_channel_is_no_news(channel: bytes) -> None:
    assert decode(channel, b"0.90", KEYRING) == Undecodable("not a hotconfig channel")


def test_the_signed_form_goes_first_and_the_plain_forms_follow_in_order() -> None:
    change_set = Truth().commit(
        Change("gone", deleted=True), Change("hidden", withheld=True), threshold="0.90", nothing=None, empty=""
    )
    assert [(channel, data) for channel, data in messages(change_set, KEYRING)][1:] == [
        ("config:ai:gone", b""),
        ("config:ai:hidden", b""),
        ("config:ai:threshold", b"0.90"),
        ("config:ai:nothing", b""),
        ("config:ai:empty", b""),
    ]
    assert published(change_set)[0][0] == CHANNEL


def test_without_a_key_only_the_plain_form_goes_out() -> None:
    assert list(messages(Truth().commit(threshold="0.90"), {})) == [("config:ai:threshold", b"0.90")]


@pytest.mark.parametrize(
    "trace", [{"traceparent": "x" * 100_000}, {"traceparent": 7}, {"user": "ann"}, [["traceparent"]], "traceparent", 7]
)
def test_a_trace_of_another_form_stays_behind_and_the_change_set_is_taken(trace: object) -> None:
    change_set = sample()
    found = decode(CHANNEL, seal(json.dumps(body_of(encode(change_set, KEYRING)) | {"trace": trace}).encode()), KEYRING)
    assert found == change_set
    assert isinstance(found, ChangeSet)
    assert found.trace == {}


def test_a_withheld_value_is_in_no_message() -> None:
    canary = "canary-4711"
    change_set = Truth().commit(threshold="0.90", token=canary, withhold=["token"])
    assert all(canary.encode() not in data for _, data in published(change_set))
    leaky = change_set._replace(changes=(Change("token", canary, withheld=True), Change("old", canary, deleted=True)))
    assert all(canary.encode() not in data for _, data in published(leaky))


@pytest.mark.parametrize("filler", ["x", "🙂", "\x01", '"'])
def test_large_values_are_announced_without_text_and_stay_below_the_limit(filler: str) -> None:
    change_set = Truth().commit(Change("gone", deleted=True), large=filler * 300_000, small="1")
    sent = published(change_set)
    found = decode(*sent[0], KEYRING)
    assert isinstance(found, ChangeSet)
    assert found.changes == (
        Change("gone", deleted=True),
        Change("large", withheld=True),
        Change("small", withheld=True),
    )
    assert len(sent[0][1]) < 1000
    assert (found.parent, found.head, found.by, found.reason, found.at) == (
        change_set.parent,
        change_set.head,
        change_set.by,
        change_set.reason,
        change_set.at,
    )


@pytest.mark.parametrize("filler", ["x", "🙂", "\x01", '"'])
def test_the_largest_change_set_with_values_stays_below_the_limit(filler: str) -> None:
    change_set = Truth().commit(large=filler * 16_384)
    data = signed(change_set)[1]
    assert len(data) <= MAX_MESSAGE_BYTES
    assert decode(CHANNEL, data, KEYRING) == change_set


def test_a_value_that_was_read_is_kept_by_nobody_else() -> None:
    channel, data = signed(Truth().commit(threshold="a value that comes once"))
    news = decode(channel, data, KEYRING)
    assert isinstance(news, ChangeSet)
    text = news.changes[0].text
    del news
    mine = "".join(["a value", " of mine"])
    assert sys.getrefcount(text) == sys.getrefcount(mine)
