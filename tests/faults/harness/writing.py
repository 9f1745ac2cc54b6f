"""What writers write: commits of several keys, deletions, guesses at the revision, and SQL by hand.

Every write bears a stamp of its own, so that the oracle can tell whether it was made, and how often.
"""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

import psycopg

import hotconfig
from hotconfig.core.chain import Change
from hotconfig.postgres.truth import PostgresWriter
from hotconfig.redis.publish import RedisAnnouncer
from hotconfig.runtime.publishing import Publisher
from tests.faults.harness.board import Part
from tests.faults.harness.declared import SERVICE, Settings
from tests.faults.harness.observations import Quiet, Record, Refused, Unknown, Wrote

_PUT: Final = (
    "INSERT INTO hotconfig.service_configs (service, key, value) VALUES (%s, %s, %s) "
    "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value"
)
_BY: Final = "writer@acme.example"
_PAUSE_S: Final = (0.0, 0.03)
_BURST: Final = 12
_PAUSE_AFTER_BURST_S: Final = (0.05, 0.25)

Values = Mapping[str, int | str | None]


class Writing(ABC):
    """Writes until it is told to stop."""

    def __init__(self, part: Part, record: Record, is_quiet: Callable[[], bool]) -> None:
        self.part = part
        self.rng = random.Random(f"{part.seed} {part.name}")
        self._record = record
        self._is_quiet = is_quiet
        self._count = 0
        self._pause = threading.Event()

    def run(self) -> None:
        """Write, at random."""
        while not self._is_quiet():
            self.write_something()
        self._record.write(Quiet())

    @abstractmethod
    def write_something(self) -> None:
        """Make one write or a few, and pause."""

    @abstractmethod
    def commit(self, values: Values, expect: int | None) -> int:
        """Write in one commit, and return its revision. Raises hotconfig's errors."""

    def rest(self, bounds_s: tuple[float, float]) -> None:
        """Pause for a while."""
        self._pause.wait(self.rng.uniform(*bounds_s))

    def stamp(self) -> str:
        """A word that no other write bears."""
        self._count += 1
        return f"{self.part.name} {self._count}"

    def pair(self) -> dict[str, int | str | None]:
        """What every commit changes: both ends alike, and something in between."""
        number = self.rng.randint(1, 1_000_000)
        middle = {f"middle_{place}": number for place in range(1, 9) if self.rng.random() < 0.2}
        return {"left": number, "right": number, **middle}

    def write(self, values: Values, expect: int | None = None) -> None:
        """Commit with a stamp, and write down what came of it."""
        stamp = self.stamp()
        try:
            revision = self.commit({**values, "stamp": stamp}, expect)
        except hotconfig.OutcomeUnknownError:
            self._record.write(Unknown(stamp))
        except hotconfig.HotConfigError as error:
            self._record.write(Refused(stamp, type(error).__name__))
            self.refused(error)
        else:
            self._record.write(Wrote(stamp, revision))

    def refused(self, error: hotconfig.HotConfigError) -> None:
        """What to do about it: nothing."""
        del error


class StoreWriting(Writing):
    """Writes as an application does: validated, against what this process shows."""

    def __init__(
        self, part: Part, record: Record, is_quiet: Callable[[], bool], hc: hotconfig.HotConfig, settings: Settings
    ) -> None:
        super().__init__(part, record, is_quiet)
        self._hc = hc
        self._settings = settings

    def write_something(self) -> None:
        """One step of many kinds."""
        steps = (self._update, self._note, self._delete, self._guess, self._by_hand, self._reject)
        self.rng.choices(steps, weights=(50, 10, 10, 15, 10, 4))[0]()
        self.rest(_PAUSE_S)

    def commit(self, values: Values, expect: int | None) -> int:
        """Through the store."""
        return self._hc.store.update(self._settings, values, by=_BY, expect=expect).revision

    def refused(self, error: hotconfig.HotConfigError) -> None:
        """Mend what somebody wrote by hand."""
        if isinstance(error, hotconfig.InvalidValueError):
            self._quietly(lambda: self._hc.store.update(self._settings, {"low": 0, "high": 100, "middle_3": 0}, by=_BY))

    def _update(self) -> None:
        if self.rng.random() < 0.3:
            low = self.rng.randint(0, 50)
            self.write({**self.pair(), "low": low, "high": low + self.rng.randint(0, 50)})
        else:
            self.write(self.pair())

    def _note(self) -> None:
        self.write({**self.pair(), "note": self.rng.choice([None, "", "a note", "0.90", "ü" * 300])})

    def _guess(self) -> None:
        """Expect a revision, mostly the one that is shown."""
        shown = self._hc.status().services[SERVICE].revision
        self.write(self.pair(), expect=max(0, shown - self.rng.choice([0, 0, 0, 1])))

    def _delete(self) -> None:
        """Both back to their defaults. A deletion bears no stamp."""
        self._quietly(lambda: self._hc.store.delete(self._settings, "left", "right", by=_BY))

    def _quietly(self, write: Callable[[], object]) -> None:
        try:
            write()
        except hotconfig.HotConfigError:
            return  # the history tells

    # By hand

    def _by_hand(self) -> None:
        """Several statements in one transaction, without a word to Redis; sometimes taken back."""
        stamp = self.stamp()
        texts = {key: str(value) for key, value in self.pair().items()}
        self._transact({**texts, "stamp": stamp}, commit=self.rng.random() < 0.8)

    def _reject(self) -> None:
        """What every reader has to turn away, whole; then mostly good values again."""
        number = str(self.rng.randint(1, 1_000_000))
        bad = self.rng.choice([{"low": "80", "high": "20"}, {"low": "many"}, {"middle_3": "1.5.2"}])
        self._transact({"left": number, "right": number, **bad}, commit=True)
        if self.rng.random() < 0.8:
            self._transact({"low": "1", "high": "99", "middle_3": "3", "stamp": self.stamp()}, commit=True)

    def _transact(self, texts: Mapping[str, str], *, commit: bool) -> None:
        try:
            with psycopg.connect(self.part.database_url, connect_timeout=2) as connection:
                # In the order of their keys, as everybody locks them.
                for key in sorted(texts):
                    connection.execute(_PUT, [SERVICE, key, texts[key]])
                if not commit:
                    connection.rollback()
        except psycopg.Error:
            return  # made or not: the history tells


class BareWriting(Writing):
    """Writes as a tool does: bursts of commits without looking, announced at once."""

    def __init__(self, part: Part, record: Record, is_quiet: Callable[[], bool]) -> None:
        super().__init__(part, record, is_quiet)
        announcer = RedisAnnouncer(part.redis_url) if part.redis_url is not None else None
        self._publisher = Publisher(PostgresWriter(part.database_url, schema="hotconfig"), announcer)

    def run(self) -> None:
        """Write, and close the connections."""
        super().run()
        self._publisher.close()

    def write_something(self) -> None:
        """A burst."""
        for _ in range(self.rng.randint(1, _BURST)):
            self.write(self.pair())
        self.rest(_PAUSE_AFTER_BURST_S)

    def commit(self, values: Values, expect: int | None) -> int:
        """Past the store: texts, unvalidated."""
        changes = [Change(key, None if value is None else str(value)) for key, value in values.items()]
        return self._publisher.commit(SERVICE, changes, by=_BY, expect=expect).revision
