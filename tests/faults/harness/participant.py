"""One process that follows the settings, writes down what it sees, and perhaps writes settings too.

Follows the board (:mod:`tests.faults.harness.board`): it goes on until the board says what the end is, shows that, and
closes. Uses what hotconfig exports and nothing else, but for planted bugs.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil

import hotconfig
from tests.faults.harness.board import Board, Ending, Part
from tests.faults.harness.declared import SERVICE, Settings, State
from tests.faults.harness.lingering import linger
from tests.faults.harness.observations import (
    Born,
    Bound,
    Broke,
    Closed,
    Record,
    Settled,
    Shown,
    Stood,
    Told,
)
from tests.faults.harness.plants import PLANTS
from tests.faults.harness.writing import BareWriting, StoreWriting

TIMING: Final = hotconfig.Timing(reconcile_s=0.5, poll_s=0.2, stale_after_s=3.0)
"""The defaults' order, ten times as fast."""
PAUSE_S: Final = 0.002
LOOKS: Final = 20
"""How often a sampler looks between two pauses. Without pauses, nobody else would get anything done."""
LIFETIME_S: Final = 90.0
"""Nobody lives longer, whatever becomes of the harness."""

_POLL_S = 0.005


def live(part: Part) -> None:
    """The whole life of the process."""
    participant = _Participant(part)
    try:
        participant.run()
    except BaseException as error:
        participant.record.write(Broke(f"{type(error).__name__}: {error}"))
        raise


class _Participant:
    def __init__(self, part: Part) -> None:
        self.part = part
        self.board = Board(part.directory)
        self.record = Record(self.board.story_of(part.name))
        self.bound: State | None = None
        self.last_told: State | None = None
        self._sampling = threading.Event()
        self._threads: list[threading.Thread] = []
        self._deadline_s = time.monotonic() + LIFETIME_S
        self._pause = threading.Event()
        self._child: int | None = None

    def run(self) -> None:
        self._prepare()
        if not self.part.reads:
            BareWriting(self.part, self.record, self.board.is_quiet).run()
            gc.collect()
            self.record.write(Closed(*_resources(), _open()))
            return
        hc, settings = self._start()
        self._sample(hc, settings)
        if self.part.writes:
            self._spawn(StoreWriting(self.part, self.record, self.board.is_quiet, hc, settings).run)
        forks_at_s = None if self.part.forks_after_s is None else time.monotonic() + self.part.forks_after_s
        while (ending := self._ending()) is None and time.monotonic() < self._deadline_s:
            if forks_at_s is not None and time.monotonic() > forks_at_s:
                forks_at_s = None
                self._fork(hc, settings)
        if ending is not None:
            self._end(hc, settings, ending)
        if self._child is not None:
            os.waitpid(self._child, 0)

    def _ending(self) -> Ending | None:
        self._pause.wait(_POLL_S)
        return self.board.ending()

    def _prepare(self) -> None:
        for plant in self.part.plants:
            PLANTS[plant]()
        logging.raiseExceptions = False
        threading.excepthook = lambda args: self.record.write(Broke(f"a thread raised {args.exc_value!r}"))
        sys.unraisablehook = lambda args: self.record.write(Broke(f"unraisable: {args.exc_value!r}"))
        sys.setswitchinterval(1e-6)
        if self.part.forks_after_s is not None:
            os.register_at_fork(after_in_child=self._reborn)  # before hotconfig goes on in the child
        threading.settrace(linger)
        self.record.write(Born(os.getpid(), *_resources()))

    def _start(self) -> tuple[hotconfig.HotConfig, Settings]:
        """Start, also where PostgreSQL is away just now, or holds what readers reject."""
        while True:
            hc = hotconfig.HotConfig(
                self.part.database_url,
                self.part.redis_url,
                listen=self.part.listens,
                relay=self.part.relays,
                timing=TIMING,
            )
            try:
                hc.start()
                settings = hc.bind(Settings)
            except (hotconfig.DatabaseUnavailableError, hotconfig.InvalidStateError):
                hc.close()
                if time.monotonic() > self._deadline_s:
                    raise
                self._ending()
            else:
                hc.on_change(settings, self._told)
                self._write_bound(settings)
                return hc, settings

    def _told(self, change: hotconfig.Changed[Settings]) -> None:
        new = change.new.model_dump()
        told = Told(change.revision, change.old.model_dump(), new, sorted(change.keys), change.rewound)
        self.record.write(told)
        self.last_told = new

    def _write_bound(self, settings: Settings) -> None:
        self.bound = settings.model_dump()
        self.record.write(Bound(self.bound))

    # Sampling

    def _sample(self, hc: hotconfig.HotConfig, settings: Settings) -> None:
        self._spawn(lambda: self._dump(settings))
        self._spawn(lambda: self._stand(hc, settings))

    def _spawn(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target)
        self._threads.append(thread)
        thread.start()

    def _dump(self, settings: Settings) -> None:
        """Look at the live object, as an application does: without lock or barrier."""
        before: State | None = None
        while not self._sampling.wait(PAUSE_S):
            for _ in range(LOOKS):
                state = settings.model_dump()
                if state != before:
                    before = state
                    self.record.write(Shown(state))

    def _stand(self, hc: hotconfig.HotConfig, settings: Settings) -> None:
        before: object = None
        while not self._sampling.wait(4 * PAUSE_S):
            for _ in range(LOOKS // 5):
                first = hc.status()
                state = hotconfig.snapshot(settings).model_dump()
                last = hc.status()
                service = first.services[SERVICE]
                rewinds = int(str(last.counters["rewinds"]))
                stood = Stood(
                    (service.revision, service.digest),
                    service.shown_revision,
                    state,
                    last.services[SERVICE].revision,
                    rewinds,
                )
                if stood != before:
                    before = stood
                    self.record.write(stood)

    # Forking

    def _fork(self, hc: hotconfig.HotConfig, settings: Settings) -> None:
        """Go on in a child as well, without a word to hotconfig."""
        self._child = os.fork()
        if self._child:
            return
        code = 1
        try:
            self._live_as_child(hc, settings)
            code = 0
        except BaseException as error:  # noqa: BLE001 - the child must not go on with its parent's work
            self.record.write(Broke(f"{type(error).__name__}: {error}"))
        finally:
            os._exit(code)

    def _reborn(self) -> None:
        self.record.go_on_in(self.board.story_of(f"{self.part.name}'s child"))
        self.last_told = None
        self._sampling, self._pause = threading.Event(), threading.Event()
        self._threads = []

    def _live_as_child(self, hc: hotconfig.HotConfig, settings: Settings) -> None:
        self.record.write(Born(os.getpid(), *_resources()))
        self._write_bound(settings)
        self._sample(hc, settings)
        while (ending := self._ending()) is None and time.monotonic() < self._deadline_s:
            pass
        if ending is not None:
            self._settle(hc, settings, ending)
            self._sampling.set()
            hc.close()

    # The end

    def _end(self, hc: hotconfig.HotConfig, settings: Settings, ending: Ending) -> None:
        self._settle(hc, settings, ending)
        self._sampling.set()
        for thread in self._threads:
            thread.join()
        hc.close()
        del hc, settings
        gc.collect()
        self.record.write(Closed(*_resources(), _open()))

    def _settle(self, hc: hotconfig.HotConfig, settings: Settings, ending: Ending) -> None:
        """Wait until the end of the chain is shown and told, or the bound is over; write down how it is then."""
        begun_s = time.monotonic()
        # What is written down is what was judged: a moment later a connection may break that a fault had cut before.
        while not self._arrived(status := hc.status(), shown := settings.model_dump(), ending):
            if time.monotonic() - begun_s >= ending.bound_s:
                break
            self._pause.wait(_POLL_S)
        service = status.services[SERVICE]
        self.record.write(
            Settled(
                (service.revision, service.digest),
                service.shown_revision,
                shown,
                self.last_told,
                time.monotonic() - begun_s,
                status.state.value,
                _number(status.counters["rewinds"]),
                _number(status.counters["line_errors"]),
                status.listener_errors,
                status.listener_dropped,
            )
        )

    def _arrived(self, status: hotconfig.Status, shown: State, ending: Ending) -> bool:
        service = status.services[SERVICE]
        there = (service.revision, service.digest) == ending.head and service.shown_revision == ending.head[0]
        told = (self.last_told or self.bound) == shown == ending.state
        return there and told and status.state is hotconfig.State.READY


def _number(counted: Any) -> int:
    return int(counted)


def _open() -> list[str]:
    """What each descriptor leads to; sockets with their addresses."""
    sockets = {one.fd: f"{one.laddr} to {one.raddr}, {one.status}" for one in psutil.Process().net_connections("all")}
    links = {int(number): Path("/proc/self/fd", number) for number in os.listdir("/proc/self/fd")}  # noqa: PTH208
    return [sockets.get(number) or str(link.readlink()) for number, link in links.items() if link.is_symlink()]


def _resources() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it lists numbers
