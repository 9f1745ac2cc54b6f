"""The double on a port: one thread with an event loop, which reads requests, lets faults strike and keeps time.

Knows HTTP and time, nothing of Kubernetes beyond asking the API and the controllers.
"""

from __future__ import annotations

import asyncio
import json
import select
import selectors
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hotconfig.testing.kubernetes import wire
from hotconfig.testing.kubernetes.api import Api
from hotconfig.testing.kubernetes.controllers import Controllers
from hotconfig.testing.kubernetes.faults import Call, CallLog, Fault, Faults
from hotconfig.testing.kubernetes.reading import Watch
from hotconfig.testing.kubernetes.requests import Request, Response

_TICK_S: Final = 0.02
_BOOKMARK_S: Final = 1.0
_MOST_SELECTED: Final = 1024
"""select() knows no descriptor from here up."""


class _Punctual(selectors.DefaultSelector):
    """Waits for as long as it is told, to some 50 µs.

    epoll counts whole milliseconds and rounds up: how long a call takes would depend on what else arrives meanwhile.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        number = getattr(self, "fileno", None)  # not every system's selector has one
        if timeout and timeout > 0 and number is not None and number() < _MOST_SELECTED:
            select.select([number()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


class Server:
    """Serves one API. ``start`` and ``stop`` may alternate; the port stays the same."""

    def __init__(self, api: Api, controllers: Controllers, *, faults: Faults, log: CallLog) -> None:
        self._api = api
        self._controllers = controllers
        self._faults = faults
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._wakers: set[asyncio.Event] = set()
        self._connections: set[asyncio.StreamWriter] = set()
        self.port: int = 0
        self.name_of: Callable[[Request], str] = lambda _: ""
        """The key of who sends a request, for faults and the log."""
        api.on_written.append(self._written)

    @property
    def is_up(self) -> bool:
        return self._thread is not None

    def start(self, host: str, tls: ssl.SSLContext | None) -> None:
        """Listen. Returns when connections are accepted; raises OSError when the port is taken."""
        ready = threading.Event()
        trouble: list[OSError] = []
        self._thread = threading.Thread(
            target=self._run, args=(host, tls, ready, trouble), name="hotconfig-kubernetes-double", daemon=True
        )
        self._thread.start()
        ready.wait()
        if trouble:
            self._thread.join()
            self._thread = None
            raise trouble[0]

    def stop(self) -> None:
        """Reset every connection and listen no longer. Objects stay as they are; no controller works meanwhile."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._loop = None
        loop.call_soon_threadsafe(self._stopping.set)
        thread.join()
        self._thread = None

    def _run(self, host: str, tls: ssl.SSLContext | None, ready: threading.Event, trouble: list[OSError]) -> None:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Punctual())) as runner:
            runner.run(self._main(host, tls, ready, trouble))

    async def _main(
        self, host: str, tls: ssl.SSLContext | None, ready: threading.Event, trouble: list[OSError]
    ) -> None:
        self._stopping = asyncio.Event()
        try:
            listening = await asyncio.start_server(self._serve, host, self.port, ssl=tls, backlog=512)
        except OSError as error:
            trouble.append(error)
            ready.set()
            return
        self.port = listening.sockets[0].getsockname()[1]
        self._loop = asyncio.get_running_loop()
        self._controllers.catch_up()
        ticking = asyncio.create_task(self._tick())
        ready.set()
        await self._stopping.wait()
        listening.close()
        ticking.cancel()
        for writer in list(self._connections):
            writer.transport.abort()
        # One turn of the loop, so that the connections see their end before it closes.
        await asyncio.sleep(0)

    async def _tick(self) -> None:
        """Look for work that no write announced: the controllers may have been started again."""
        while True:
            self._schedule()
            await asyncio.sleep(_TICK_S)

    def _written(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop closed meanwhile: nobody is left to tell
                loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._schedule()
        for waker in self._wakers:
            waker.set()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        for delay_s, job in self._controllers.due():
            loop.call_later(delay_s, self._controllers.perform, job)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while (found := await wire.read_request(reader)) is not None:
                if not await self._call(found[0], found[1], writer):
                    break
        except (OSError, asyncio.IncompleteReadError, wire.BadRequestError, asyncio.CancelledError, ValueError):
            writer.transport.abort()  # the client went, or speaks something else: nobody to answer
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _call(self, request: Request, target: str, writer: asyncio.StreamWriter) -> bool:
        """Answer one call. False when the connection is not to be used further."""
        began, user = time.monotonic(), self.name_of(request)
        faults = self._faults.striking(request.method, request.path, user)
        delay_s = self._faults.latency_s + sum(fault.delay_s for fault in faults)
        if delay_s:
            await asyncio.sleep(delay_s)
        opened = self._api.watch(request) if request.watches and not _hinders(faults) else None
        response = None if isinstance(opened, Watch) else opened or self._response(request, faults)
        code = 200 if isinstance(opened, Watch) else response.code if response else 0
        query = target.partition("?")[2]
        impersonated = request.header("impersonate-user")
        self._log.add(Call(request.method, request.path, query, user, impersonated, began, time.monotonic(), code))
        if isinstance(opened, Watch):
            await self._stream(opened, request, writer)
            return False
        if response is None:
            writer.transport.abort()
            return False
        writer.write(wire.answer(response))
        await writer.drain()
        return request.header("connection").lower() != "close"

    def _response(self, request: Request, faults: list[Fault]) -> Response | None:
        """The answer, None where the connection is to be reset instead."""
        if any(fault.resets_before for fault in faults):
            return None
        error = next((fault.error for fault in faults if fault.error is not None), None)
        if error is not None:
            return Response(error.code, error.body, error.headers)
        response = self._api.answer(request)
        return None if any(fault.resets_after for fault in faults) else response

    async def _stream(self, watch: Watch, request: Request, writer: asyncio.StreamWriter) -> None:
        """Send events until the client goes or its time is over."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        ends_at = time.monotonic() + float(request.query.get("timeoutSeconds") or 1800)
        try:
            writer.write(wire.head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}))
            while time.monotonic() < ends_at and not writer.is_closing():
                waker.clear()
                lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in self._api.news(watch)]
                writer.write(b"".join(wire.chunk(line.encode()) for line in lines))
                await writer.drain()
                with suppress(TimeoutError):  # nothing new: a bookmark, or the end of the watch's time
                    await asyncio.wait_for(waker.wait(), min(_BOOKMARK_S, max(0.0, ends_at - time.monotonic())))
                if watch.bookmarks and not waker.is_set():
                    writer.write(wire.chunk(json.dumps(watch.bookmark()).encode() + b"\n"))
            writer.write(wire.chunk(b""))
            await writer.drain()
        finally:
            self._wakers.discard(waker)


def _hinders(faults: list[Fault]) -> bool:
    return any(fault.error is not None or fault.resets_before or fault.resets_after for fault in faults)
