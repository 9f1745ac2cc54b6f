"""Keeping last-known-good files: what each service shows, written by a thread of its own.

Owns when a file is written: soon after a change, many changes together, at least hourly, and at the end. Must not know
the format (:mod:`hotconfig.core.lastgood`) or how a file is replaced (:mod:`hotconfig.files`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

from hotconfig import files
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Head
from hotconfig.core.errors import HotConfigError, LastKnownGoodError
from hotconfig.core.followed import Followed
from hotconfig.core.lastgood import (
    REFRESH,
    Origins,
    Record,
    check_origins,
    fit_to_keep,
    parse,
    render,
    supersedes,
)
from hotconfig.runtime.bindings import schema_of
from hotconfig.runtime.worker import start

logger: Final = logging.getLogger("hotconfig.keeping")

COALESCE_S: Final = 1.0
"""Between two writes, at least: a storm of changes costs one file per second."""
RETRY_S: Final = 30.0
"""After a write that failed: a full disk is not filled any less by asking often."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The directory with one file per service, of one database. Blocks on the disk."""

    directory: Path
    schema: str
    database: str

    def path(self, service: str) -> Path:
        """Where a service's file lies. A service's name is fit for a file name."""
        return self.directory / f"{service}.lastgood"

    def origins(self, service: str) -> Origins:
        """What a file of this shelf has to say of itself."""
        return Origins(service, self.schema, self.database)

    def read(self, service: str) -> Record:
        """Raises ``LastKnownGoodError`` for a file that is not to be believed."""
        path = self.path(service)
        record = parse(files.read(path), path)
        check_origins(record, self.origins(service), path)
        return record

    def write(self, record: Record) -> bool:
        """False: a sibling has kept as much already. Raises ``LastKnownGoodError``."""
        service = record.origins.service
        try:
            if not supersedes(record, self.read(service), record.written_at):
                return False
        except LastKnownGoodError:
            logger.debug("service %r: there is no last-known-good file worth sparing", service)
        files.replace(self.path(service), render(record))
        return True


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the line showed at some moment."""

    blueprint: Blueprint[Any]
    head: Head
    texts: Mapping[str, str | None]
    confirmed_at: datetime
    offered_at_s: float


class Keeper:
    """Takes what the line shows, and writes it behind the line's back."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.saves: int = 0
        self.save_failures: int = 0
        self._offered: dict[str, _Kept] = {}
        self._pending: dict[str, _Kept] = {}
        self._failing = False
        self._stopping = False
        self._wakeup = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="hotconfig-keeping", daemon=True)

    # Called by the line's thread -----------------------------------------------------------------------------------

    def look(self, followed: Mapping[str, Followed[Any]], verified_at_s: float | None) -> None:
        """Take what is new. Never waits, does no I/O."""
        now_s = monotonic()
        for service, each in followed.items():
            if each.head is None or each.head is not each.shown or each.problems or each.stand_in is not None:
                continue  # not good, or not PostgreSQL's word
            before = self._offered.get(service)
            if before is None or before.head is not each.head:
                self._offer(service, _Kept(each.blueprint, each.head, each.texts, datetime.now(UTC), now_s))
            elif verified_at_s is not None and verified_at_s - before.offered_at_s >= REFRESH.total_seconds():
                confirmed_at = datetime.now(UTC) - timedelta(seconds=now_s - verified_at_s)
                self._offer(service, _Kept(each.blueprint, each.head, each.texts, confirmed_at, now_s))

    def _offer(self, service: str, kept: _Kept) -> None:
        self._offered[service] = kept
        with self._wakeup:
            self._pending[service] = kept
            self._wakeup.notify()

    # Called by any thread ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread.

        Raises:
            RetryableError: the system has no thread to give, now.
        """
        start(self._thread)

    def stop(self) -> None:
        """Let the thread write what is pending, and end. Does not wait."""
        with self._wakeup:
            self._stopping = True
            self._wakeup.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False if it did not come in time."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def counted(self) -> dict[str, object]:
        """How often files were written, and could not be."""
        return {"saves": self.saves, "save_failures": self.save_failures}

    # The thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        files.sweep(self.shelf.directory)
        while pending := self._next():
            for service, kept in pending.items():
                self._save(service, kept)
            with self._wakeup:
                self._wakeup.wait_for(lambda: self._stopping, RETRY_S if self._failing else COALESCE_S)

    def _next(self) -> dict[str, _Kept]:
        with self._wakeup:
            self._wakeup.wait_for(lambda: self._stopping or self._pending)
            pending, self._pending = self._pending, {}
            return pending

    def _save(self, service: str, kept: _Kept) -> None:
        try:
            self.saves += self.shelf.write(self._record(service, kept))
        except HotConfigError as error:
            self.save_failures += 1
            logger.log(logging.DEBUG if self._failing else logging.ERROR, "service %r: %s", service, error)
            self._failing = True
            with self._wakeup:
                if not self._stopping:
                    self._pending.setdefault(service, kept)
        except BaseException as error:  # outermost loop of the worker: one odd class must not end the others' files
            if isinstance(error, GeneratorExit):
                raise
            self.save_failures += 1
            logger.exception("service %r: its last-known-good file was not written, in an unforeseen way", service)
        else:
            self._failing = False

    def _record(self, service: str, kept: _Kept) -> Record:
        blueprint = kept.blueprint
        private = blueprint.sensitive | blueprint.rules.secret_keys
        texts, withheld = fit_to_keep(kept.texts, blueprint.keys, private)
        schema_hash, _ = schema_of(blueprint)
        now = datetime.now(UTC)
        return Record(self.shelf.origins(service), schema_hash, kept.head, texts, withheld, kept.confirmed_at, now)
