"""Carries out a schedule: begins each fault when it is due, and ends it again.

Owns how a fault is done. Must not know which faults are drawn (:mod:`tests.faults.harness.drawing`) or what is right.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import psycopg
import redis

from hotconfig.core.names import commits_channel, key_channel
from tests.faults.harness.board import Part
from tests.faults.harness.declared import SERVICE
from tests.faults.harness.drawing import Fault, Kind, Schedule
from tests.faults.harness.oracle import Row
from tests.faults.harness.rewinding import rewind
from tests.faults.harness.stage import Stage
from tests.support.fault_proxy import CLEAR, Cut, FaultProxy
from tests.support.servers import freeze, thaw

Undo = Callable[[], None]
_APPLICATIONS = ("hotconfig reader", "hotconfig writer", "hotconfig listener", "hotconfig%")
_MOST_REPLAYED: Final = 500


@dataclass(slots=True)
class Performance:
    """One schedule on the stage. ``lost`` are the histories that rewinds took back."""

    stage: Stage
    schedule: Schedule
    parts: dict[str, Part]
    heard: list[tuple[bytes, bytes]]
    lost: list[list[Row]] = field(default_factory=list[list[Row]])

    def run(self) -> None:
        """Carry it out; when this returns, all faults are over."""
        begun_s = time.monotonic()
        pause = threading.Event()
        order = itertools.count()
        due: list[tuple[float, int, Callable[[], Undo | None], float]] = [
            (fault.at_s, next(order), partial(self._begin, fault), fault.lasts_s) for fault in self.schedule.faults
        ]
        heapq.heapify(due)
        while due:
            at_s, _, act, lasts_s = heapq.heappop(due)
            pause.wait(max(0.0, begun_s + at_s - time.monotonic()))
            undo = act()
            if undo is not None:
                heapq.heappush(due, (at_s + lasts_s, next(order), _once(undo), 0.0))
        pause.wait(max(0.0, begun_s + self.schedule.duration_s - time.monotonic()))
        self.stage.clear_weather()

    def _begin(self, fault: Fault) -> Undo | None:
        with contextlib.suppress(psycopg.Error, redis.RedisError):  # its target is away already
            return ACTS[fault.kind](self, fault)
        return None

    # The ways

    def cut(self, fault: Fault) -> None:
        self._way(fault).cut()

    def half_close(self, fault: Fault) -> None:
        self._way(fault).half_close()

    def deaf(self, fault: Fault) -> Undo:
        way = self._way(fault)
        way.change(replace(way.weather, deaf=True))

        def undo() -> None:
            if fault.luck < 0.5:
                way.cut()
            way.change(replace(way.weather, deaf=False))

        return undo

    def refused(self, fault: Fault) -> Undo:
        way = self._way(fault)
        way.change(replace(way.weather, refusing=True))
        way.cut()
        return lambda: way.change(replace(way.weather, refusing=False))

    def slow(self, fault: Fault) -> Undo:
        way = self._way(fault)
        way.change(replace(way.weather, delay_s=0.005 + 0.1 * fault.luck))
        return lambda: way.change(replace(way.weather, delay_s=0.0))

    def harm_messages(self, fault: Fault) -> Undo:
        way = self.stage.redis_way
        share = 0.05 + 0.4 * fault.luck
        way.change(replace(way.weather, drop=share / 2, double=share, late=share))
        return lambda: way.change(replace(way.weather, drop=CLEAR.drop, double=CLEAR.double, late=CLEAR.late))

    def cut_before_request(self, _fault: Fault) -> None:
        self.stage.postgres_way.cut_next(Cut.BEFORE_REQUEST)

    def cut_after_answer(self, _fault: Fault) -> None:
        self.stage.postgres_way.cut_next(Cut.AFTER_ANSWER)

    # Redis

    def kill_redis(self, _fault: Fault) -> Undo:
        self.stage.valkey.kill()
        return self.stage.valkey.restart

    def freeze_redis(self, _fault: Fault) -> Undo:
        freeze(self.stage.valkey)
        return lambda: thaw(self.stage.valkey)

    def kill_clients(self, fault: Fault) -> None:
        with self.stage.redis() as client:
            for _ in range(1 + int(fault.luck * 10)):
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def forge(self, fault: Fault) -> None:
        rng = random.Random(fault.luck)
        signed = [data for channel, data in self.heard if channel == commits_channel(SERVICE).encode()]
        with self.stage.redis() as client:
            for _ in range(50):
                client.publish(*_forgery(rng, signed))

    def replay(self, fault: Fault) -> None:
        rng = random.Random(fault.luck)
        messages = list(self.heard)
        with self.stage.redis() as client:
            for channel, data in rng.sample(messages, min(len(messages), 20)) + messages[-_MOST_REPLAYED:]:
                client.publish(channel, data)

    # PostgreSQL

    def kill_postgres(self, _fault: Fault) -> Undo:
        self.stage.postgres.kill()
        return self.stage.postgres.restart

    def freeze_postgres(self, _fault: Fault) -> Undo:
        freeze(self.stage.postgres)
        return lambda: thaw(self.stage.postgres)

    def end_backends(self, fault: Fault) -> None:
        with self.stage.admin() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND application_name LIKE %s",
                [self.stage.database, _APPLICATIONS[int(fault.luck * len(_APPLICATIONS))]],
            )

    def lock_head(self, _fault: Fault) -> Undo:
        connection = self.stage.desk()
        connection.execute("SET lock_timeout = '500ms'")
        connection.execute("BEGIN")
        try:
            connection.execute("SELECT FROM hotconfig.heads WHERE service = %s FOR UPDATE", [SERVICE])
        except psycopg.Error:
            connection.close()
            raise
        return connection.close

    def rewind(self, fault: Fault) -> None:
        with self.stage.desk() as connection:
            lost = rewind(connection, SERVICE, 1 + int(fault.luck * 5))
        if lost is not None:
            self.lost.append(lost)

    # Participants

    def kill_reader(self, fault: Fault) -> None:
        self._replace(self._choose(fault, writes=False))

    def kill_writer(self, fault: Fault) -> None:
        self._replace(self._choose(fault, writes=True))

    def stop_reader(self, fault: Fault) -> Undo:
        return self._stop(self._choose(fault, writes=False))

    def stop_writer(self, fault: Fault) -> Undo:
        return self._stop(self._choose(fault, writes=True))

    def _choose(self, fault: Fault, *, writes: bool) -> str:
        names = sorted(name for name in self.stage.nursery.living if self.parts[name].writes is writes)
        return names[int(fault.luck * len(names))]

    def _replace(self, name: str) -> None:
        nursery = self.stage.nursery
        nursery.kill(name)
        del nursery.living[name]
        part = replace(self.parts[name], name=nursery.next_name(name), forks_after_s=None)
        self.parts[part.name] = part
        nursery.bear(part)

    def _stop(self, name: str) -> Undo:
        self.stage.nursery.signal(name, signal.SIGSTOP)
        return lambda: self.stage.nursery.signal(name, signal.SIGCONT)

    def _way(self, fault: Fault) -> FaultProxy:
        return self.stage.redis_way if fault.kind.name.startswith("REDIS") else self.stage.postgres_way


def _once(undo: Undo) -> Callable[[], None]:
    def act() -> None:
        with contextlib.suppress(psycopg.Error):
            undo()

    return act


def _forgery(rng: random.Random, signed: list[bytes]) -> tuple[str, bytes]:
    """A message that nobody who holds the key has sent."""
    if signed and rng.random() < 0.5:
        forged = bytearray(rng.choice(signed))
        forged[rng.randrange(len(forged))] ^= 1 << rng.randrange(8)
        return commits_channel(SERVICE), bytes(forged)
    return rng.choice(
        [
            (key_channel(SERVICE, "left"), str(rng.randint(-9, 9)).encode()),
            (key_channel(SERVICE, "right"), b""),
            (key_channel(SERVICE, "nobody_knows_it"), b"1"),
            (commits_channel(SERVICE), b"hotconfig1 1 " + b"0" * 64 + b' {"service": "faults"}'),
            (commits_channel(SERVICE), b"\xff\xfe\x00" * 50),
        ]
    )


ACTS: Final[dict[Kind, Callable[[Performance, Fault], Undo | None]]] = {
    Kind.REDIS_CUT: Performance.cut,
    Kind.REDIS_HALF_CLOSE: Performance.half_close,
    Kind.REDIS_DEAF: Performance.deaf,
    Kind.REDIS_REFUSED: Performance.refused,
    Kind.REDIS_SLOW: Performance.slow,
    Kind.REDIS_KILLED: Performance.kill_redis,
    Kind.REDIS_FROZEN: Performance.freeze_redis,
    Kind.REDIS_CLIENTS_KILLED: Performance.kill_clients,
    Kind.MESSAGES_HARMED: Performance.harm_messages,
    Kind.MESSAGES_FORGED: Performance.forge,
    Kind.MESSAGES_REPLAYED: Performance.replay,
    Kind.POSTGRES_CUT: Performance.cut,
    Kind.POSTGRES_CUT_BEFORE_REQUEST: Performance.cut_before_request,
    Kind.POSTGRES_CUT_AFTER_ANSWER: Performance.cut_after_answer,
    Kind.POSTGRES_DEAF: Performance.deaf,
    Kind.POSTGRES_REFUSED: Performance.refused,
    Kind.POSTGRES_SLOW: Performance.slow,
    Kind.POSTGRES_KILLED: Performance.kill_postgres,
    Kind.POSTGRES_FROZEN: Performance.freeze_postgres,
    Kind.POSTGRES_BACKENDS_ENDED: Performance.end_backends,
    Kind.POSTGRES_HEAD_LOCKED: Performance.lock_head,
    Kind.POSTGRES_REWOUND: Performance.rewind,
    Kind.READER_KILLED: Performance.kill_reader,
    Kind.READER_STOPPED: Performance.stop_reader,
    Kind.WRITER_KILLED: Performance.kill_writer,
    Kind.WRITER_STOPPED: Performance.stop_writer,
}
