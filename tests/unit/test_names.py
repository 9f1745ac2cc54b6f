"""Names of services and keys, and channels."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotconfig.core.errors import DeclarationError
from hotconfig.core.names import (
    COMMITS,
    Channel,
    alike,
    check_key,
    check_service,
    commits_channel,
    is_key,
    key_channel,
    parse_channel,
    service_pattern,
)

SERVICES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,126}", fullmatch=True)
NAUGHTY = [
    "",
    " ",
    "a:b",
    "a\n",
    "\na",
    "a\x00",
    "*",
    "a*",
    "?",
    "[a]",
    "é",
    "\u0131",
    "\u0430",
    "a b",
    "@commits",
    "\x7f",
    "🙂",
]


@pytest.mark.parametrize(
    ("name", "found"),
    [("THRESHOLD", ["threshold"]), ("Treshold", ["threshold"]), ("MODEL", ["model", "Model"]), ("elsewhere", [])],
)
def test_names_are_alike_whatever_their_case(name: str, found: list[str]) -> None:
    assert alike(name, ["threshold", "model", "Model", "tags"]) == found


def test_channels_are_the_customers() -> None:
    assert key_channel("ai", "threshold") == "config:ai:threshold"
    assert commits_channel("ai") == "config:ai:@commits"
    assert service_pattern("ai") == "config:ai:*"


@given(SERVICES, KEYS)
def test_a_channel_of_valid_names_is_taken_apart_into_exactly_these(service: str, key: str) -> None:
    assert parse_channel(key_channel(check_service(service), check_key(key)).encode()) == Channel(service, key)
    assert parse_channel(commits_channel(service).encode()) == Channel(service, COMMITS)


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: f"config:{text}".encode()))
@example(b"config:a:b:c")
@example(b"config::b")
@example(b"config:a:")
@example(b"config:a:b\n")
@example(b"Config:a:b")
@example(b"config:a:@other")
@example("config:\u0430:b".encode())
def test_any_channel_parses_to_valid_names_or_to_nothing(raw: bytes) -> None:
    channel = parse_channel(raw)
    if channel is not None:
        assert check_service(channel.service) == channel.service
        assert channel.key == COMMITS or is_key(channel.key)
        assert key_channel(channel.service, channel.key).encode() == raw
    else:
        assert raw not in {b"config:a:b", b"config:a:@commits"}


@pytest.mark.parametrize("name", [*NAUGHTY, ".a", "-a", "a" * 64])
def test_a_name_that_a_channel_cannot_carry_is_no_service(name: str) -> None:
    with pytest.raises(DeclarationError, match="cannot name a service"):
        check_service(name)


@pytest.mark.parametrize("name", [*NAUGHTY, "1a", "a-b", "a.b", "a" * 128])
def test_a_name_that_a_channel_cannot_carry_is_no_key(name: str) -> None:
    assert not is_key(name)
    with pytest.raises(DeclarationError, match="cannot be a key"):
        check_key(name)
