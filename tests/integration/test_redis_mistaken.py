"""URLs that take one kind of Redis for another: the error says what the server is, and what to write."""

from __future__ import annotations

import pytest

from hotconfig.core.errors import ConfigurationError, RedisUnavailableError
from hotconfig.redis.connect import find_route


def refusal_of(url: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        find_route(url).connect("hotconfig-test")
    return caught.value


def taken_apart(redis_url: str) -> tuple[str, str]:
    """Password and address."""
    front, _, address = redis_url.removeprefix("redis://").partition("/")[0].rpartition("@")
    return front.lstrip(":"), address


def test_a_single_server_is_no_cluster(redis_url: str) -> None:
    password, address = taken_apart(redis_url)
    said = str(refusal_of(f"redis+cluster://:{password}@{address}"))
    assert f"Redis at {address} is not a node of a cluster" in said
    assert "write redis://" in said
    assert password not in said


def test_a_server_is_no_sentinel(redis_url: str) -> None:
    password, address = taken_apart(redis_url)
    said = str(refusal_of(f"redis+sentinel://:{password}@{address}/main/0?sentinel_password={password}"))
    assert f"Redis at {address} is no Sentinel" in said
    assert "port 26379" in said
    assert password not in said


def test_a_refused_connection_has_nothing_to_do_with_tls() -> None:
    with pytest.raises(RedisUnavailableError) as caught:
        find_route("rediss://127.0.0.1:1/0").connect("hotconfig-test")
    assert "does not speak TLS" not in str(caught.value)
