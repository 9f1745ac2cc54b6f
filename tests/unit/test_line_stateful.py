"""The law of the line: any order, any loss, any repetition, any forgery, and the reader still ends at the truth.

The truth is a model of PostgreSQL in memory that can also be restored from an older backup and answered for by a
standby that lags. Between the steps the reader may only show states that were true once, and its head goes back for a
declared rewind alone.
"""

from __future__ import annotations

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import BaseModel, Field, model_validator

from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.declaration import settings
from hotconfig.core.followed import Followed
from hotconfig.core.judge import Loaded
from hotconfig.core.line import Line
from hotconfig.core.listeners import Changed, differing
from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Rejected, Stage, Stale
from hotconfig.core.wire import encode
from tests.support import chains
from tests.support.chains import Truth, published, signed

Message = tuple[bytes, bytes]


@settings(service="ai")
class Tiny(BaseModel):
    low: int = Field(0, ge=0)
    high: int = 10
    word: str | None = "w"

    @model_validator(mode="after")
    def _ordered(self) -> Tiny:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


KEYS = st.sampled_from(["low", "high", "word", "unknown"])
TEXTS = st.sampled_from(["0", "1", "7", "20", "-1", "many", "", "01", None])
CHANGES = st.lists(
    st.tuples(KEYS, TEXTS).map(lambda pair: Change(*pair)) | KEYS.map(lambda key: Change(key, deleted=True)),
    min_size=1,
    max_size=3,
    unique_by=lambda change: change.key,
)


class Law(RuleBasedStateMachine):
    """Everything that may happen to a reader of one service."""

    @initialize()
    def start(self) -> None:
        self.truth = Truth()
        self.sent: list[Message] = []
        self.reads: list[Loaded] = []
        self.told: list[Changed[Tiny]] = []
        self.line = Line(self.told.append)
        self.line.keyring = chains.KEYRING
        self.blueprint = Blueprint(Tiny)
        self.followed: Followed[Tiny] = Followed(self.blueprint, lenient=False)
        self.line.followed["ai"] = self.followed
        self.furthest: Head | None = None
        self.shown: Tiny | None = None
        self.may_rewind = False

    # what the world does

    @rule(changes=CHANGES, withhold=st.sets(KEYS, max_size=1), reach=st.integers(0, 2))
    def commit(self, changes: list[Change], withhold: set[str], reach: int) -> None:
        hidden = withhold & {change.key for change in changes if not change.deleted}
        messages = published(self.truth.commit(*changes, withhold=hidden))
        self.sent += messages
        if reach == 2:  # the usual: it arrives at once
            for message in messages:
                self.receive(message)

    @rule(back=st.integers(1, 4))
    def restore(self, back: int) -> None:
        self.truth.restore(max(0, self.truth.head.revision - back))

    # what arrives

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Any message, however old and however often."""
        self.receive(data.draw(st.sampled_from(self.sent[-20:])))

    @precondition(lambda self: self.truth.commits)
    @rule(back=st.integers(1, 3))
    def deliver_a_recent_commit(self, back: int) -> None:
        self.receive(signed(self.truth.commits[-back:][0]))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def forge(self, data: st.DataObject) -> None:
        channel, message = data.draw(st.sampled_from(self.sent[-12:]))
        spoilt = bytearray(message or b"x")
        at = data.draw(st.integers(0, len(spoilt) * 8 - 1))
        spoilt[at // 8] ^= 1 << at % 8
        self.powerless(channel, bytes(spoilt))

    @rule(key=KEYS, text=st.binary(max_size=3))
    def publish_by_hand(self, key: str, text: bytes) -> None:
        self.powerless(f"config:ai:{key}".encode(), text)

    @rule(changes=CHANGES)
    def sign_with_a_guessed_secret(self, changes: list[Change]) -> None:
        parent = self.followed.head or genesis("ai")
        head = Head(parent.revision + 1, b"f" * 32)
        forged = ChangeSet("ai", parent, head, tuple(changes), "now", "mallory")
        self.powerless(b"config:ai:@commits", encode(forged, {2: b"guessed".ljust(32)}))

    @rule()
    def flush(self) -> None:
        for outcome in self.line.flush():
            assert isinstance(outcome, Applied) or (isinstance(outcome, Rejected) and outcome.stage is Stage.VALIDATE)

    # what is read

    @rule(lag=st.sampled_from([0, 0, 0, 1, 3]))
    def ask(self, lag: int) -> None:
        """A read sees the world now; its answer may come late."""
        self.reads.append(self.truth.answer(self.followed.head, lag=lag, in_recovery=lag > 0))

    @precondition(lambda self: self.reads)
    @rule()
    def answer(self) -> None:
        self.load(self.reads.pop(0))

    # the steps themselves

    def receive(self, message: Message) -> None:
        outcome = self.line.receive(*message)
        assert outcome is None or isinstance(outcome, Duplicate | Stale | NeedsRead)

    def powerless(self, channel: bytes, data: bytes) -> None:
        before = self.followed.head, self.followed.texts, len(self.followed.accepted), len(self.followed.waiting)
        outcome = self.line.receive(channel, data)
        assert isinstance(outcome, Duplicate | Stale | NeedsRead)
        after = self.followed.head, self.followed.texts, len(self.followed.accepted), len(self.followed.waiting)
        assert after == before

    def load(self, loaded: Loaded) -> None:
        at = self.followed.head.revision if self.followed.head is not None else 0
        # A standby that has the revision, or a later one, and not its digest, is not merely behind.
        self.may_rewind = not loaded.known and (not loaded.in_recovery or loaded.head.revision >= at)
        owed, told = self.followed.rewound, len(self.told)
        self.line.load(loaded)
        assert all(change.rewound <= (self.may_rewind or owed) for change in self.told[told:])

    # the law

    @invariant()
    def the_head_goes_back_for_a_declared_rewind_alone(self) -> None:
        head = self.followed.head
        if self.furthest is not None:
            assert head is not None
            assert head.revision >= self.furthest.revision or self.may_rewind
        self.furthest = head
        self.may_rewind = False

    @invariant()
    def what_is_known_was_true_at_exactly_this_head(self) -> None:
        if self.followed.head is not None:
            assert self.followed.texts == self.truth.states[self.followed.head]

    @invariant()
    def what_is_shown_was_true_at_exactly_one_head(self) -> None:
        live, shown = self.followed.live, self.followed.shown
        if live is not None:
            assert shown is not None
            expected = self.blueprint.build(self.truth.states[shown]).instance
            assert expected is not None
            assert live.model_dump() == expected.model_dump()

    @invariant()
    def one_call_for_every_change_that_shows(self) -> None:
        for change in self.told:
            assert self.shown is not None
            assert self.shown is change.old
            assert change.keys == differing(change.old, change.new) != frozenset()
            self.shown = change.new
        self.told.clear()
        current = self.followed.current
        if self.shown is not None and current is not None:
            assert differing(self.shown, current) == frozenset()
        self.shown = current

    def teardown(self) -> None:
        """When the world comes to rest, one read is enough to end at the truth; two, if the reader moves meanwhile."""
        self.line.flush()
        for _ in range(2):
            self.load(self.truth.answer(self.followed.head))
            self.line.flush()
        assert self.followed.head == self.truth.head
        assert self.followed.texts == self.truth.state
        built = self.blueprint.build(self.truth.state)
        if built.instance is None:
            assert self.followed.problems
            assert self.followed.shown != self.followed.head
        else:
            assert self.followed.live is not None
            assert self.followed.live.model_dump() == built.instance.model_dump()
            assert self.followed.shown == self.truth.head
            assert not self.followed.problems


TestLaw = Law.TestCase
TestLaw.settings = profile(max_examples=100, stateful_step_count=40, deadline=None)
