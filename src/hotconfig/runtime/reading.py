"""The thread that reads PostgreSQL for the line: one read at a time, so that a slow server delays no message."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from hotconfig.core.chain import Head
from hotconfig.core.errors import HotConfigError
from hotconfig.core.ports import Answer, Reader

logger = logging.getLogger("hotconfig.reading")

Registration = tuple[str, str, str]
"""service, schema hash, JSON Schema"""


class ReadingThread:
    """Carries out one request at a time and hands the result to ``deliver``, from its own thread.

    Nobody but the line asks, and it does not ask again before it was answered.
    """

    def __init__(self, reader: Reader, deliver: Callable[[Answer | HotConfigError], None]) -> None:
        self._reader = reader
        self._deliver = deliver
        self._wakeup = threading.Condition()
        self._request: dict[str, Head] | None = None
        self._registrations: list[Registration] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="hotconfig-reading", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def ask(self, asked: Mapping[str, Head]) -> None:
        """Read these services. The answer is delivered."""
        with self._wakeup:
            self._request = dict(asked)
            self._wakeup.notify()

    def register(self, registration: Registration) -> None:
        """Store a JSON Schema when there is nothing else to do."""
        with self._wakeup:
            self._registrations.append(registration)
            self._wakeup.notify()

    def stop(self) -> None:
        """Let the thread end after what it is doing. Does not wait."""
        with self._wakeup:
            self._stopping = True
            self._wakeup.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False if it did not come in time."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """In a forked child: let go of the connection without a word."""
        self._reader.abandon()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if isinstance(job, dict):
                self._deliver(self._load(job))
            else:
                self._register(job)
        self._reader.close()

    def _next(self) -> dict[str, Head] | Registration | None:
        with self._wakeup:
            self._wakeup.wait_for(lambda: self._stopping or self._request is not None or self._registrations)
            if self._request is not None and not self._stopping:
                request, self._request = self._request, None
                return request
            # Also on the way out: a program that lives for a moment leaves its schema behind all the same.
            return self._registrations.pop(0) if self._registrations else None

    def _load(self, asked: Mapping[str, Head]) -> Answer | HotConfigError:
        try:
            return self._reader.load(asked)
        except HotConfigError as error:
            return error
        except BaseException as error:  # outermost loop of the worker: a lost answer would stall the line
            if isinstance(error, GeneratorExit):
                raise
            logger.exception("reading PostgreSQL failed in an unforeseen way")
            return HotConfigError(f"reading PostgreSQL failed: {type(error).__name__}")

    def _register(self, registration: Registration) -> None:
        service, schema_hash, json_schema = registration
        try:
            self._reader.register(service, schema_hash, json_schema)
        except HotConfigError as error:
            # Validation when writing from the command line suffers, nothing else does.
            logger.warning("service %r: its JSON Schema was not registered: %s", service, error)
