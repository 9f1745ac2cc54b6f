"""Draws a schedule from a seed: which faults, when, for how long. Pure, and the same for the same seed everywhere.

Must not know how a fault is carried out; see :mod:`tests.faults.harness.performing`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What can happen, and to what. Two faults of one target do not overlap."""

    REDIS_CUT = "every connection to Redis is reset"
    REDIS_HALF_CLOSE = "Redis's side of every connection is closed, the other stays open"
    REDIS_DEAF = "connections to Redis stand and bring nothing; then they bring all of it, or are reset"
    REDIS_REFUSED = "connections to Redis are reset, and new ones too"
    REDIS_SLOW = "everything to and from Redis is late"
    REDIS_KILLED = "Redis is killed, and started again"
    REDIS_FROZEN = "Redis is stopped, and goes on"
    REDIS_CLIENTS_KILLED = "CLIENT KILL TYPE pubsub, several times"
    MESSAGES_HARMED = "published messages are lost, doubled and late"
    MESSAGES_FORGED = "forged and foreign messages are published"
    MESSAGES_REPLAYED = "old messages are published again"
    POSTGRES_CUT = "every connection to PostgreSQL is reset"
    POSTGRES_CUT_BEFORE_REQUEST = "a connection is reset instead of passing on a request"
    POSTGRES_CUT_AFTER_ANSWER = "a connection is reset instead of passing on an answer"
    POSTGRES_DEAF = "connections to PostgreSQL stand and bring nothing; then they bring all of it, or are reset"
    POSTGRES_REFUSED = "connections to PostgreSQL are reset, and new ones too"
    POSTGRES_SLOW = "everything to and from PostgreSQL is late"
    POSTGRES_KILLED = "PostgreSQL is killed, and started again"
    POSTGRES_FROZEN = "PostgreSQL is stopped, and goes on"
    POSTGRES_BACKENDS_ENDED = "pg_terminate_backend for some of hotconfig's connections"
    POSTGRES_HEAD_LOCKED = "the head row is locked, then nothing is changed"
    POSTGRES_REWOUND = "PostgreSQL loses its newest commits"
    READER_KILLED = "a reader is killed, and another one started"
    READER_STOPPED = "a reader is stopped, and goes on"
    WRITER_KILLED = "a writer is killed, and another one started"
    WRITER_STOPPED = "a writer is stopped, and goes on"


class Target(Enum):
    """What a fault is about."""

    REDIS_WAY = "the way to Redis"
    REDIS = "Redis"
    MESSAGES = "what is published"
    POSTGRES_WAY = "the way to PostgreSQL"
    POSTGRES = "PostgreSQL"
    TRUTH = "the tables"
    READERS = "readers"
    WRITERS = "writers"


@dataclass(frozen=True, slots=True)
class _Habit:
    target: Target
    weight: float
    lasts_s: tuple[float, float] = (0.0, 0.0)


_HABITS = {
    Kind.REDIS_CUT: _Habit(Target.REDIS_WAY, 2),
    Kind.REDIS_HALF_CLOSE: _Habit(Target.REDIS_WAY, 1),
    Kind.REDIS_DEAF: _Habit(Target.REDIS_WAY, 2, (0.2, 1.5)),
    Kind.REDIS_REFUSED: _Habit(Target.REDIS_WAY, 2, (0.1, 0.8)),
    Kind.REDIS_SLOW: _Habit(Target.REDIS_WAY, 1, (0.2, 0.8)),
    Kind.REDIS_KILLED: _Habit(Target.REDIS, 2, (0.0, 0.6)),
    Kind.REDIS_FROZEN: _Habit(Target.REDIS, 1.5, (0.2, 1.4)),
    Kind.REDIS_CLIENTS_KILLED: _Habit(Target.REDIS, 2),
    Kind.MESSAGES_HARMED: _Habit(Target.MESSAGES, 6, (0.5, 2.0)),
    Kind.MESSAGES_FORGED: _Habit(Target.REDIS, 2),
    Kind.MESSAGES_REPLAYED: _Habit(Target.REDIS, 3),
    Kind.POSTGRES_CUT: _Habit(Target.POSTGRES_WAY, 2),
    Kind.POSTGRES_CUT_BEFORE_REQUEST: _Habit(Target.POSTGRES_WAY, 1),
    Kind.POSTGRES_CUT_AFTER_ANSWER: _Habit(Target.POSTGRES_WAY, 2),
    Kind.POSTGRES_DEAF: _Habit(Target.POSTGRES_WAY, 1.5, (0.2, 0.8)),
    Kind.POSTGRES_REFUSED: _Habit(Target.POSTGRES_WAY, 1.5, (0.1, 0.6)),
    Kind.POSTGRES_SLOW: _Habit(Target.POSTGRES_WAY, 1, (0.2, 0.8)),
    Kind.POSTGRES_KILLED: _Habit(Target.POSTGRES, 0.7, (0.0, 0.3)),
    Kind.POSTGRES_FROZEN: _Habit(Target.POSTGRES, 1, (0.2, 0.8)),
    Kind.POSTGRES_BACKENDS_ENDED: _Habit(Target.POSTGRES, 2),
    Kind.POSTGRES_HEAD_LOCKED: _Habit(Target.TRUTH, 1.5, (0.1, 0.5)),
    Kind.POSTGRES_REWOUND: _Habit(Target.TRUTH, 1),
    Kind.READER_KILLED: _Habit(Target.READERS, 1.5),
    Kind.READER_STOPPED: _Habit(Target.READERS, 1.5, (0.2, 1.0)),
    Kind.WRITER_KILLED: _Habit(Target.WRITERS, 1.5),
    Kind.WRITER_STOPPED: _Habit(Target.WRITERS, 1, (0.2, 0.8)),
}

FEWEST, MOST = 4, 9
_APART_S = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``luck`` is a number from 0 to 1 for whatever else is to be decided about it."""

    kind: Kind
    at_s: float
    lasts_s: float
    luck: float

    @property
    def target(self) -> Target:
        return _HABITS[self.kind].target

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.2f} s" if self.lasts_s else ""
        return f"{self.at_s:5.2f} s  {self.kind.name}{lasts}: {self.kind.value}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens within ``duration_s``. All that lasts is over by then."""

    seed: int
    duration_s: float
    faults: tuple[Fault, ...]
    second_writer_announces: bool
    relays: bool

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, {self.duration_s:g} s", *map(str, self.faults)])


def draw(seed: int, duration_s: float) -> Schedule:
    """The schedule of a seed."""
    rng = random.Random(f"hotconfig faults {seed}")
    free_s = dict.fromkeys(Target, 0.0)
    faults: list[Fault] = []
    for at_s in sorted(rng.uniform(0.0, duration_s) for _ in range(rng.randint(FEWEST, MOST))):
        open_kinds = [kind for kind in Kind if free_s[_HABITS[kind].target] <= at_s]
        if not open_kinds:
            continue
        kind = rng.choices(open_kinds, [_HABITS[kind].weight for kind in open_kinds])[0]
        lasts_s = min(rng.uniform(*_HABITS[kind].lasts_s), duration_s - at_s)
        faults.append(Fault(kind, round(at_s, 3), round(lasts_s, 3), rng.random()))
        free_s[_HABITS[kind].target] = at_s + lasts_s + _APART_S
    return Schedule(seed, duration_s, tuple(faults), rng.random() < 0.75, rng.random() < 0.5)
