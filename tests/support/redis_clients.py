"""A reader and a writer. The reader hears of changes over Redis only, but for reading when it (re)subscribes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import hotconfig
from hotconfig import State, Timing
from tests.integration.settings import BY, AISettings, Recorder
from tests.support.waiting import eventually

NEVER_POLL = Timing(poll_s=600, reconcile_s=600)
PATIENCE_S = 30.0
"""For what takes a second or two, on a machine that has other things to do."""


@dataclass
class Pair:
    """Both clients and the reader's settings."""

    reader: hotconfig.HotConfig
    writer: hotconfig.HotConfig
    ai: AISettings
    written: AISettings
    told: Recorder[AISettings]
    _values: Iterator[int] = field(default_factory=itertools.count)

    def write(self) -> hotconfig.Commit:
        """Commit a value that was never there before."""
        return self.writer.store.set(self.written, threshold=next(self._values) / 10_000, by=BY)

    def shows(self, commit: hotconfig.Commit) -> bool:
        """Whether the reader has it."""
        return (self.reader.status().services["ai"].shown_revision or 0) >= commit.revision

    def hears(self) -> None:
        """Wait until a change that is written now comes over Redis: it is seen, and PostgreSQL is not read for it."""
        eventually(self._heard_one, PATIENCE_S, message="a change comes over Redis")

    def is_away(self) -> bool:
        return self.reader.status().redis == "away"

    def is_back(self) -> bool:
        return self.reader.status().state is State.READY

    def assert_nothing_invented(self) -> None:
        """Every change was told once and in order."""
        revisions = [change.revision for change in self.told.changes]
        assert revisions == sorted(set(revisions))

    def count(self, name: str) -> int:
        return int(str(self.reader.status().counters[name]))

    def _heard_one(self) -> bool:
        before = self.count("reads")
        commit = self.write()
        try:
            eventually(lambda: self.shows(commit), 0.5)
        except AssertionError:
            return False
        return commit.announced and self.count("reads") == before


@contextmanager
def pair(database_url: str, redis_url: str, writer_url: str | None = None) -> Iterator[Pair]:
    """Start both, and close them in the end."""
    with (
        hotconfig.HotConfig(database_url, redis_url, timing=NEVER_POLL, listen=False) as reader,
        hotconfig.HotConfig(database_url, writer_url or redis_url) as writer,
    ):
        ai, told = reader.bind(AISettings), Recorder[AISettings]()
        reader.on_change(ai, told)
        yield Pair(reader, writer, ai, writer.bind(AISettings), told)
