"""The proxies that the schedules use: each weather does what it says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fault_proxy import CLEAR, Cut, FaultProxy, Proxies, Weather, frame_end

MESSAGE = b"*4\r\n$8\r\npmessage\r\n$11\r\nconfig:ai:*\r\n$11\r\nconfig:ai:a\r\n$1\r\n%d\r\n"
PONG = b"+PONG\r\n"


class Echo:
    """A server that answers every byte with itself."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except ConnectionError:
                return


@pytest.fixture
def echo() -> Generator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxies() -> Generator[Proxies]:
    with Proxies() as made:
        yield made


@pytest.fixture
def proxy(proxies: Proxies, echo: Echo) -> FaultProxy:
    return proxies.open("127.0.0.1", echo.port, frames=True)


@pytest.fixture
def client(proxy: FaultProxy) -> Generator[socket.socket]:
    with connect(proxy) as connection:
        assert ask(connection, PONG) == PONG
        yield connection


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Send, and read as much as was sent."""
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        data = connection.recv(size - len(got))
        if not data:
            raise ConnectionResetError("closed")
        got += data
    return got


def test_in_clear_weather_everything_passes(client: socket.socket) -> None:
    assert ask(client, MESSAGE % 1 * 3) == MESSAGE % 1 * 3


def test_what_a_deaf_proxy_was_sent_passes_when_it_hears_again(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.change(Weather(deaf=True))
    client.sendall(PONG)
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(10)
    proxy.change(CLEAR)
    assert receive(client, len(PONG)) == PONG


def test_a_cut_connection_is_reset_and_the_next_one_stands(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.cut()
    with pytest.raises(ConnectionError):
        receive(client, 1)
    with connect(proxy) as another:
        assert ask(another, PONG) == PONG


def test_a_refusing_proxy_lets_nobody_in(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.change(Weather(refusing=True))
    assert ask(client, PONG) == PONG
    with pytest.raises(ConnectionError), connect(proxy) as another:
        ask(another, PONG)


def test_a_half_closed_connection_says_farewell_and_goes_on_listening(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.half_close()
    assert client.recv(1) == b""
    client.sendall(PONG)


@pytest.mark.parametrize("where", Cut)
def test_the_next_exchange_is_cut_once(proxy: FaultProxy, client: socket.socket, where: Cut) -> None:
    proxy.cut_next(where)
    with pytest.raises(ConnectionError):
        ask(client, PONG)
    assert proxy.cut_done.is_set()
    with connect(proxy) as another:
        assert ask(another, PONG) == PONG


def test_only_published_messages_are_lost(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.change(Weather(drop=1.0))
    client.sendall(MESSAGE % 1 + PONG + MESSAGE % 2 + PONG)
    assert receive(client, 2 * len(PONG)) == PONG * 2


def test_messages_are_doubled(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.change(Weather(double=1.0))
    client.sendall(MESSAGE % 1)
    assert receive(client, 2 * len(MESSAGE % 1)) == MESSAGE % 1 * 2


def test_late_messages_are_overtaken(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.change(Weather(late=1.0))
    client.sendall(MESSAGE % 1 + PONG)
    assert receive(client, len(PONG)) == PONG
    assert receive(client, len(MESSAGE % 1)) == MESSAGE % 1


FRAMES = st.recursive(
    st.binary(max_size=20).map(lambda data: b"$%d\r\n%s\r\n" % (len(data), data))
    | st.integers(-5, 5).map(lambda number: b":%d\r\n" % number)
    | st.sampled_from([PONG, b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"-ERR no\r\n"]),
    lambda inner: st.lists(inner, max_size=4).map(lambda items: b"*%d\r\n%s" % (len(items), b"".join(items))),
)


@settings(deadline=None)
@given(FRAMES, st.binary(max_size=10))
def test_a_frame_ends_where_it_ends_whatever_follows(frame: bytes, after: bytes) -> None:
    assert frame_end(frame + after, 0) == len(frame)


@settings(deadline=None)
@given(FRAMES, st.data())
def test_a_piece_of_a_frame_is_not_taken_for_one(frame: bytes, data: st.DataObject) -> None:
    assert frame_end(frame[: data.draw(st.integers(0, len(frame) - 1))], 0) is None
