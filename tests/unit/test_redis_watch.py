"""A Sentinel that is asked whether it names another master: what counts, and what it may do without harm."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hotconfig.redis import watch as module
from hotconfig.redis.url import Address
from hotconfig.redis.watch import SentinelWatch
from tests.support.waiting import eventually

OURS, OTHER = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379)
QUESTION = b"?"


class Sentinel:
    """The far end of a watch."""

    def __init__(self) -> None:
        near, self.socket = socket.socketpair()
        self.socket.settimeout(5)
        connection: Any = SimpleNamespace(
            _sock=near, host="10.0.0.9", port=26379, pack_command=lambda *_: [QUESTION], disconnect=near.close
        )
        self.watch = SentinelWatch(connection, "mymaster", OURS)

    def says(self, address: Address) -> None:
        host, port = address.host.encode(), str(address.port).encode()
        self.sends(b"*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(host), host, len(port), port))

    def sends(self, data: bytes) -> None:
        self.socket.sendall(data)

    def questions(self) -> int:
        self.socket.setblocking(False)
        try:
            return len(self.socket.recv(4096))
        except BlockingIOError:
            return 0


@pytest.fixture
def sentinel() -> Iterator[Sentinel]:
    made = Sentinel()
    yield made
    made.watch.close()
    made.socket.close()


def test_a_sentinel_that_changes_its_mind_is_believed(sentinel: Sentinel) -> None:
    sentinel.watch.look()
    sentinel.says(OURS)
    assert sentinel.watch.look() is None
    sentinel.says(OTHER)
    assert sentinel.watch.look() == OTHER


def test_one_that_has_not_named_our_server_yet_is_given_time(
    sentinel: Sentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentinel.watch.look()
    sentinel.says(OTHER)
    assert sentinel.watch.look() is None
    monkeypatch.setattr(module, "DOUBT_S", 0.0)
    sentinel.says(OTHER)
    assert sentinel.watch.look() == OTHER


def test_a_slow_one_is_not_asked_again_and_all_that_it_says_is_read(sentinel: Sentinel) -> None:
    for _ in range(5):
        sentinel.watch.look()
    assert sentinel.questions() == 1
    for address in (OURS, OURS, OTHER):
        sentinel.says(address)
    sentinel.watch.look()
    sentinel.says(OURS)
    assert sentinel.watch.look() is None
    sentinel.says(OTHER)
    assert sentinel.watch.look() == OTHER


def test_an_answer_is_waited_for_only_so_long(sentinel: Sentinel) -> None:
    assert sentinel.watch.look(0.01) is None
    assert not sentinel.watch.is_over


@pytest.mark.parametrize(
    "answer",
    [
        b"$-1\r\n",
        b"*-1\r\n",
        b"-NOPERM no\r\n",
        b"*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        b"*2\r\n$1\r\nh\r\n$5\r\n99999\r\n",
        b"*2\r\n$1\r\nh\r\n$1\r\n0\r\n",
        b"*2\r\n$1\r\nh\r\n$5000\r\n" + b"9" * 5000 + b"\r\n",
        b"*2\r\n$1\r\nh\r\n$2\r\n-1\r\n",
    ],
)
def test_what_names_no_server_is_no_reason_to_leave(sentinel: Sentinel, answer: bytes) -> None:
    sentinel.watch.look()
    sentinel.says(OURS)
    sentinel.watch.look()
    sentinel.sends(answer)
    assert sentinel.watch.look(0.05) is None


@pytest.mark.parametrize("farewell", [b"", b"no RESP\r\n", b"*2\r\n$1\r\n\xff\r\n$4\r\n6379\r\n"])
def test_one_that_is_lost_or_speaks_nonsense_is_not_asked_any_more(sentinel: Sentinel, farewell: bytes) -> None:
    sentinel.watch.look()
    sentinel.sends(farewell)
    if not farewell:
        sentinel.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: sentinel.watch.look() is None and sentinel.watch.is_over)
    assert sentinel.watch.look() is None
