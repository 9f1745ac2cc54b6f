"""What the doctor makes of what servers say about themselves."""

from __future__ import annotations

from typing import Any

import pytest

from hotconfig.cli.admission import Registered, Schemas
from hotconfig.cli.catalog import Service
from hotconfig.cli.checks.news import flavour, judge_buffers
from hotconfig.cli.checks.stored import judge
from hotconfig.cli.checks.topology import judge_sentinels
from hotconfig.core.chain import genesis
from hotconfig.core.encryption import judge_encryption
from hotconfig.core.errors import HotConfigError, RedisUnavailableError
from hotconfig.redis.url import Address


@pytest.mark.parametrize(
    ("setting", "state"),
    [
        ("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "ok"),
        ("pubsub 0 0 0", "ok"),
        ("pubsub 8388608 0 0", "ok"),
        ("pubsub 8388607 0 0", "warning"),
        ("pubsub 33554432 1048576 60", "warning"),
        ("normal 0 0 0", "note"),
        ("pubsub", "note"),
        ("pubsub a b c", "note"),
    ],
)
def test_limits_that_evict_subscribers_soon_are_warned_of(setting: str, state: str) -> None:
    assert judge_buffers(setting).state == state


def test_a_warning_says_what_eviction_does_and_what_to_set() -> None:
    found = judge_buffers("pubsub 1048576 0 0")
    assert found.found == "pubsub: 1 MB at once, no limit for 0 s"
    assert "cut off" in found.advice
    assert "CONFIG SET" in found.advice


@pytest.mark.parametrize(
    ("hosts", "encrypted", "verified", "state"),
    [
        (["db.example"], True, True, "ok"),
        (["db.example"], True, False, "warning"),
        (["db.example"], False, False, "warning"),
        (["db.example"], False, True, "warning"),
        (["10.0.0.7"], False, False, "warning"),
        (["127.0.0.1", "db.example"], False, False, "warning"),
        (["127.0.0.1", "::1", "localhost"], False, False, "ok"),
        (["/run/postgresql"], False, False, "ok"),
        (["localhost"], True, False, "ok"),
        ([], False, False, "ok"),
    ],
)
def test_whoever_could_read_along_is_warned_of(hosts: list[str], encrypted: bool, verified: bool, state: str) -> None:
    found = judge_encryption(
        "encryption", hosts, encrypted=encrypted, verified=verified, exposed="values", way_out="do this"
    )
    assert (found.state, found.advice) == (state, "do this" if state == "warning" else "")


@pytest.mark.parametrize(
    ("info", "name"),
    [
        (
            {"redis_version": "7.2.4", "valkey_version": "9.1.2", "server_mode": "standalone"},
            "Valkey 9.1.2 (standalone)",
        ),
        ({"redis_version": "7.4.1", "redis_mode": "cluster"}, "Redis 7.4.1 (cluster)"),
        ({"redis_version": "6.2.11", "dragonfly_version": "df-1.2"}, "Dragonfly df-1.2"),
        ({}, "Redis of unknown version"),
    ],
)
def test_the_flavour_of_the_server_is_recognised(info: dict[str, Any], name: str) -> None:
    assert flavour(info) == name


NARROW: dict[str, Any] = {"properties": {"size": {"type": "integer", "maximum": 9}}}
WIDE: dict[str, Any] = {"properties": {"size": {"type": "integer", "maximum": 99}}}
OTHER: dict[str, Any] = {"properties": {}}


@pytest.mark.parametrize(
    ("schemas", "text", "states"),
    [
        ([NARROW, WIDE], "9", []),
        ([NARROW, WIDE], "10", ["warning"]),
        ([WIDE, NARROW], "10", []),
        ([NARROW, WIDE], "100", ["problem"]),
        ([NARROW, WIDE], None, ["problem"]),
        ([OTHER], "100", []),
        ([], "100", []),
    ],
)
def test_a_stored_text_is_a_problem_if_no_class_takes_it_and_a_warning_if_only_the_newest_does_not(
    schemas: list[dict[str, Any]], text: str | None, states: list[str]
) -> None:
    found = Schemas("shop", [Registered("h", None, schema) for schema in schemas])
    findings = list(judge(Service("shop", genesis("shop"), {"size": text}, found)))
    assert [finding.state for finding in findings] == states
    for finding in findings:
        assert "service 'shop': key 'size' must" in finding.found
        assert "hotconfig set shop size=VALUE" in finding.advice


HERE, THERE = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379)
AWAY = RedisUnavailableError("s3 did not answer")


@pytest.mark.parametrize(
    ("named", "errors", "state", "said"),
    [
        ([HERE] * 3, [], "ok", "all 3 name 10.0.0.1:6379"),
        ([HERE], [], "note", "1 in the URL"),
        ([HERE] * 2, [AWAY], "warning", "2 of 3 name 10.0.0.1:6379"),
        ([HERE, HERE, THERE], [], "warning", "10.0.0.1:6379, 10.0.0.2:6379"),
        ([], [AWAY], "problem", "none of 1 names the master 'main'"),
    ],
)
def test_sentinels_that_are_few_away_or_at_odds_are_told(
    named: list[Address], errors: list[HotConfigError], state: str, said: str
) -> None:
    found = judge_sentinels("main", named, errors)
    assert (found.state, said in found.found) == (state, True), found
