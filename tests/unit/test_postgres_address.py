"""What is taken from a PostgreSQL URL, and what is said of it."""

from __future__ import annotations

import pytest

from hotconfig.core.errors import ConfigurationError
from hotconfig.postgres.address import describe, for_writing, parse

TWO = "postgresql://ann:hidden@one:5433,two/app"


@pytest.mark.parametrize("attrs", ["", "?target_session_attrs=any", "?target_session_attrs=prefer-standby"])
def test_of_several_hosts_a_writer_wants_one_that_accepts_writes(attrs: str) -> None:
    assert for_writing(parse(TWO + attrs))["target_session_attrs"] == "read-write"


def test_a_url_that_asks_for_the_primary_is_left_alone() -> None:
    parts = parse(f"{TWO}?target_session_attrs=primary")
    assert for_writing(parts) == parts


@pytest.mark.parametrize("attrs", ["", "?target_session_attrs=any"])
def test_a_single_host_is_taken_as_it_is(attrs: str) -> None:
    parts = parse(f"postgresql://ann:hidden@one/app{attrs}")
    assert for_writing(parts) == parts


def test_several_addresses_are_several_hosts() -> None:
    assert for_writing(parse("hostaddr=10.0.0.1,10.0.0.2"))["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (TWO, "one:5433,two:5432/app"),
        ("postgresql://ann:hidden@one:1,two:2/app", "one:1,two:2/app"),
        ("postgresql://ann:hidden@one/app", "one:5432/app"),
        ("postgresql:///app", "localhost:5432/app"),
        ("hostaddr=10.0.0.1 dbname=app password=hidden", "10.0.0.1:5432/app"),
        ("postgresql://ann:hidden@one:x/app", "<unreadable URL>"),
    ],
)
def test_a_message_names_servers_and_never_a_password(url: str, said: str) -> None:
    assert describe(url) == said


@pytest.mark.parametrize("url", ["", "nonsense://hidden", "postgresql://ann:hidden@one:port/app"])
def test_what_cannot_be_read_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(url)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:can@hidden@one:5433/app",
        "postgres://ann:can@hidden@one,two/app",
        "postgresql://ann:can@not/hidden@one/app",
        "postgresql://ann:12/hidden@one/app",
    ],
)
def test_a_bare_at_in_the_password_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="%40") as caught:
        parse(url)
    assert "hidden" not in str(caught.value)
    assert describe(url) == "<unreadable URL>"


@pytest.mark.parametrize(
    ("url", "part", "said"),
    [
        ("postgresql://ann:can%40hidden@one/app", "password", "can@hidden"),
        ("postgresql://ann:can?hidden@one/app", "password", "can?hidden"),
        ("postgresql://ann@one/app?application_name=a@b", "application_name", "a@b"),
        ("postgresql:///app?host=@abstract", "host", "@abstract"),
        ("host=one dbname=app password=can@hidden", "password", "can@hidden"),
    ],
)
def test_an_at_that_cannot_be_mistaken_is_taken(url: str, part: str, said: str) -> None:
    assert parse(url)[part] == said
