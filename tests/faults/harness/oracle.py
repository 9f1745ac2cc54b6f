"""The oracle: holds what readers saw against ``config_history``, and against nothing else.

Pure. The rules bear the letters of docs/fault-testing.md:

a  the head that a reader shows never goes back, except by a declared rewind
b  every state ever shown is PostgreSQL's at a revision that fits
c  a commit of several keys is never half visible
d  after healing every reader equals PostgreSQL within its bound
e  one callback per real change, none for stale ones
f  threads and descriptors return to their baseline
w  an acknowledged write is in the history once, a refused one is not, one of unknown outcome at most once
x  nothing raises that must not
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from tests.faults.harness.declared import DEFAULTS, State
from tests.faults.harness.observations import (
    Born,
    Bound,
    Broke,
    Closed,
    HeadSeen,
    Observation,
    Refused,
    Settled,
    Shown,
    Stood,
    Story,
    Told,
    Unknown,
    Wrote,
)

T = TypeVar("T", bound=Observation)


class Row(NamedTuple):
    """One row of ``config_history``."""

    revision: int
    ordinal: int
    key: str
    op: str
    new_value: str | None
    digest: str


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that did not hold."""

    rule: str
    who: str
    what: str

    def __str__(self) -> str:
        return f"({self.rule}) {self.who}: {self.what}"


_Frozen = tuple[tuple[str, object], ...]


@dataclass(slots=True)
class Truth:
    """Every commit that was ever true, those included that a rewind took back.

    ``states`` holds what readers must show at a head, None where they must reject it.
    """

    head: HeadSeen
    rewinds: int = 0
    states: dict[HeadSeen, State | None] = field(default_factory=dict[HeadSeen, "State | None"])
    stamps: dict[str, set[HeadSeen]] = field(default_factory=dict[str, set[HeadSeen]])
    _revisions: dict[_Frozen, list[int]] = field(default_factory=dict[_Frozen, list[int]])

    def revisions_of(self, state: State) -> Sequence[int]:
        """The revisions, ascending, at which PostgreSQL was in this state."""
        return self._revisions.get(_freeze(state), ())

    def add(self, rows: Iterable[Row], expected: Callable[[Mapping[str, str | None]], State | None]) -> None:
        """Take in one history, from its beginning."""
        texts: dict[str, str | None] = {}
        for head, changes in _commits(rows):
            for row in changes:
                if row.op == "delete":
                    texts.pop(row.key, None)
                else:
                    texts[row.key] = row.new_value
                    if row.key == "stamp" and row.new_value:
                        self.stamps.setdefault(row.new_value, set()).add(head)
            if head not in self.states:
                self._add_state(head, expected(texts))

    def begin(self, genesis: HeadSeen) -> None:
        """Before the first commit all is default."""
        self._add_state(genesis, dict(DEFAULTS))

    def _add_state(self, head: HeadSeen, state: State | None) -> None:
        self.states[head] = state
        if state is not None:
            revisions = self._revisions.setdefault(_freeze(state), [])
            if head[0] not in revisions:
                revisions.append(head[0])
                revisions.sort()


def _commits(rows: Iterable[Row]) -> Iterator[tuple[HeadSeen, list[Row]]]:
    changes: list[Row] = []
    for row in rows:
        if changes and changes[-1].revision != row.revision:
            yield (changes[-1].revision, changes[-1].digest), changes
            changes = []
        changes.append(row)
    if changes:
        yield (changes[-1].revision, changes[-1].digest), changes


def _freeze(state: State) -> _Frozen:
    return tuple(sorted(state.items()))


@dataclass(slots=True)
class Walk:
    """One thread's way along the chain: how far it must have come, and how often it went back."""

    at: int = 0
    steps_back: int = 0

    def go(self, revisions: Sequence[int]) -> int:
        """Go to the nearest of these revisions that is not behind; where all are, go back."""
        ahead = [revision for revision in revisions if revision >= self.at]
        if not ahead:
            self.steps_back += 1
        self.at = min(ahead or revisions)
        return self.at


def judge(truth: Truth, stories: Sequence[Story], *, bound_s: float) -> list[Violation]:
    """All violations, by story."""
    found: list[Violation] = []
    for story in stories:
        judged = _Judged(truth, story)
        for rule in (_broke, _shown, _stood, _told, _settled, _resources):
            found += [Violation(letter, story.who, what) for letter, what in rule(judged, bound_s)]
    return found + list(_writes(truth, stories))


Found = Iterator[tuple[str, str]]


class _Judged:
    """One story, and how often its reader may go back."""

    def __init__(self, truth: Truth, story: Story) -> None:
        self.truth = truth
        self.story = story
        declared = [*(seen.rewinds for seen in self.all(Stood)), *(seen.rewinds for seen in self.all(Settled))]
        declared.append(sum(seen.rewound for seen in self.all(Told)))
        # Who was killed may not have come to say that it went back.
        self.rewinds = max(declared, default=0) + (1 if story.killed and truth.rewinds else 0)

    def all(self, kind: type[T]) -> list[T]:
        return [seen for seen in self.story.observations if isinstance(seen, kind)]

    def state_problem(self, state: State) -> tuple[str, str] | None:
        if state["left"] != state["right"]:
            return "c", f"half of a commit: left is {state['left']}, right is {state['right']}"
        if not self.truth.revisions_of(state):
            return "b", f"a state that PostgreSQL never was in: {_brief(state)}"
        return None

    def back(self, walk: Walk, what: str) -> Found:
        if walk.steps_back > self.rewinds:
            yield "a", f"{what} went back {walk.steps_back} times, {self.rewinds} rewinds were declared"


def _broke(judged: _Judged, _bound_s: float) -> Found:
    for seen in judged.all(Broke):
        yield "x", seen.what


def _shown(judged: _Judged, _bound_s: float) -> Found:
    walk = Walk()
    for seen in judged.all(Shown):
        problem = judged.state_problem(seen.state)
        if problem is not None:
            yield problem
        else:
            walk.go(judged.truth.revisions_of(seen.state))
    yield from judged.back(walk, "the live object")


def _stood(judged: _Judged, _bound_s: float) -> Found:
    heads, states, truth = Walk(), Walk(), judged.truth
    shown_before = 0
    shown = 0
    for seen in judged.all(Stood):
        if seen.head not in truth.states:
            yield "b", f"a head that never was: {seen.head[0]}@{seen.head[1][:12]}"
        heads.go([seen.head[0]])
        if seen.shown > seen.head[0] and not judged.rewinds:
            yield "a", f"shows revision {seen.shown} with revision {seen.head[0]} as its head"
        problem = judged.state_problem(seen.state)
        if problem is not None:
            yield problem
            continue
        revision = states.go(truth.revisions_of(seen.state))
        if seen.shown != shown:
            shown_before, shown = shown, seen.shown
        # A revision may be named a moment before or after it is swapped in. But one that was named before another was
        # named must be in by then, and nothing is swapped in before the head is known.
        newest = max(truth.revisions_of(seen.state))
        if not judged.rewinds and not (revision <= seen.revision_after and shown_before <= newest):
            yield (
                "b",
                (
                    f"the state of revision {revision}, while status() named {shown_before}, {seen.shown} "
                    f"and at last {seen.revision_after}"
                ),
            )
    yield from judged.back(heads, "the head")
    yield from judged.back(states, "the snapshot")
    if judged.rewinds and not truth.rewinds:
        yield "a", "declared a rewind that never was"


def _told(judged: _Judged, _bound_s: float) -> Found:
    walk = Walk()
    before: State | None = None
    for seen in judged.all(Told):
        problem = judged.state_problem(seen.new)
        if problem is not None:
            yield problem
        elif seen.revision not in judged.truth.revisions_of(seen.new):
            yield "b", f"told revision {seen.revision} with the state of another: {_brief(seen.new)}"
        if before is not None and seen.old != before:
            yield "e", f"told revision {seen.revision} with an old state that is not the new one before"
        if set(seen.keys) != _differing(seen.old, seen.new) or not seen.keys:
            yield "e", f"told revision {seen.revision} with keys {sorted(seen.keys)} that are not those that differ"
        again = walk.at == seen.revision
        walk.go([seen.revision])
        walk.steps_back += again
        before = seen.new
    if walk.steps_back > judged.rewinds:
        yield "e", f"told stale revisions {walk.steps_back} times, {judged.rewinds} rewinds were declared"


def _settled(judged: _Judged, bound_s: float) -> Found:
    settled = judged.all(Settled)
    if not settled and judged.story.reads and not judged.story.killed:
        yield "d", "never came to an end"
    for seen in settled:
        head, state = judged.truth.head, judged.truth.states.get(judged.truth.head)
        if seen.head != head or seen.shown != head[0]:
            yield "d", f"stands at {seen.head[0]}, shows {seen.shown}; PostgreSQL stands at {head[0]}"
        if seen.state != state:
            yield "d", f"shows {_brief(seen.state)} at the end, PostgreSQL holds {_brief(state)}"
        if seen.within_s > bound_s or seen.process_state != "READY":
            yield "d", f"is {seen.process_state} {seen.within_s:.1f} s after healing, the bound is {bound_s:.1f} s"
        told = seen.told if seen.told is not None else judged.all(Bound)[-1].state
        if told != seen.state:
            yield "e", f"shows {_brief(seen.state)} at the end, and told {_brief(told)} last"
        if seen.line_errors or seen.listener_errors or seen.listener_dropped:
            yield (
                "x",
                f"{seen.line_errors} line errors, {seen.listener_errors} and {seen.listener_dropped} of listeners",
            )


def _resources(judged: _Judged, _bound_s: float) -> Found:
    for born, closed in zip(judged.all(Born), judged.all(Closed), strict=False):
        if (closed.threads, closed.descriptors) != (born.threads, born.descriptors):
            yield (
                "f",
                (
                    f"{closed.threads} threads and {closed.descriptors} descriptors after closing, "
                    f"{born.threads} and {born.descriptors} before: {', '.join(closed.open)}"
                ),
            )


def _writes(truth: Truth, stories: Sequence[Story]) -> Iterator[Violation]:
    for stamp, heads in truth.stamps.items():
        if len(heads) > 1 + truth.rewinds:
            yield Violation("w", "config_history", f"the write {stamp} was made {len(heads)} times")
    for story in stories:
        for seen in story.observations:
            made = truth.stamps.get(seen.stamp, set()) if isinstance(seen, Wrote | Refused | Unknown) else set()
            if isinstance(seen, Wrote) and seen.revision not in {revision for revision, _ in made}:
                yield Violation("w", story.who, f"the acknowledged write {seen.stamp} is not revision {seen.revision}")
            if isinstance(seen, Refused) and made:
                yield Violation("w", story.who, f"the write {seen.stamp} was made, and refused with {seen.error}")


def _differing(old: State, new: State) -> set[str]:
    return {key for key in new if old.get(key) != new[key]}


def _brief(state: State | None) -> str:
    if state is None:
        return "what readers reject"
    return ", ".join(f"{key}={value!r}" for key, value in state.items() if value != DEFAULTS.get(key)) or "defaults"
