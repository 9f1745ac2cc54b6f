"""One round: the eight changes, one after the other, each written once and awaited in both processes.

Owns the order of things and the figures. Must not know how they are shown.

``write_ms`` is the whole of the store's call, from its beginning to its return: the value is validated, PostgreSQL has
committed it with its history, and Redis has taken the news. ``visible_ms`` begins at the same moment and ends when the
last process finds the new value on the attribute. The commit lies somewhere in between and cannot be observed from
outside, so the figure is larger than "from commit to attribute" would be, never smaller. A process may see a change
while the writer still waits for Redis, so ``visible_ms`` may be the smaller of the two.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from hotconfig.core.errors import WaitTimeoutError
from hotconfig.demo.processes import NAMES, Subscribers
from hotconfig.demo.services import ALL_SETTINGS, STEPS, Step
from hotconfig.runtime.client import HotConfig

LIMIT_MS: Final = 100.0
"""What was promised to the user of a service: visible in every process in less than this."""

BY: Final = "hotconfig demo"


@dataclass(frozen=True, slots=True)
class Measured:
    """One change. Milliseconds since the write began; by process, in ``seen_ms``, None if it was not seen."""

    step: Step
    write_ms: float
    seen_ms: Mapping[str, float | None]

    @property
    def visible_ms(self) -> float | None:
        """When the last process saw it; None if one did not."""
        return _slowest(self.seen_ms.values())

    @property
    def good(self) -> bool:
        return self.visible_ms is not None and max(self.visible_ms, self.write_ms) < LIMIT_MS


@dataclass(frozen=True, slots=True)
class Result:
    """A whole round."""

    changes: tuple[Measured, ...]

    @property
    def max_visible_ms(self) -> float | None:
        """None if anything was not seen."""
        return _slowest(change.visible_ms for change in self.changes)

    @property
    def good(self) -> bool:
        return all(change.good for change in self.changes)

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints. Old and new are the texts that PostgreSQL holds."""
        return {
            "changes": [
                {
                    "service": change.step.service,
                    "key": change.step.key,
                    "old": change.step.old,
                    "new": change.step.new,
                    "write_ms": round(change.write_ms, 3),
                    "visible_ms": _rounded(change.visible_ms),
                }
                for change in self.changes
            ],
            "max_visible_ms": _rounded(self.max_visible_ms),
            "processes": len(NAMES),
        }


class Round:
    """Writes through ``client``, which is no subscriber that counts: it is a third process."""

    def __init__(self, client: HotConfig, subscribers: Subscribers) -> None:
        self._store = client.store
        self._subscribers = subscribers
        self._live: dict[type[BaseModel], BaseModel] = {kind: client.bind(kind) for kind in ALL_SETTINGS}

    def prepare(self) -> None:
        """Write the old values, one commit per service, and wait until both processes show them.

        This is also what warms everything up, so that the round shows a service that has been running for a while:
        the writer's connections are open afterwards, its signing key is read, code is imported, and every process has
        applied a change of every service.

        Raises:
            WaitTimeoutError: a process does not show them.
        """
        revisions: dict[str, int] = {}
        for kind, settings in self._live.items():
            old = {step.key: step.old for step in STEPS if step.settings_class is kind}
            commit = self._store.update(settings, old, by=BY, reason="the values before the demo")
            revisions[commit.service] = commit.revision
        if not self._subscribers.show(revisions):
            raise WaitTimeoutError("the subscriber processes do not show the values that the demo begins with")

    def measure(self) -> Iterator[Measured]:
        """Make the eight changes, one after the other."""
        for step in STEPS:
            yield self._change(step)

    def _change(self, step: Step) -> Measured:
        settings = self._live[step.settings_class]
        self._subscribers.watch(step.service, step.key, step.new)
        begun_ns = time.monotonic_ns()
        self._store.update(settings, {step.key: step.new}, by=BY, reason="one of the demo's changes")
        written_ns = time.monotonic_ns()
        seen_ns = self._subscribers.seen()
        return Measured(
            step,
            (written_ns - begun_ns) / 1e6,
            {name: _since_ms(begun_ns, at_ns) for name, at_ns in seen_ns.items()},
        )


def describe(result: Result, levels: Mapping[str, str]) -> Sequence[str]:
    """The closing lines, for people."""
    slowest = result.max_visible_ms
    if slowest is None:
        verdict = "Not every process saw every change."
    elif result.good:
        verdict = f"Slowest {slowest:.1f} ms: every change was visible in both processes in under {LIMIT_MS:g} ms."
    else:
        verdict = f"Slowest {slowest:.1f} ms: something took {LIMIT_MS:g} ms or more."
    changed = ", ".join(f"{name} at {level}" for name, level in sorted(levels.items()))
    return (verdict, f"The running loggers changed with logging.level: {changed}.") if changed else (verdict,)


def _since_ms(begun_ns: int, at_ns: int | None) -> float | None:
    """What was there before the write began is somebody else's doing: this write was not seen."""
    return None if at_ns is None or at_ns < begun_ns else (at_ns - begun_ns) / 1e6


def _slowest(figures: Iterable[float | None]) -> float | None:
    slowest = 0.0
    for figure in figures:
        if figure is None:
            return None
        slowest = max(slowest, figure)
    return slowest


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)
