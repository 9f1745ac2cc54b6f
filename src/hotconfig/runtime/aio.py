"""The same for async callers: a thin face over the synchronous code, on asyncio and trio."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from pydantic import BaseModel

from hotconfig.core.listeners import Changed
from hotconfig.core.status import StateChanged
from hotconfig.runtime.publishing import Commit
from hotconfig.runtime.store import Store, Target

if TYPE_CHECKING:
    from hotconfig.runtime.client import HotConfig

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
E = TypeVar("E")

MAX_WAITING_EVENTS: Final = 1024
"""Events kept for a slow consumer of ``changes()`` or ``states()``. Beyond, the oldest is dropped."""


class AsyncStore:
    """:class:`hotconfig.Store`, awaitable. The event loop is never blocked: writes run on a worker thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def set(
        self,
        settings: Target,
        /,
        *,
        by: str,
        reason: str | None = None,
        expect: int | None = None,
        **values: object,
    ) -> Commit:
        """See :meth:`hotconfig.Store.set`."""
        return await self.update(settings, values, by=by, reason=reason, expect=expect)

    async def update(
        self,
        settings: Target,
        values: Mapping[str, object],
        /,
        *,
        by: str,
        reason: str | None = None,
        expect: int | None = None,
    ) -> Commit:
        """See :meth:`hotconfig.Store.update`."""
        return await in_thread(partial(self._store.update, settings, values, by=by, reason=reason, expect=expect))

    async def delete(
        self, settings: Target, /, *keys: str, by: str, reason: str | None = None, expect: int | None = None
    ) -> Commit:
        """See :meth:`hotconfig.Store.delete`."""
        return await in_thread(partial(self._store.delete, settings, *keys, by=by, reason=reason, expect=expect))


class AsyncFace:
    """What blocks in :class:`hotconfig.HotConfig`, awaitable on asyncio and trio: ``hc.aio``.

    Each call runs on a worker thread and blocks no event loop. It takes as long as the blocking one and raises the
    same. Cancelling takes effect when the call has ended: no write is left half done.

    Attributes:
        store: ``hc.store``, awaitable.
    """

    def __init__(self, client: HotConfig) -> None:
        self._client = client
        self.store: AsyncStore = AsyncStore(client.store)

    async def start(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - it bounds a thread's work
        """See :meth:`hotconfig.HotConfig.start`."""
        await in_thread(partial(self._client.start, timeout))

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """See :meth:`hotconfig.HotConfig.close`. Finishes even when the caller is cancelled."""
        with anyio.CancelScope(shield=True):
            # A token of its own: those of anyio's may all be taken by calls that wait for a frozen server.
            await in_thread(partial(self._client.close, timeout), anyio.CapacityLimiter(1))

    async def bind(
        self,
        settings_class: type[M],
        *,
        pins: Mapping[str, Any] | None = None,
        on_invalid: Literal["raise", "defaults"] = "raise",
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> M:
        """See :meth:`hotconfig.HotConfig.bind`."""
        return await in_thread(
            partial(self._client.bind, settings_class, pins=pins, on_invalid=on_invalid, timeout=timeout)
        )

    async def wait_for(
        self,
        revision: int | Commit,
        timeout: float = 5.0,  # noqa: ASYNC109
        *,
        settings: Target | None = None,
    ) -> None:
        """See :meth:`hotconfig.HotConfig.wait_for`."""
        await in_thread(partial(self._client.wait_for, revision, timeout, settings=settings))


async def in_thread(call: Callable[[], T], limiter: anyio.CapacityLimiter | None = None) -> T:
    """Run a blocking call on a worker thread of anyio's. Once it has begun, cancelling takes effect when it has ended.

    anyio's shield holds against its own cancellation and trio's, not against ``task.cancel()`` of asyncio: hence a
    task of the call's own there.
    """
    async with limiter or anyio.to_thread.current_default_thread_limiter():
        run = partial(anyio.to_thread.run_sync, call, limiter=anyio.CapacityLimiter(1))
        if not _on_asyncio():
            return await run()
        await anyio.lowlevel.checkpoint_if_cancelled()
        task, cancelled = asyncio.ensure_future(run()), False
        with anyio.CancelScope(shield=True):
            while not task.done():
                try:
                    await asyncio.wait([task])
                except asyncio.CancelledError:
                    cancelled = True
        if cancelled and not task.cancelled():
            task.exception()  # has been looked at: asyncio does not complain of it
            raise asyncio.CancelledError
        return task.result()


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class EventStream(Generic[E]):
    """Events as they come, for ``async for``. Made in a running event loop.

    It listens from the moment it was made until it is closed (``async with``, or :meth:`aclose`), dropped, or the
    client closes. For one consumer; one that is slow loses the oldest of more than ``MAX_WAITING_EVENTS`` events.
    """

    def __init__(self, listen: Callable[[Callable[[E], object]], Callable[[], None]]) -> None:
        self._waiting: deque[E] = deque(maxlen=MAX_WAITING_EVENTS)
        self._arrived = anyio.Event()
        self._ended = self._waking = False
        self._soon = _call_soon()
        weakly = weakref.ref(self)

        def put(event: E) -> None:
            stream = weakly()
            if stream is not None:
                stream._put(event)  # noqa: SLF001

        self._stop = listen(put)
        weakref.finalize(self, self._stop)

    def end(self) -> None:
        """Let the iteration end after what has arrived. Any thread may call it."""
        self._ended = True
        self._stop()
        self._wake()

    def abandon(self) -> None:
        """In a forked child: the loop that would have to be woken is the parent's."""
        self._ended = True
        self._stop()

    async def aclose(self) -> None:
        """Stop listening."""
        self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            arrived = self._arrived
            await arrived.wait()
            self._arrived = anyio.Event()
        return self._waiting.popleft()

    def _put(self, event: E) -> None:
        self._waiting.append(event)
        self._wake()

    def _set(self) -> None:
        self._waking = False
        self._arrived.set()

    def _wake(self) -> None:
        if self._waking:
            return  # a loop that is blocked is asked once, not once per change
        self._waking = True
        try:
            self._soon(self._set)
        except RuntimeError:  # the loop has ended, and with it whoever waited; trio's error derives from it too
            self._stop()


class ChangeStream(EventStream[Changed[M]], Generic[M]):
    """Real changes of one class as they come: ``async for change in hc.changes(ai)`` gives :class:`hotconfig.Changed`.

    It listens from the moment it was made until it is closed (``async with``, or :meth:`aclose`), dropped, or the
    client closes. For one consumer; one that is slow loses the oldest of more than 1,024 events.
    """


class StateStream(EventStream[StateChanged]):
    """Changes of state as they come: ``async for change in hc.states()`` gives :class:`hotconfig.StateChanged`.

    For one consumer, as :class:`ChangeStream`.
    """


def _call_soon() -> Callable[[Callable[[], object]], object]:
    """How another thread wakes the running event loop without waiting for it. anyio has only the waiting kind."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio  # noqa: PLC0415 - only where it runs

        return trio.lowlevel.current_trio_token().run_sync_soon
