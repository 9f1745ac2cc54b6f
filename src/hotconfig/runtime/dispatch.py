"""Calling listeners: each on a thread of its own, so that none delays another, let alone the line."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final

from hotconfig.core.errors import NotStartedError, RetryableError, UsageError
from hotconfig.core.listeners import Changed, following_on
from hotconfig.core.status import StateChanged
from hotconfig.runtime.worker import Worker, ending

logger: Final = logging.getLogger("hotconfig.listeners")

MAX_QUEUED: Final = 1024
"""Events kept for one slow listener. Beyond, the oldest is dropped and counted."""

Told = Changed[Any] | StateChanged
STATES: Final = "@states"
"""Under this name, which no service can have, listeners for states are kept."""


class Listener:
    """One registered callback. ``close()`` ends it; events that wait are not delivered any more."""

    def __init__(self, callback: Callable[[Any], object], keys: frozenset[str] | None) -> None:
        self.errors: int = 0
        self.dropped: int = 0
        self._callback = callback
        self._keys = keys
        self._closed = self._resting = False
        self._queue: deque[Told] = deque()
        self._under_way: Told | None = None
        self._known: Any = None
        self._lock = threading.RLock()  # a finalizer may come in between
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._worker = Worker(self._run, "hotconfig-listener")

    # The bell, and no Condition: a dropped stream is closed by the garbage collector, which may run on this very
    # thread, between its last look and its wait. A notification would find nobody waiting then, and be lost.
    # By its module's name, which gevent may patch after this was imported.

    def renew(self) -> None:
        """In a forked child: a new lock, and what was queued when the parent forked. The line starts the thread.

        An event whose call was under way is told again: that call is cut off here. Unless it is what forked.
        """
        before, self._worker = self._worker, Worker(self._run, "hotconfig-listener")
        before.abandon()
        self._lock, self._bell = threading.RLock(), queue.SimpleQueue()
        if self._under_way is not None and not before.is_current:
            self._queue.appendleft(self._under_way)
        if self._queue and isinstance(newest := self._queue[-1], Changed):
            self._known = newest.new  # the parent may have been stopped between the two

    def mend(self) -> None:
        """Start the thread if events wait and none runs: it died, or could not be had before."""
        if not self._queue or self._worker.alive:
            return
        with self._lock:
            if not self._closed and not self._worker.alive:
                self._start()

    def put(self, event: Told) -> None:
        """Queue an event that this listener asked for. Never blocks. Called by the line."""
        following = following_on(self._known, event) if isinstance(event, Changed) else event
        with self._lock:
            if following is not None and self._wants(following) and not self._closed:
                self._queue_up(following)
            if isinstance(event, Changed):
                self._known = event.new

    def _wants(self, event: Told) -> bool:
        return self._keys is None or isinstance(event, StateChanged) or bool(self._keys & event.keys)

    def _queue_up(self, event: Told) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(event)
        self._resting = False
        self._ring()
        if not self._worker.alive:
            self._start()

    def close(self) -> None:
        """Deliver nothing more. Does not wait for a call under way."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._ring()

    def rest(self) -> None:
        """Deliver what is queued, and have no thread until there is more."""
        with self._lock:
            self._resting = True
            self._ring()

    def end(self) -> None:
        """Deliver what is queued, and nothing more."""
        with self._lock:
            self._closed = True
            self._ring()

    def join(self, timeout_s: float) -> bool:
        """Wait for a call under way; False if it did not end in time."""
        return self._worker.is_current or self._worker.join(timeout_s)

    def _start(self) -> None:
        try:
            self._worker.start()
        except RetryableError as error:  # the next event, or turn of the line, tries again
            if not ending():
                logger.error("a listener has to wait: %s", error)  # noqa: TRY400 - the traceback says no more
            self.errors += 1

    def _run(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._callback(event)
            except BaseException as error:  # a user's listener may raise anything, sys.exit() too
                if isinstance(error, GeneratorExit):
                    raise
                if self._closed and isinstance(error, NotStartedError):
                    continue  # it went on writing while the client was closed
                logger.exception("a listener of %s", _raised_at(event))
                self.errors += 1

    def _next(self) -> Told | None:
        while True:
            with self._lock:
                self._under_way = None
                if not self._worker.is_current or (self._closed and not self._queue):
                    return None  # a call that forked and returned in the child, where another thread goes on; or closed
                if self._queue:
                    self._under_way = self._queue.popleft()
                    return self._under_way
                if self._resting:
                    self._worker = Worker(self._run, "hotconfig-listener")  # this thread is nobody's from now on
                    return None
            self._bell.get()

    def _ring(self) -> None:
        if self._bell.empty():
            self._bell.put(None)


def _raised_at(event: Told) -> str:
    if isinstance(event, StateChanged):
        return f"states raised at {event.new.value}"
    return f"service {event.service!r} raised at revision {event.revision}"


class Dispatcher:
    """All listeners of one process, by service."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer or a signal handler may come in between
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._past_errors = 0
        self._past_dropped = 0
        self._closed = self._ended = False

    def add(self, service: str, callback: Callable[[Any], object], keys: frozenset[str] | None) -> Listener:
        """Register a callback for all or some keys of a service, or for ``STATES``; after the end it hears nothing."""
        listener = Listener(callback, keys)
        with self._lock:
            self._listeners[service] = (*self._listeners.get(service, ()), listener)
            if self._ended or (self._closed and service != STATES):
                listener.close()
        return listener

    def remove(self, service: str, listener: Listener) -> None:
        """Unregister; nothing happens if it was done already."""
        with self._lock:
            registered = self._listeners.get(service, ())
            if listener in registered:
                self._listeners[service] = tuple(each for each in registered if each is not listener)
                self._past_errors += listener.errors
                self._past_dropped += listener.dropped
        listener.close()

    def tell(self, event: Changed[Any]) -> None:
        """Queue an event for everybody who wants it. Called by the line, which takes no lock here."""
        self._put(event.service, event)

    def tell_state(self, event: StateChanged) -> None:
        """The same for a change of state."""
        self._put(STATES, event)

    def _put(self, kind: str, event: Told) -> None:
        for listener in self._listeners.get(kind, ()):
            listener.put(event)

    def counts(self) -> tuple[int, int]:
        """Listener calls that raised, and events dropped because a listener was too slow."""
        with self._lock:
            current = [listener for registered in self._listeners.values() for listener in registered]
            return (
                self._past_errors + sum(listener.errors for listener in current),
                self._past_dropped + sum(listener.dropped for listener in current),
            )

    def mend(self) -> None:
        """Start again what threads died, or could not be had."""
        for registered in tuple(self._listeners.values()):
            for listener in registered:
                listener.mend()

    def reborn(self) -> Dispatcher:
        """The same listeners with locks and threads of their own, for a forked child. Takes no lock."""
        dispatcher = Dispatcher()
        dispatcher._listeners = dict(self._listeners)
        dispatcher._closed, dispatcher._ended = self._closed, self._ended
        for registered in self._listeners.values():
            for listener in registered:
                listener.renew()
        return dispatcher

    def rest(self) -> None:
        """Leave no thread behind that waits for events, until there are some again."""
        with self._lock:
            current = [listener for registered in self._listeners.values() for listener in registered]
        for listener in current:
            listener.rest()

    def close(self) -> tuple[Listener, ...]:
        """Close all listeners but those to states, and return all, to be joined."""
        with self._lock:
            self._closed = True
            current = tuple(listener for registered in self._listeners.values() for listener in registered)
            to_states = self._listeners.get(STATES, ())
        for listener in current:
            if listener not in to_states:
                listener.close()
        return current

    def end_states(self) -> None:
        """Close the listeners to states, too; they still hear of the end."""
        with self._lock:
            self._ended = True
            to_states = self._listeners.get(STATES, ())
        for listener in to_states:
            listener.end()


def check_callback(callback: object, method: str, stream: str) -> None:
    """Raises ``UsageError`` for what no thread can call."""
    if not callable(callback) or iscoroutinefunction(callback):
        raise UsageError(f"{method} takes an ordinary function; in async code iterate over {stream}() instead")
