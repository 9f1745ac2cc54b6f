"""The board: a directory that harness and participants share. No pipes, so that descriptors can be counted.

``ending`` says where the chain ends and how long a reader may take to get there; ``quiet`` tells writers to stop.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.harness.declared import State
from tests.faults.harness.observations import HeadSeen

_ENDING = "ending"
_QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Part:
    """What one participant is to be."""

    name: str
    directory: str
    database_url: str
    redis_url: str | None
    seed: int
    listens: bool = True
    reads: bool = True
    writes: bool = False
    relays: bool = False
    forks_after_s: float | None = None
    plants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """The last commit, what it leaves to be shown, and the bound."""

    head: HeadSeen
    state: State
    bound_s: float


class Board:
    """Both sides' view of the directory."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def story_of(self, name: str) -> Path:
        """Where a process writes down what it sees."""
        return self._directory / f"{name}.jsonl"

    def stories(self) -> list[Path]:
        """All that was written down."""
        return sorted(self._directory.glob("*.jsonl"))

    def silence(self) -> None:
        """Tell writers to stop."""
        (self._directory / _QUIET).touch()

    def is_quiet(self) -> bool:
        """Whether writers are to stop."""
        return (self._directory / _QUIET).exists()

    def keep_history(self, histories: Iterable[Iterable[object]]) -> None:
        """Write down what the oracle judges by: those that rewinds took back, then the one that stands."""
        lines = "\n\n".join("\n".join(map(str, rows)) for rows in histories)
        (self._directory / "config_history.txt").write_text(f"{lines}\n")

    def end(self, ending: Ending) -> None:
        """Say where the chain ends."""
        draft = self._directory / "draft"
        draft.write_text(json.dumps([ending.head, ending.state, ending.bound_s]))
        draft.rename(self._directory / _ENDING)

    def ending(self) -> Ending | None:
        """Where the chain ends, once that is known.

        Raises:
            FileNotFoundError: the directory is gone, and the harness with it.
        """
        if not self._directory.exists():
            raise FileNotFoundError(self._directory)
        try:
            (revision, digest), state, bound_s = json.loads((self._directory / _ENDING).read_text())
        except FileNotFoundError:
            return None
        return Ending((revision, digest), state, bound_s)
