"""A background thread that can be started again should it die. Must not know what it does."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hotconfig.core.errors import RetryableError


class Worker:
    """One daemon thread at a time, which runs ``run`` until that returns.

    A thread that ended otherwise has died. Its owner and the threads beside it look after it with :meth:`mend`; what
    ``run`` works on has to be fit for being taken up again.
    """

    def __init__(self, run: Callable[[], None], name: str) -> None:
        self.name = name
        self._run = run
        self._thread: threading.Thread | None = None
        self._wanted = self._abandoned = False
        self._mending = threading.Lock()

    @property
    def started(self) -> bool:
        """Whether it ran at any time."""
        return self._thread is not None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on it."""
        return self._thread is threading.current_thread()

    def start(self) -> None:
        """Start it.

        Raises:
            RetryableError: the system has no thread to give, now.
        """
        with self._mending:
            self._start()

    def _start(self) -> None:
        before, self._wanted = self._thread, True
        # First: a Ctrl-C that comes while it starts must not make it a thread that nobody knows of.
        self._thread = thread = threading.Thread(target=self._work, name=self.name, daemon=True)
        try:
            start(thread)
        except RetryableError:
            self._thread = before
            raise

    def mend(self) -> bool:
        """Start it again if it died; True if it runs again. Any thread; never waits and never raises."""
        if not self._died() or not self._mending.acquire(blocking=False):
            return False
        try:
            if died := self._died():
                self._start()
        except RetryableError:
            return False  # whoever looks next tries again
        finally:
            self._mending.release()
        return died

    def _died(self) -> bool:
        # One that is being started is not dead: whoever starts it holds what :meth:`mend` asks for.
        return self._wanted and self._thread is not None and not self._thread.is_alive()

    def abandon(self) -> None:
        """In a forked child: it does not run there, and is never started again."""
        self._wanted, self._abandoned = False, True

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False if it did not come in time. A thread does not wait for itself."""
        if self._thread is None:
            return True
        if not self.is_current:
            try:
                self._thread.join(timeout_s)
            except RuntimeError:
                return True  # Ctrl-C came while it started
        return not self._thread.is_alive()

    def _work(self) -> None:
        self._run()
        self._wanted = False
        if self._abandoned:
            threading.Event().wait()  # a greenlet that came along into a child, where threading does not know it


def start(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        RetryableError: the system has no thread to give, now.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise RetryableError(f"the thread {thread.name!r} cannot be started: raise the limit of threads") from error


def ending() -> bool:
    """Whether the interpreter is on its way out: it has no new threads to give then, and nobody reads complaints."""
    return not threading.main_thread().is_alive()
