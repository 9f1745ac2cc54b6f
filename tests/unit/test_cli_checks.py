"""What the doctor makes of what servers say about themselves."""

from __future__ import annotations

from typing import Any

import pytest

from hotconfig.cli.checks.news import flavour, judge_buffers


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
