"""What participants write down, and the files they write it into: one JSON line each, whole even under SIGKILL.

Must not know what is right or wrong. Lines of one thread stand in the order in which that thread made them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.harness.declared import State

HeadSeen = tuple[int, str]
"""Revision, and digest in hexadecimal, as ``status()`` shows them."""


@dataclass(frozen=True, slots=True)
class Born:
    """The process lives. ``threads`` and ``descriptors`` are what it has before it starts hotconfig."""

    pid: int
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Bound:
    """The settings are loaded, the listener is registered, and then this was shown."""

    state: State


@dataclass(frozen=True, slots=True)
class Shown:
    """A ``model_dump()`` of the live object that differs from the one before."""

    state: State


@dataclass(frozen=True, slots=True)
class Stood:
    """``status()``, then a snapshot, then ``status()`` again; written where anything differs from the time before."""

    head: HeadSeen
    shown: int
    state: State
    revision_after: int
    rewinds: int


@dataclass(frozen=True, slots=True)
class Told:
    """One call of the listener."""

    revision: int
    old: State
    new: State
    keys: Sequence[str]
    rewound: bool


@dataclass(frozen=True, slots=True)
class Wrote:
    """A write that was acknowledged."""

    stamp: str
    revision: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A write that, by the error, was not made."""

    stamp: str
    error: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A write of which nobody can say whether it was made."""

    stamp: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """The writer will not write any more."""


@dataclass(frozen=True, slots=True)
class Settled:
    """After healing: where the reader came to stand, how long that took, and the ``new`` that was told last."""

    head: HeadSeen
    shown: int
    state: State
    told: State | None
    within_s: float
    process_state: str
    rewinds: int
    line_errors: int
    listener_errors: int
    listener_dropped: int


@dataclass(frozen=True, slots=True)
class Closed:
    """hotconfig is closed. The same numbers as in :class:`Born`, and what the descriptors lead to."""

    threads: int
    descriptors: int
    open: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Broke:
    """Something raised that nothing may raise."""

    what: str


Observation = Born | Bound | Shown | Stood | Told | Wrote | Refused | Unknown | Quiet | Settled | Closed | Broke
_KINDS: Final = {
    kind.__name__: kind
    for kind in (Born, Bound, Shown, Stood, Told, Wrote, Refused, Unknown, Quiet, Settled, Closed, Broke)
}


@dataclass(frozen=True, slots=True)
class Story:
    """All that one process wrote down. ``killed``: by the schedule, so the end may be missing."""

    who: str
    observations: Sequence[Observation]
    killed: bool = False
    reads: bool = True


class Record:
    """The file of one process. Any thread may write; no lock, so that a forked child inherits none."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def write(self, observation: Observation) -> None:
        """Append one line, in one system call."""
        line = json.dumps([type(observation).__name__, asdict(observation)])
        os.write(self._fd, line.encode() + b"\n")

    def go_on_in(self, path: Path) -> None:
        """In a forked child: a file of its own, under the same descriptor."""
        fresh = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        os.dup2(fresh, self._fd, inheritable=False)
        os.close(fresh)


def read(path: Path) -> list[Observation]:
    """All whole lines of a file; a process that was killed may have left half of one."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [_observation(*json.loads(line)) for line in lines]


def _observation(kind: str, facts: dict[str, Any]) -> Observation:
    if "head" in facts:
        facts["head"] = tuple(facts["head"])
    made: Observation = _KINDS[kind](**facts)
    return made
