"""TCP proxies with weather: what passes is lost, late, doubled, held back or cut, when a test wants it so.

One thread serves any number of proxies. A proxy for Redis knows whole RESP frames and harms published messages alone;
any other passes bytes as they come. Must not know who talks through it, nor why.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

_CHUNK = 65536
_PUBLISHED = (b"*4\r\n$8\r\npmessage\r\n", b"*3\r\n$7\r\nmessage\r\n")
LATE_S = 0.05
"""How much later than the rest a late or doubled message comes, at most."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What a proxy does to what passes. ``drop``, ``double`` and ``late`` are shares of the published messages.

    ``deaf``: connections stand, nothing passes; it is held, and passes when the weather changes. ``refusing``: new
    connections are reset.
    """

    drop: float = 0.0
    double: float = 0.0
    late: float = 0.0
    delay_s: float = 0.0
    deaf: bool = False
    refusing: bool = False


CLEAR = Weather()


class Cut(Enum):
    """Where the next exchange is cut, once."""

    BEFORE_REQUEST = "the server never hears of it"
    AFTER_ANSWER = "the server carried it out, and the client does not hear of it"


class Proxies:
    """The thread and its event loop. A context manager; all proxies end with it."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxies")
        self._opened: list[FaultProxy] = []

    def __enter__(self) -> Proxies:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def open(self, host: str, port: int, *, frames: bool = False) -> FaultProxy:
        """A new proxy in front of ``host:port``; with ``frames``, of a Redis."""
        proxy = FaultProxy(self._loop, (host, port), self._rng, frames)
        self._opened.append(proxy)
        asyncio.run_coroutine_threadsafe(proxy.serve(), self._loop).result(5)
        return proxy

    async def _end(self) -> None:
        for proxy in self._opened:
            await proxy.end()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


@dataclass(eq=False, slots=True)
class _Pair:
    """One client's connection and the one that was made for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    half_closed: bool = False

    def abort(self) -> None:
        for end in (self.client, self.server):
            end.transport.abort()


class FaultProxy:
    """One port in front of a server. Made by :meth:`Proxies.open`; its methods may be called from any thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, target: tuple[str, int], rng: random.Random, frames: bool
    ) -> None:
        self._loop = loop
        self._target = target
        self._rng = rng
        self._frames = frames
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.weather = CLEAR
        self.cut_done = threading.Event()
        self._cut: Cut | None = None
        self._pairs: set[_Pair] = set()
        self._audible = asyncio.Event()
        self._audible.set()
        self._server: asyncio.Server | None = None

    # Any thread ----------------------------------------------------------------------------------------------------

    def change(self, weather: Weather) -> None:
        """Another weather, from now on."""
        self._soon(lambda: self._change(weather))

    def cut(self) -> None:
        """Reset all connections that there are."""
        self._soon(self._cut_all)

    def half_close(self) -> None:
        """Say farewell to every client, and go on taking what it sends."""
        self._soon(self._half_close)

    def cut_next(self, where: Cut | None) -> None:
        """Reset one connection at its next exchange. None: never mind."""
        self.cut_done.clear()
        self._cut = where

    # The loop's thread ---------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Begin."""
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def end(self) -> None:
        """Close the port and reset what is open."""
        if self._server is not None:
            self._server.close()
        for pair in self._pairs:
            pair.abort()

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self.weather.refusing:
            client.transport.abort()
            return
        try:
            from_server, server = await asyncio.open_connection(*self._target)
        except OSError:
            client.transport.abort()
            return
        pair = _Pair(client, server)
        self._pairs.add(pair)
        requests = asyncio.ensure_future(self._pump(pair, from_client, server, from_client=True))
        answers = asyncio.ensure_future(self._pump(pair, from_server, client, from_client=False))
        with contextlib.suppress(asyncio.CancelledError):  # the end; asyncio would make a noise about it
            await asyncio.wait((requests, answers), return_when=asyncio.FIRST_COMPLETED)
        requests.cancel()
        answers.cancel()
        self._pairs.discard(pair)
        pair.abort()

    async def _pump(
        self, pair: _Pair, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        """Pass on until one side ends. Errors end the connection, as they would without a proxy."""
        pieces = _whole_frames() if self._frames and not from_client else None
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                await self._audible.wait()
                if self.weather.delay_s:
                    await asyncio.sleep(self.weather.delay_s)
                if self._is_cut(from_client=from_client):
                    return
                if pieces is None:
                    _write(pair, sink, data)
                else:
                    for frame in pieces(data):
                        self._pass(pair, sink, frame)
                await sink.drain()

    def _pass(self, pair: _Pair, sink: asyncio.StreamWriter, frame: bytes) -> None:
        if not frame.startswith(_PUBLISHED):
            _write(pair, sink, frame)
            return
        weather, rng = self.weather, self._rng
        if rng.random() < weather.drop:
            return
        copies = [rng.random() < weather.late]
        if rng.random() < weather.double:
            copies.append(True)
        for late in copies:
            if late:
                self._loop.call_later(rng.uniform(0, LATE_S), _write, pair, sink, frame)
            else:
                _write(pair, sink, frame)

    def _is_cut(self, *, from_client: bool) -> bool:
        if self._cut is not (Cut.BEFORE_REQUEST if from_client else Cut.AFTER_ANSWER):
            return False
        self._cut = None
        self.cut_done.set()
        return True

    def _change(self, weather: Weather) -> None:
        self.weather = weather
        if weather.deaf:
            self._audible.clear()
        else:
            self._audible.set()

    def _cut_all(self) -> None:
        for pair in self._pairs:
            pair.abort()

    def _half_close(self) -> None:
        for pair in self._pairs:
            if not pair.half_closed and not pair.client.is_closing():
                pair.half_closed = True
                with contextlib.suppress(OSError):  # the other end has reset it a moment ago
                    pair.client.write_eof()

    def _soon(self, action: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(action)


def _write(pair: _Pair, sink: asyncio.StreamWriter, piece: bytes) -> None:
    if not (sink.is_closing() or (pair.half_closed and sink is pair.client)):
        sink.write(piece)


def _whole_frames() -> Callable[[bytes], Iterator[bytes]]:
    """A function that takes bytes as they come and gives whole RESP2 frames."""
    rest = b""

    def feed(data: bytes) -> Iterator[bytes]:
        nonlocal rest
        rest += data
        while (end := frame_end(rest, 0)) is not None:
            frame, rest = rest[:end], rest[end:]
            yield frame

    return feed


def frame_end(data: bytes, at: int) -> int | None:
    """Where the RESP2 frame that begins at ``at`` ends; None: not here yet."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return None
    kind, end = data[at : at + 1], line_end + 2
    if kind not in (b"$", b"*"):
        return end
    length = max(0, int(data[at + 1 : line_end]))
    if kind == b"$":
        end += length + 2 if data[at + 1 : at + 2] != b"-" else 0
        return end if end <= len(data) else None
    for _ in range(length):
        inner_end = frame_end(data, end)
        if inner_end is None:
            return None
        end = inner_end
    return end
