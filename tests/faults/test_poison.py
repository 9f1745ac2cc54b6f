"""Poison: refused where it is written, with a word on why; written by hand all the same, it stops at each reader."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from pydantic import Field

import hotconfig
from hotconfig import Timing
from tests.integration.settings import BY, CANARY, ClientFactory, TestSettings, publish, query, write_by_hand
from tests.support.waiting import Eventually

QUIET = Timing(reconcile_s=600, poll_s=600)
DEEP = 10_000
MEGABYTE = 1_048_576


@hotconfig.settings(service="poison")
class Poisoned(TestSettings):
    word: str = "w"
    number: int = 0
    ratio: float = Field(0.5, ge=0)
    share: float = Field(0.5, allow_inf_nan=False)
    names: list[str] = Field([])
    anything: Any = None
    table: dict[str, Any] = Field({})


def nested() -> list[Any]:
    inner: list[Any] = []
    for _ in range(DEEP):
        inner = [inner]
    return inner


WRITTEN: dict[str, tuple[str, object]] = {
    "nul": ("word", f"{CANARY}\0"),
    "lone surrogate": ("word", f"{CANARY}\ud800"),
    "nul in a list": ("names", [CANARY, "\0"]),
    "surrogate in a key": ("table", {"\udfff": CANARY}),
    "nul by an escape": ("names", f'["{CANARY}", "\\u0000"]'),
    "surrogate by an escape": ("names", f'["{CANARY}", "\\ud800"]'),
    "not a number": ("share", float("nan")),
    "infinity": ("share", float("inf")),
    "1e400": ("ratio", "1e400"),
    "1e400 in json": ("table", '{"a": 1e400}'),
    "5,000 digits": ("number", "9" * 5000),
    "an int of 5,000 digits": ("number", 10**5000),
    "5,000 digits in json": ("table", '{"a": ' + "9" * 5000 + "}"),
    "nested 10,000 deep": ("anything", nested()),
    "nested 10,000 deep as text": ("names", "[" * DEEP + "]" * DEEP),
    "unclosed 10,000 deep": ("table", '{"a":' * DEEP),
    "a megabyte and a byte": ("word", "x" * (MEGABYTE + 1)),
    "a megabyte of two bytes each": ("word", "ü" * (MEGABYTE // 2 + 1)),
    "64 megabytes": ("word", "x" * 64_000_000),
    "bytes that are no UTF-8": ("word", b"\xff\xfe" + CANARY.encode()),
    "UTF-16": ("word", CANARY.encode("utf-16")),
}


@pytest.mark.parametrize("what", WRITTEN)
def test_poison_is_refused_at_the_write(client: hotconfig.HotConfig, migrated_url: str, what: str) -> None:
    settings = client.bind(Poisoned)
    key, value = WRITTEN[what]
    with pytest.raises(hotconfig.InvalidValueError) as caught:
        client.store.update(settings, {key: value}, by=BY)
    assert key in caught.value.problems
    assert CANARY not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert query(migrated_url, "SELECT count(*) FROM hotconfig.config_history") == [(0,)]
    client.wait_for(client.store.set(settings, word="fine", by=BY))
    assert settings.word == "fine"
    assert client.status().counters["line_errors"] == 0


BY_HAND = {
    "not a number": ("share", "nan"),
    "infinity": ("share", "Infinity"),
    "1e400": ("ratio", "1e400"),
    "1e400 in json": ("table", '{"a": 1e400}'),
    "5,000 digits": ("number", "9" * 5000),
    "5,000 digits in json": ("names", "[" + "9" * 5000 + "]"),
    "nested 10,000 deep": ("anything", "!json " + "[" * DEEP + "]" * DEEP),
    "nested 10,000 deep, a list": ("names", "[" * DEEP + "]" * DEEP),
    "unclosed 10,000 deep": ("table", '{"a":' * DEEP),
    "nul by an escape": ("names", '["\\u0000"]'),
    "surrogate by an escape": ("names", '["\\ud800"]'),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_poison_that_was_written_by_hand_stops_at_the_reader(
    start_client: ClientFactory, migrated_url: str, redis_url: str, eventually: Eventually, what: str
) -> None:
    client = start_client(timing=QUIET)
    settings = client.bind(Poisoned)
    key, text = BY_HAND[what]
    write_by_hand(migrated_url, "poison", **{key: text, "word": "not seen"})
    publish(redis_url, f"config:poison:{key}", text)
    problems = eventually(lambda: client.status().services["poison"].problems)
    assert list(problems) == [key]
    assert text[:300] not in str(problems)
    assert settings == Poisoned()
    assert client.status().counters["rejected"] == {"validate": 1}
    client.wait_for(client.store.delete(settings, key, by=BY))
    assert settings.word == "not seen"
    assert client.status().counters["line_errors"] == 0


WRITE = "SELECT * FROM hotconfig.write_config(%s, %s, %s, %s, %s, %s, %s, NULL, gen_random_uuid())"
NAUGHTY = (
    "a:b:k", "config:ai:k", "a\nb", "a\n", "*", "a*", "[a]", "", " ", "é", "\uff41", "@commits", "a/b", "a'b", 'a"; --',
    "%s", "a\x1b[31m", "\u202ea", "\uff4eull", "\ufeffa", "../a",
)  # fmt: skip
REFUSED = (
    ("ai", "word", CANARY + "x" * MEGABYTE, "ann", None),
    ("ai", "word", CANARY + "x" * 64_000_000, "ann", None),
    ("ai", "word", CANARY, "a" * 257, None),
    ("ai", "word", CANARY, "ann", "r" * 2001),
    *[(name, "word", CANARY, "ann", None) for name in (*NAUGHTY, ".a", "-a", "a" * 64)],
    *[("ai", name, CANARY, "ann", None) for name in (*NAUGHTY, "1a", "a-b", "a.b", "a" * 128)],
)


def by_hand(connection: psycopg.Connection[Any], service: str, key: str, value: str, by: str, reason: str) -> None:
    connection.execute("SELECT set_config('hotconfig.by', %s, false)", [by])
    connection.execute("SELECT set_config('hotconfig.reason', %s, false)", [reason])
    connection.execute("INSERT INTO hotconfig.service_configs VALUES (%s, %s, NULL, %s)", [service, key, value])


def test_the_database_refuses_by_itself_and_does_not_quote_the_value(any_migrated_url: str) -> None:
    with psycopg.connect(any_migrated_url, autocommit=True) as connection:
        for service, key, value, by, reason in REFUSED:
            with pytest.raises(psycopg.errors.CheckViolation) as caught:
                connection.execute(WRITE, [service, [key], [value], [False], [False], by, reason])
            said = caught.value.diag
            assert CANARY not in f"{caught.value}{said.message_detail}{said.context}"
            with pytest.raises(psycopg.errors.CheckViolation):
                by_hand(connection, service, key, value, by, reason or "")
        assert connection.execute("SELECT count(*) FROM hotconfig.config_history").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM hotconfig.heads").fetchone() == (0,)


@pytest.mark.parametrize("raw", [b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", "x".encode("utf-16")])
def test_bytes_that_are_no_text_do_not_get_into_the_database(migrated_url: str, raw: bytes) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.CharacterNotInRepertoire):
            connection.execute(
                "INSERT INTO hotconfig.service_configs VALUES ('ai', 'word', NULL, convert_from(%s, 'UTF8'))", [raw]
            )
        assert connection.execute("SELECT count(*) FROM hotconfig.config_history").fetchone() == (0,)
