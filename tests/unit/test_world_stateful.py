"""The law of the line again, for a world: several services, several processes, classes of several versions.

Where ``test_line_stateful`` holds one reader to every detail, here processes share the news: each hears any of it, in
any order, as often as it likes, or not at all; is restarted or forked; verifies with keys that it read last; runs an
older, a newer or a stricter version of the class. After one read, and another where it moved meanwhile, each shows
PostgreSQL's state, or its last good values and why.
"""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import BaseModel, Field, model_validator

from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change, Head, genesis
from hotconfig.core.declaration import settings
from hotconfig.core.followed import Followed
from hotconfig.core.judge import Loaded
from hotconfig.core.line import Line
from hotconfig.core.listeners import Changed, differing
from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Outcome, Rejected, Stage, Stale
from hotconfig.core.wire import messages
from tests.support.chains import Truth

Message = tuple[bytes, bytes]


@settings(service="ai")
class Old(BaseModel):
    """Knows ``size`` as a number, and no ``word``."""

    low: int = Field(0, ge=0)
    size: int = 1


@settings(service="ai")
class New(BaseModel):
    """``size`` has become a text of several forms."""

    low: int = Field(0, ge=0)
    size: str | list[int] = "s"
    word: str | None = "w"


@settings(service="ai")
class Strict(BaseModel):
    low: int = Field(0, ge=0)
    size: float = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Strict:
        if self.low > self.size:
            raise ValueError("low is above size")
        return self


@settings(service="mail")
class Mail(BaseModel):
    low: int = 3
    word: str | None = None


CLASSES: tuple[tuple[type[BaseModel], ...], ...] = ((Old, Mail), (New, Mail), (Strict,), (Mail,))
SERVICES = ("ai", "mail")
KEYS = st.sampled_from(["low", "size", "word", "gone"])
POISON = ["1e400", "9" * 400, "[" * 300 + "]" * 300, '["\\u0000"]', '["\\ud800"]', "NaN", "!json [1e400]", "!json {"]
TEXTS = st.sampled_from(["0", "1", "7", "-1", "2.5", "[1]", "", None, *POISON])
CHANGES = st.lists(
    st.builds(Change, KEYS, TEXTS) | KEYS.map(lambda key: Change(key, deleted=True)),
    min_size=1,
    max_size=3,
    unique_by=lambda change: change.key,
)
PROCESSES = st.integers(0, len(CLASSES) - 1)


class Process:
    """One process: its line, what it was told, and the reads whose answers have not come yet."""

    def __init__(self, classes: tuple[type[BaseModel], ...]) -> None:
        self.told: list[Changed[Any]] = []
        self.reads: list[Loaded] = []
        self.line = Line(self.told.append)
        self.shown: dict[str, BaseModel] = {}
        self.furthest: dict[str, Head | None] = {}
        self.rewinding: set[str] = set()
        for settings_class in classes:
            blueprint: Blueprint[Any] = Blueprint(settings_class)
            self.line.followed[blueprint.service] = Followed(blueprint)

    def forked(self) -> None:
        """The child goes on with the same live objects and knows nothing of what was under way."""
        self.reads.clear()
        keyring = self.line.keyring
        followed = {name: one.reborn() for name, one in self.line.followed.items() if one.live is not None}
        if len(followed) == len(self.line.followed):
            self.line = Line(self.told.append)
            self.line.followed, self.line.keyring = followed, keyring
            self.furthest.clear()

    def load(self, loaded: Loaded) -> None:
        if not (loaded.known or loaded.in_recovery):
            self.rewinding.add(loaded.service)
        self.line.load(loaded)
        self.check_told()  # after each of several, since what shows nothing new is not told

    def flush(self) -> list[Outcome]:
        outcomes = self.line.flush()
        self.check_told()
        return outcomes

    def check_told(self) -> None:
        """Each change that shows was told, from what was shown to what is."""
        for change in self.told:
            assert self.shown[change.service] is change.old
            assert change.keys
            self.shown[change.service] = change.new
        self.told.clear()
        for name, followed in self.line.followed.items():
            if followed.current is not None:
                assert differing(self.shown.get(name, followed.current), followed.current) == frozenset()
                self.shown[name] = followed.current


class World(RuleBasedStateMachine):
    """Two services and four processes."""

    @initialize()
    def begin(self) -> None:
        self.truths = {name: Truth(name) for name in SERVICES}
        self.keyring = {1: b"1" * 32}
        self.secrets = itertools.count(2)
        self.news: list[Message] = []
        self.processes = [Process(classes) for classes in CLASSES]
        for number in range(len(self.processes)):
            self.ask(number, 0)
            self.answer(number)

    # what the world does

    @rule(
        service=st.sampled_from(SERVICES),
        changes=CHANGES,
        withhold=st.sets(KEYS, max_size=1),
        deaf=st.sets(PROCESSES, max_size=2),
        writer=st.none() | PROCESSES,
    )
    def commit(
        self, service: str, changes: list[Change], withhold: set[str], deaf: set[int], writer: int | None
    ) -> None:
        hidden = withhold & {change.key for change in changes if not change.deleted}
        made = self.truths[service].commit(*changes, withhold=hidden)
        said = [(channel.encode(), data) for channel, data in messages(made, self.keyring)]
        self.news += said
        if writer is not None:  # who makes a commit knows its values, withheld or not
            whole = made._replace(changes=tuple(changes))
            outcome = self.processes[writer].line.judge(whole)
            assert outcome is None or isinstance(outcome, Duplicate | Stale | NeedsRead)
        for process in self._hearing(deaf):
            for message in said:
                self.receive(process, message)

    @rule(service=st.sampled_from(SERVICES), back=st.integers(1, 4))
    def restore(self, service: str, back: int) -> None:
        truth = self.truths[service]
        truth.restore(max(0, truth.head.revision - back))

    @rule(
        service=st.sampled_from(SERVICES),
        lost=st.integers(1, 2),
        more=st.sampled_from([1, 1, 0, 2]),
        text=TEXTS,
        deaf=st.sets(PROCESSES, max_size=2),
    )
    def fail_over(self, service: str, lost: int, more: int, text: str | None, deaf: set[int]) -> None:
        """Some commits are lost, others are made in their place, and some processes hear of the newest alone."""
        self.restore(service, lost)
        for _ in range(lost + more):
            made = self.truths[service].commit(low=text)
            self.news += [(channel.encode(), data) for channel, data in messages(made, self.keyring)]
        for process in self._hearing(deaf):
            self.receive(process, self.news[-2])

    @precondition(lambda self: self.news)
    @rule(number=PROCESSES, back=st.integers(1, 3))
    def hear_what_is_new(self, number: int, back: int) -> None:
        for message in self.news[-back:]:
            self.receive(self.processes[number], message)

    @rule(forget=st.booleans())
    def rotate_the_signing_key(self, forget: bool) -> None:
        number = next(self.secrets)
        kept = {} if forget else self.keyring
        self.keyring = {**kept, number: str(number).encode().ljust(32)}

    @rule(number=PROCESSES)
    def restart(self, number: int) -> None:
        self.processes[number] = Process(CLASSES[number])

    @rule(number=PROCESSES)
    def fork(self, number: int) -> None:
        self.processes[number].forked()

    # what arrives

    @precondition(lambda self: self.news)
    @rule(number=PROCESSES, data=st.data(), count=st.integers(1, 4))
    def hear_anything(self, number: int, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            self.receive(self.processes[number], data.draw(st.sampled_from(self.news[-30:])))

    @precondition(lambda self: self.news)
    @rule(number=PROCESSES)
    def hear_a_recording_of_everything(self, number: int) -> None:
        for message in self.news:
            self.receive(self.processes[number], message)

    @precondition(lambda self: self.news)
    @rule(number=PROCESSES, data=st.data())
    def hear_it_on_another_channel(self, number: int, data: st.DataObject) -> None:
        _, signed = data.draw(st.sampled_from(self.news[-20:]))
        channel = data.draw(st.sampled_from([b"config:ai:@commits", b"config:mail:@commits", b"config:ai:low"]))
        self.receive(self.processes[number], (channel, signed))

    @rule(number=PROCESSES, service=st.sampled_from([*SERVICES, "none"]), revision=st.integers(0, 12))
    def be_notified(self, number: int, service: str, revision: int) -> None:
        outcome = self.processes[number].line.notified(service, revision)
        assert isinstance(outcome, Duplicate | Stale | NeedsRead)

    @rule(number=PROCESSES)
    def flush(self, number: int) -> None:
        for outcome in self.processes[number].flush():
            assert isinstance(outcome, Applied) or (isinstance(outcome, Rejected) and outcome.stage is Stage.VALIDATE)

    # what is read

    @rule(number=PROCESSES, lag=st.sampled_from([0, 0, 0, 2]))
    def ask(self, number: int, lag: int) -> None:
        """All services of a process at once; the answers may come late."""
        process = self.processes[number]
        for name, followed in process.line.followed.items():
            process.reads.append(self.truths[name].answer(followed.head, lag=lag, in_recovery=lag > 0))

    @rule(number=PROCESSES)
    def answer(self, number: int) -> None:
        process = self.processes[number]
        process.line.keyring = dict(self.keyring)
        while process.reads:
            process.load(process.reads.pop(0))

    def _hearing(self, deaf: set[int]) -> list[Process]:
        return [process for number, process in enumerate(self.processes) if number not in deaf]

    def receive(self, process: Process, message: Message) -> None:
        outcome = process.line.receive(*message)
        assert outcome is None or isinstance(outcome, Duplicate | Stale | NeedsRead)

    # the law

    @invariant()
    def heads_go_back_for_a_rewind_alone(self) -> None:
        for process in self.processes:
            for name, followed in process.line.followed.items():
                before = process.furthest.get(name)
                if before is not None:
                    assert followed.head is not None
                    assert followed.head.revision >= before.revision or name in process.rewinding
                process.furthest[name] = followed.head
            process.rewinding.clear()

    @invariant()
    def what_is_known_and_shown_was_true_at_one_head(self) -> None:
        for process in self.processes:
            for name, followed in process.line.followed.items():
                if followed.head is not None:
                    assert followed.texts == self.truths[name].states[followed.head]
                if followed.live is not None:
                    assert followed.shown is not None
                    expected = followed.blueprint.build(self.truths[name].states[followed.shown]).instance
                    assert expected is not None
                    assert differing(followed.live, expected) == frozenset()

    @invariant()
    def everybody_is_told_of_every_change_that_shows(self) -> None:
        for process in self.processes:
            process.check_told()

    def teardown(self) -> None:
        """Everybody reads; twice, where a change set of a future that was lost had been waiting."""
        for process in self.processes:
            process.flush()
            for _ in range(2):
                for name, followed in process.line.followed.items():
                    process.load(self.truths[name].answer(followed.head))
                process.flush()
            for name, followed in process.line.followed.items():
                self._check_rest(followed, self.truths[name])

    def _check_rest(self, followed: Followed[Any], truth: Truth) -> None:
        assert followed.head == truth.head
        assert followed.texts == truth.state
        built = followed.blueprint.build(truth.state)
        assert followed.unknown == truth.state.keys() - followed.blueprint.keys
        if built.instance is None:
            assert followed.problems == built.problems
            assert followed.shown != followed.head or followed.head == genesis(truth.service)
        else:
            assert followed.live is not None
            assert differing(followed.live, built.instance) == frozenset()
            assert (followed.shown, dict(followed.problems)) == (truth.head, {})


TestWorld = World.TestCase
TestWorld.settings = profile(max_examples=80, stateful_step_count=40, deadline=None)
