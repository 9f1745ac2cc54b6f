"""The same for async callers: a thin face over the synchronous code, on asyncio and trio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
from pydantic import BaseModel

from hotconfig.core.listeners import Changed
from hotconfig.runtime.publishing import Commit
from hotconfig.runtime.store import Store, Target

if TYPE_CHECKING:
    from hotconfig.runtime.client import HotConfig

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

MAX_WAITING_EVENTS: Final = 1024
"""Events kept for a slow consumer of ``changes()``. Beyond, the oldest is dropped."""


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
    """What blocks in :class:`hotconfig.HotConfig`, awaitable."""

    def __init__(self, client: HotConfig) -> None:
        self._client = client
        self.store = AsyncStore(client.store)

    async def start(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - it bounds a thread's work
        """See :meth:`hotconfig.HotConfig.start`."""
        await in_thread(partial(self._client.start, timeout))

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """See :meth:`hotconfig.HotConfig.close`. Finishes even when the caller is cancelled."""
        with anyio.CancelScope(shield=True):
            await in_thread(partial(self._client.close, timeout))

    async def bind(
        self,
        settings_class: type[M],
        *,
        pins: Mapping[str, Any] | None = None,
        on_invalid: str = "raise",
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> M:
        """See :meth:`hotconfig.HotConfig.bind`."""
        return await in_thread(
            partial(self._client.bind, settings_class, pins=pins, on_invalid=on_invalid, timeout=timeout)  # type: ignore[arg-type]
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


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call on a worker thread of anyio's."""
    return await anyio.to_thread.run_sync(call)


async def events(client: HotConfig, settings: Any, key: str | None) -> AsyncIterator[Changed[Any]]:
    """The events of one class, as they come. Ends when the client is closed."""
    waiting: deque[Changed[Any]] = deque(maxlen=MAX_WAITING_EVENTS)
    arrived = anyio.Event()
    soon = _call_soon()

    def wake() -> None:
        arrived.set()

    def put(event: Changed[Any]) -> None:
        waiting.append(event)
        try:
            soon(wake)
        except RuntimeError:  # the loop has ended, and with it whoever waited; trio's error derives from it too
            stop()

    stop = client.on_change(settings, put, key=key)
    try:
        while True:
            await arrived.wait()
            arrived = anyio.Event()
            while waiting:
                yield waiting.popleft()
    finally:
        stop()


def _call_soon() -> Callable[[Callable[[], object]], object]:
    """How another thread wakes the running event loop without waiting for it. anyio has only the waiting kind."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio  # noqa: PLC0415 - only where it runs

        return trio.lowlevel.current_trio_token().run_sync_soon
