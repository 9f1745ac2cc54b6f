"""What answers at Redis's address and is none, or is one in trouble: typed errors, and writes that stand."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

import hotconfig
from hotconfig.core.chain import Change
from hotconfig.core.errors import HotConfigError
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.redis.subscribe import RedisSubscription
from tests.integration.settings import BY, AISettings, ClientFactory
from tests.support.fakes import KEYRING, MemoryTruth
from tests.support.waiting import eventually

GREETINGS = (b"CLIENT", b"AUTH", b"SELECT", b"HELLO")
ANSWERS = [
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-NOPERM this user has no permissions\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-OOM command not allowed\r\n",
    b"-MOVED 1 127.0.0.1:1\r\n",
    b"-MOVED nowhere\r\n",
    b"-ASK 1\r\n",
    b"-\xff\r\n",
    b"*0\r\n",
    b"*1\r\n:1\r\n",
    b"*3\r\n:1\r\n:2\r\n:3\r\n",
    b"%1\r\n+a\r\n+b\r\n",
    b"#t\r\n",
    b"$-1\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00\xff\x00\xff\r\n",
]


class _Answering(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, answer: bytes, *, greets: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.greets = answer, greets


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Answering)
        try:
            while data := self.request.recv(65536):
                greetings = sum(data.count(word) for word in GREETINGS) if server.greets else 0
                self.request.sendall(b"+OK\r\n" * greetings or server.answer * 6)
        except OSError:
            return  # whoever asked has had enough


@contextmanager
def answering(answer: bytes, *, greets: bool) -> Generator[str]:
    """``host:port`` of a server that says the same to everything, but to a client's greeting where it ``greets``."""
    with _Answering(answer, greets=greets) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(30)


def typed_or_fine(call: Callable[[], object]) -> None:
    """Whatever else is raised fails the test."""
    try:
        call()
    except HotConfigError:
        return


@pytest.mark.parametrize("greets", [True, False])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("url", ["redis://{}/0", "redis+sentinel://{}/main/0", "redis+cluster://{}"])
def test_nothing_but_errors_of_ours_comes_of_an_odd_answer(url: str, answer: bytes, greets: bool) -> None:
    change_set = MemoryTruth().commit("ai", Change("threshold", "0.9"))
    with answering(answer, greets=greets) as place:
        announcer = RedisAnnouncer(url.format(place))
        typed_or_fine(lambda: announcer.announce(change_set, KEYRING))
        announcer.close()

        def listen() -> None:
            subscription = RedisSubscription.open(url.format(place), ["ai"])
            try:
                subscription.receive(10)
            finally:
                subscription.close()

        typed_or_fine(listen)


@pytest.mark.parametrize("answer", [b"-MOVED nowhere\r\n", b"-OOM command not allowed\r\n"])
def test_a_write_stands_whatever_redis_answers(start_client: ClientFactory, answer: bytes) -> None:
    with answering(answer, greets=True) as place:
        client = start_client(redis=f"redis://{place}/0")
        ai = client.bind(AISettings)
        commit = client.store.set(ai, threshold=0.9, by=BY)
        assert (commit.revision, commit.announced) == (1, False)
        client.wait_for(commit, 30)
        assert ai.threshold == 0.9
        eventually(lambda: client.status().state is hotconfig.State.DEGRADED, 30)
        client.close()
