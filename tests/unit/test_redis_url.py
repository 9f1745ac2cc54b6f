"""Redis URLs of every form are taken apart; what cannot be meant is refused, and no message repeats a secret."""

from __future__ import annotations

import random
from typing import Any

import pytest
import redis

from hotconfig.core.errors import ConfigurationError
from hotconfig.redis.roster import Roster
from hotconfig.redis.url import Address, describe, parse_redis_url


@pytest.mark.parametrize(
    ("url", "topology", "addresses", "where"),
    [
        ("redis://cache", "single", [("cache", 6379)], "cache:6379"),
        ("redis://ann:x@cache:7000/3", "single", [("cache", 7000)], "cache:7000"),
        ("rediss://[::1]:7000", "single", [("::1", 7000)], "[::1]:7000"),
        ("unix://ann:x@/run/redis.sock", "single", [], "/run/redis.sock"),
        ("redis+sentinel://a,b:1/main", "sentinel", [("a", 26379), ("b", 1)], "a:26379, b:1 (sentinel)"),
        ("rediss+sentinel://ann:x@[::1],b/main/0", "sentinel", [("::1", 26379), ("b", 26379)], None),
        ("redis+cluster://a,b:1,a/", "cluster", [("a", 6379), ("b", 1)], "a:6379, b:1 (cluster)"),
        ("rediss+cluster://ann:x@a:1/0", "cluster", [("a", 1)], "a:1 (cluster)"),
    ],
)
def test_every_form_is_taken_apart(
    url: str, topology: str, addresses: list[tuple[str, int]], where: str | None
) -> None:
    parsed = parse_redis_url(url)
    assert (parsed.topology, list(parsed.addresses)) == (topology, addresses)
    assert parsed.where == (where or parsed.where) == describe(url)
    assert issubclass(parsed.connection_class, redis.SSLConnection) == url.startswith("rediss")


def test_users_and_passwords_are_told_apart_and_unquoted() -> None:
    parsed = parse_redis_url(
        "rediss+sentinel://a%40nn:p%2Fw%40@s1,s2/main/2?sentinel_username=watch&sentinel_password=o%2Fw&ssl_ca_certs=/ca"
    )
    assert parsed.master_name == "main"
    expected: dict[str, Any] = {"username": "a@nn", "password": "p/w@", "db": 2, "ssl_ca_certs": "/ca"}
    assert expected.items() <= parsed.options.items()
    expected = {"username": "watch", "password": "o/w", "ssl_ca_certs": "/ca"}
    assert expected.items() <= parsed.sentinel_options.items()
    assert "db" not in parsed.sentinel_options
    assert not any(name.startswith("sentinel") for name in parsed.options)


def test_sentinels_get_no_password_that_was_not_meant_for_them() -> None:
    parsed = parse_redis_url("redis+sentinel://ann:hush@s1,s2/main/0")
    assert not {"username", "password"} & parsed.sentinel_options.keys()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://ann:hush@cache", "begins with redis://"),
        ("redis+magic://ann:hush@cache", "begins with redis://"),
        ("hush", "begins with redis://"),
        ("redis://ann:hu/sh@cache:6379", "percent-encoded"),
        ("redis://ann:hush@cache:port", "percent-encoded"),
        ("redis://hush:12/34@cache:6379", "percent-encoded"),
        ("redis://ann:hush@cache?colour=hush", "unknown options: colour. There are: socket_connect_timeout"),
        (
            "rediss+cluster://ann:hush@c1:7?shard=hush",
            "for c1:7 (cluster) has unknown options: shard. There are: ssl_ca",
        ),
        ("redis://ann:hush@cache?sharded=yes", "sharded is for redis+cluster:// URLs"),
        ("redis+sentinel://ann:hush@s1/main/0?sharded=yes", "sharded is for redis+cluster:// URLs"),
        ("redis://ann:hush@cache?sentinel_password=hush", "sentinel_password is for redis+sentinel:// URLs"),
        ("redis+cluster://ann:hush@c1?ssl_ca_certs=/hush", "ssl_ca_certs is for rediss:// URLs"),
        ("redis+cluster://ann:hush@c1?sharded=hush", "sharded is yes or no"),
        ("redis://ann:hush@cache?socket_timeout=hush", "socket_timeout is a number of seconds"),
        ("redis://ann:hush@cache?socket_timeout=0", "socket_timeout is a number of seconds, above 0"),
        ("rediss://ann:hush@cache?ssl_keyfile=/hush", "name both"),
        ("redis+sentinel://:12?hush@s1/main/0", "<unreadable URL> cannot be read"),
        ("redis://ann:12?hush@cache", "<unreadable URL> cannot be read"),
        ("redis://ann:12#hush@cache", "<unreadable URL> cannot be read"),
        ("redis://cache/0?password=hu@sh&sharded=yes", "sharded is for redis+cluster:// URLs"),
        ("redis+sentinel://ann:hush@s1", "names no master"),
        ("redis://ann:hush?colour=x@cache", "percent-encoded"),
        ("redis+sentinel://ann:hush@s1,s2", "/mymaster/0"),
        ("redis+sentinel://ann:hush@s1,s2/main/hush", "/mymaster/0"),
        ("redis+sentinel://ann:hu/sh@s1/main/0", "/mymaster/0"),
        ("redis+cluster://ann:hush@a:1,b:x", "host1:6379,host2:6379"),
        ("redis+cluster://ann:hush@a/1", "database 0 only"),
        ("rediss+cluster://ann:hush@a?ssl_cert_reqs=hush", "host1:6379,host2:6379"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_form_and_without_the_password(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_redis_url(url)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "hu/" not in str(caught.value)


A, B, C, D = (Address("host", port) for port in range(4))


def test_who_answered_is_asked_first_and_who_did_not_last() -> None:
    roster = Roster([A, B, C])
    roster.prefer(B)
    roster.shun(A)
    assert roster.order() == (B, C, A)


def test_new_servers_are_learnt_old_ones_forgotten_and_those_of_the_url_kept() -> None:
    roster = Roster([A, B])
    roster.learn([B, C])
    assert roster.order() == (A, B, C)
    roster.learn([D])
    assert roster.order() == (A, B, D)


def test_processes_begin_with_different_servers() -> None:
    assert len({Roster([A, B, C], random.Random(seed)).order()[0] for seed in range(20)}) == 3
