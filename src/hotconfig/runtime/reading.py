"""The thread that reads PostgreSQL for the line: one read at a time, so that a slow server delays no message."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from hotconfig.core.chain import Head
from hotconfig.core.errors import HotConfigError
from hotconfig.core.ports import Answer, Reader
from hotconfig.runtime.worker import Worker

logger: Final = logging.getLogger("hotconfig.reading")

Registration = tuple[str, str, str]
"""service, schema hash, JSON Schema"""

WATCH_S: Final = 1.0
"""Between two looks at whether the line still runs."""


class ReadingThread:
    """Carries out one request at a time and hands the result to ``deliver``, from its own thread.

    Nobody but the line asks, and it does not ask again before it was answered. While idle it calls ``watch`` about
    once a second.
    """

    def __init__(
        self, reader: Reader, deliver: Callable[[Answer | HotConfigError], None], watch: Callable[[], object]
    ) -> None:
        self._reader = reader
        self._deliver = deliver
        self._watch = watch
        self._wakeup = threading.Condition()
        self._request: dict[str, Head] | None = None
        self._registrations: list[Registration] = []
        self._stopping = self._abandoned = False
        self.worker: Worker = Worker(self._run, "hotconfig-reading")

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

    def abandon(self) -> None:
        """In a forked child: let go of the connection without a word."""
        self._abandoned = self._stopping = True
        self.worker.abandon()
        self._reader.abandon()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            answer = self._carry_out(job)
            if answer is not None:
                self._deliver(answer)
        if not self._abandoned:
            self._reader.close()

    def _next(self) -> dict[str, Head] | Registration | None:
        while not self._wait():
            self._watch()
        with self._wakeup:
            if self._request is not None and not self._stopping:
                request, self._request = self._request, None
                return request
            # Also on the way out: a program that lives for a moment leaves its schema behind all the same.
            return self._registrations.pop(0) if self._registrations else None

    def _wait(self) -> bool:
        """Wait for something to do; False when there was nothing for some time."""
        with self._wakeup:
            return self._wakeup.wait_for(
                lambda: self._stopping or self._request is not None or bool(self._registrations), WATCH_S
            )

    def _carry_out(self, job: dict[str, Head] | Registration) -> Answer | HotConfigError | None:
        try:
            if isinstance(job, dict):
                return self._reader.load(job)
            self._register(job)
        except HotConfigError as error:
            return error
        except BaseException as error:  # outermost loop of the worker: a lost answer would stall the line
            if isinstance(error, GeneratorExit):
                raise
            logger.exception("reading PostgreSQL failed in an unforeseen way")
            return HotConfigError(f"reading PostgreSQL failed: {type(error).__name__}")
        return None

    def _register(self, registration: Registration) -> None:
        service, schema_hash, json_schema = registration
        try:
            self._reader.register(service, schema_hash, json_schema)
        except HotConfigError as error:
            # Validation when writing from the command line suffers, nothing else does.
            logger.warning("service %r: its JSON Schema was not registered: %s", service, error)
