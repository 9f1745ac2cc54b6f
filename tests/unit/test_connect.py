"""Connections that fail, and inherited ones in a forked child."""

from __future__ import annotations

import errno
import os
import socket
from typing import cast

import psycopg
import pytest
import redis

from hotconfig.core.errors import DatabaseUnavailableError, RedisUnavailableError
from hotconfig.postgres.connect import Session, close_copy, open_session
from hotconfig.redis.connect import find_route
from hotconfig.redis.subscribe import RedisSubscription


class Lost:
    """A connection whose process was forked at the moment at which it noticed that the server was gone."""

    def fileno(self) -> int:
        raise psycopg.OperationalError("the connection is lost")


def test_a_child_that_is_forked_while_a_connection_is_being_lost_comes_to_life() -> None:
    close_copy(cast("Session", Lost()))


def test_an_error_that_somebody_keeps_holds_no_connection_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system accepts; nobody answers
        url = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/nothing?connect_timeout=2"
        with pytest.raises(DatabaseUnavailableError) as kept:
            open_session(url, application_name="a test")
        silent.settimeout(30)
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(30)
            while connection.recv(1024):
                pass  # its first message, and then the end
    assert "timeout" in str(kept.value)


def without_descriptors(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_without_descriptors_postgresql_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "connect", without_descriptors)  # psycopg waits with a descriptor of its own
    with pytest.raises(DatabaseUnavailableError, match="Too many open files"):
        open_session("postgresql://somebody@127.0.0.1:1/nothing", application_name="a test")


def test_without_descriptors_redis_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    route = find_route("redis://127.0.0.1:1")
    monkeypatch.setattr(redis.Connection, "__init__", without_descriptors)  # redis-py reads a file there
    with pytest.raises(RedisUnavailableError, match="Too many open files"):
        RedisSubscription.open(route, ["ai"])
