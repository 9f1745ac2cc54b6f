"""Passwords stay out of what is printed, and URLs that cannot work are refused with the way out."""

from __future__ import annotations

import pytest

from hotconfig.cli.connections import Connections
from hotconfig.core.errors import ConfigurationError


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cr%40et@db:5432/app",
        "postgresql://ann:s3cr@et@db/app",
        "postgresql://db/app?user=ann&password=s3cr@et",
        "host=db user=ann password=s3cr@et",
        "host=db user=ann password='s3cr@et'",
    ],
)
def test_no_form_of_the_password_is_printed(url: str) -> None:
    connections = Connections(url, None, "hotconfig")
    told = connections.redacted(f"cannot parse {url!r}: near s3cr@et or s3cr%40et")
    assert "s3cr@et" not in told
    assert "***" in told


def test_the_password_of_redis_is_not_printed() -> None:
    connections = Connections(None, "redis://:hush/hush@cache:6379/0", "hotconfig")
    assert connections.redacted("bad: hush/hush") == "bad: ***"


def test_a_short_password_is_masked_as_a_word_and_a_long_one_everywhere() -> None:
    short = Connections("postgresql://ann:a@db/app", None, "hotconfig")
    assert short.redacted("that has a key: :a@db") == "that has *** key: :***@db"
    long = Connections("postgresql://ann:correcthorse@db/app", None, "hotconfig")
    assert long.redacted("near xcorrecthorsey") == "near x***y"


def test_text_without_secrets_stays_as_it_is() -> None:
    connections = Connections("postgresql://db/app", "redis://cache", "hotconfig")
    assert connections.redacted("db and cache are down") == "db and cache are down"


@pytest.mark.parametrize("url", [None, ""])
def test_a_missing_database_url_is_told_with_the_variable_to_set(url: str | None) -> None:
    with pytest.raises(ConfigurationError, match="HOTCONFIG_DATABASE_URL"):
        _ = Connections(url, None, "hotconfig").database


@pytest.mark.parametrize("url", ["mysql://ann:hush@db/app", "db.example", "hush"])
def test_a_url_of_something_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _ = Connections(url, None, "hotconfig").database
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://db/app", "postgres://db/app", "host=db dbname=app", "dbname = app"])
def test_every_form_of_a_postgresql_url_is_taken(url: str) -> None:
    assert Connections(url, None, "hotconfig").database == url


@pytest.mark.parametrize("url", ["http://ann:hush@cache", "hush", "redis://ann:hu/sh@cache:6379"])
def test_a_url_that_redis_cannot_have_is_refused_and_the_option_and_the_variable_are_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--redis-url or HOTCONFIG_REDIS_URL") as caught:
        _ = Connections(None, url, "hotconfig").redis
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://cache", "rediss://ann:x@cache:6379/0", "unix:///run/redis.sock", "", None])
def test_every_form_of_a_redis_url_is_taken(url: str | None) -> None:
    assert Connections(None, url, "hotconfig").redis == url


def test_a_redis_password_with_a_bare_slash_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        _ = Connections(None, "redis://ann:hu/sh@cache:6379", "hotconfig").redis
    assert "hu" not in str(caught.value).replace("hotconfig", "")
    assert "%2F" in str(caught.value)
