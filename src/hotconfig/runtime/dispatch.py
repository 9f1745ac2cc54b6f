"""Calling listeners: each on a thread of its own, so that none delays another, let alone the line."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final

from hotconfig.core.errors import UsageError
from hotconfig.core.listeners import Changed
from hotconfig.core.status import StateChanged

logger = logging.getLogger("hotconfig.listeners")

MAX_QUEUED: Final = 1024
"""Events kept for one slow listener. Beyond, the oldest is dropped and counted."""

Told = Changed[Any] | StateChanged
_STATES: Final = "@states"
"""Under this name, which no service can have, listeners for states are kept."""


class Listener:
    """One registered callback. ``close()`` ends it; events that wait are not delivered any more."""

    def __init__(self, callback: Callable[[Any], object], keys: frozenset[str] | None) -> None:
        self.errors = 0
        self.dropped = 0
        self._callback = callback
        self._keys = keys
        self._closed = False
        self.renew()

    def renew(self) -> None:
        """Begin with an empty queue, a new lock and no thread: at first, and in a forked child."""
        self._queue: deque[Told] = deque()
        self._wakeup = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, event: Told) -> None:
        """Queue an event that this listener asked for. Never blocks. Called by the line."""
        if self._keys is not None and isinstance(event, Changed) and not (self._keys & event.keys):
            return
        with self._wakeup:
            if self._closed:
                return
            if len(self._queue) >= MAX_QUEUED:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(event)
            self._wakeup.notify()
            if self._thread is None:
                self._start()

    def close(self, *, states_too: bool = True) -> None:
        """Deliver nothing more, or nothing but states. Does not wait for a call under way."""
        with self._wakeup:
            self._closed = True
            self._queue = deque(event for event in self._queue if not states_too and isinstance(event, StateChanged))
            self._wakeup.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for a call under way; False if it did not end in time."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="hotconfig-listener", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread to be had now; the next event tries again
            self.errors += 1
            logger.exception("a listener could not be started")
        else:
            self._thread = thread

    def _run(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._callback(event)
            except BaseException as error:  # a user's listener may raise anything, sys.exit() too
                if isinstance(error, GeneratorExit):
                    raise
                logger.exception("a listener of %s", _raised_at(event))
                self.errors += 1

    def _next(self) -> Told | None:
        with self._wakeup:
            self._wakeup.wait_for(lambda: self._closed or self._queue)
            return self._queue.popleft() if self._queue else None


def _raised_at(event: Told) -> str:
    if isinstance(event, StateChanged):
        return f"states raised at {event.new.value}"
    return f"service {event.service!r} raised at revision {event.revision}"


class Dispatcher:
    """All listeners of one process, by service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Listener]] = {}
        self._past_errors = 0
        self._past_dropped = 0

    def add(self, service: str, callback: Callable[[Changed[Any]], object], keys: frozenset[str] | None) -> Listener:
        """Register a callback for all or some keys of a service."""
        listener = Listener(callback, keys)
        with self._lock:
            self._listeners.setdefault(service, []).append(listener)
        return listener

    def add_for_states(self, callback: Callable[[StateChanged], object]) -> Callable[[], None]:
        """Register a callback for states. Returns what unregisters it."""
        listener = Listener(callback, None)
        with self._lock:
            self._listeners.setdefault(_STATES, []).append(listener)
        return lambda: self.remove(_STATES, listener)

    def remove(self, service: str, listener: Listener) -> None:
        """Unregister; nothing happens if it was done already."""
        with self._lock:
            registered = self._listeners.get(service, [])
            if listener in registered:
                registered.remove(listener)
                self._past_errors += listener.errors
                self._past_dropped += listener.dropped
        listener.close()

    def tell(self, event: Changed[Any]) -> None:
        """Queue an event for everybody who wants it. Called by the line; copies under the lock, calls outside."""
        self._put(event.service, event)

    def tell_state(self, event: StateChanged) -> None:
        """The same for a change of state."""
        self._put(_STATES, event)

    def _put(self, kind: str, event: Told) -> None:
        with self._lock:
            listeners = tuple(self._listeners.get(kind, ()))
        for listener in listeners:
            listener.put(event)

    def counts(self) -> tuple[int, int]:
        """Listener calls that raised, and events dropped because a listener was too slow."""
        with self._lock:
            current = [listener for registered in self._listeners.values() for listener in registered]
            return (
                self._past_errors + sum(listener.errors for listener in current),
                self._past_dropped + sum(listener.dropped for listener in current),
            )

    def reborn(self) -> Dispatcher:
        """The same listeners with locks and threads of their own, for a forked child. Takes no lock."""
        dispatcher = Dispatcher()
        for service, registered in self._listeners.items():
            for listener in registered:
                listener.renew()
            dispatcher._listeners[service] = list(registered)
        return dispatcher

    def close(self) -> tuple[Listener, ...]:
        """Close all listeners and return them, to be joined. Who listens to states still hears of the end."""
        with self._lock:
            current = tuple(listener for registered in self._listeners.values() for listener in registered)
        for listener in current:
            listener.close(states_too=False)
        return current


def check_callback(callback: object, method: str, stream: str) -> None:
    """Raises ``UsageError`` for what no thread can call."""
    if not callable(callback) or iscoroutinefunction(callback):
        raise UsageError(f"{method} takes an ordinary function; in async code iterate over {stream}() instead")
