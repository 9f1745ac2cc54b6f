"""One input at a time through decode, judge, validate, swap and tell."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, cast

import pytest
from pydantic import BaseModel, Field, model_validator

from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change, ChangeSet, Head
from hotconfig.core.declaration import settings
from hotconfig.core.followed import Followed, head_of
from hotconfig.core.line import MAX_WAITING, Line
from hotconfig.core.listeners import Changed
from hotconfig.core.live import current
from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Outcome, Rejected, Stage, Stale
from hotconfig.core.status import Counters
from tests.support import chains
from tests.support.chains import Truth, published, signed


@settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str | None = "gpt-4"
    enabled: bool = True
    retries: int = 3
    tags: list[str] = ["a"]
    low: int = 0
    high: int = 10

    @model_validator(mode="after")
    def _ordered(self) -> AI:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Rig:
    """A line that follows one service, beside the truth that it follows."""

    def __init__(self, *, lenient: bool = False, load: bool = True, pins: dict[str, Any] | None = None) -> None:
        self.truth = Truth()
        self.told: list[Changed[Any]] = []
        self.builds = 0
        self.line = Line(self.told.append)
        self.line.keyring = chains.KEYRING
        self.followed = Followed(Counting(self, pins), lenient=lenient)
        self.line.followed["ai"] = self.followed
        if load:
            assert isinstance(self.load(), Applied)

    @property
    def live(self) -> AI:
        assert self.followed.live is not None
        return self.followed.live

    def hear(self, *change_sets: ChangeSet) -> list[Outcome]:
        """The signed messages of some commits, taken together."""
        taken = [self.line.receive(*signed(change_set)) for change_set in change_sets]
        return [outcome for outcome in taken if outcome is not None] + self.line.flush()

    def load(self, **options: Any) -> Outcome:
        outcome = self.line.load(self.truth.answer(self.followed.head, **options))
        self.line.flush()
        return outcome

    def plain(self, key: str, data: bytes) -> Outcome | None:
        return self.line.receive(f"config:ai:{key}".encode(), data)


class Counting(Blueprint[AI]):
    def __init__(self, rig: Rig, pins: dict[str, Any] | None) -> None:
        super().__init__(AI, pins=pins)
        self._rig = rig

    def build(self, texts: Any, above: Any = MappingProxyType({})) -> Any:
        self._rig.builds += 1
        return super().build(texts, above)


def test_the_first_load_makes_the_live_object_and_tells_nobody() -> None:
    rig = Rig(load=False)
    rig.truth.commit(threshold="0.90")
    assert head_of(rig.followed) == (0, rig.truth.commits[0].parent.digest)
    assert rig.load() == Applied("ai", 1, frozenset(AI.model_fields))
    assert rig.live == AI(threshold=0.9)
    assert rig.told == []
    assert rig.followed.head == rig.followed.shown == rig.truth.head


def test_the_next_change_set_is_shown_and_told_without_a_read() -> None:
    rig = Rig()
    live, before = rig.live, current(rig.live)
    assert rig.hear(rig.truth.commit(threshold="0.90", model="gpt-4o")) == [
        Applied("ai", 1, frozenset({"threshold", "model"}))
    ]
    assert rig.live is live
    assert live == AI(threshold=0.9, model="gpt-4o")
    (change,) = rig.told
    assert change.old is before
    assert change.new is current(live)
    assert change.keys == {"threshold", "model"}
    assert (change.revision, change.by, change.reason) == (1, "writer 1", "why not")
    assert change.at == "2026-01-01T00:00:00.000001Z"
    assert not change.rewound


def test_nothing_is_shown_before_the_flush() -> None:
    rig = Rig()
    assert rig.line.receive(*signed(rig.truth.commit(threshold="0.90"))) is None
    assert rig.live.threshold == 0.75
    rig.line.flush()
    assert rig.live.threshold == 0.9
    assert rig.line.flush() == []


def test_many_change_sets_cost_one_validation_and_one_call() -> None:
    rig = Rig()
    storm = [rig.truth.commit(threshold=f"0.{number}") for number in range(10, 60)]
    rig.builds = 0
    outcomes = rig.hear(*storm)
    assert rig.builds == 1
    assert outcomes == [Applied("ai", 50, frozenset({"threshold"}))] * 50
    (change,) = rig.told
    assert (change.old.threshold, change.new.threshold, change.revision) == (0.75, 0.59, 50)
    assert (change.by, change.reason) == (None, None)
    assert change.at == "2026-01-01T00:00:00.000050Z"


def test_commits_taken_together_are_told_as_their_authors_where_it_is_one() -> None:
    rig = Rig()
    first, second = rig.truth.commit(threshold="0.1"), rig.truth.commit(model="gpt-5")
    (outcome, _) = rig.hear(first._replace(by="ann"), second._replace(by="ann", reason="another"))
    assert isinstance(outcome, Applied)
    assert (outcome.by, outcome.several) == ("ann", False)
    assert [(change.by, change.reason) for change in rig.told] == [("ann", None)]
    (outcome, _) = rig.hear(rig.truth.commit(threshold="0.2"), rig.truth.commit(threshold="0.3"))
    assert isinstance(outcome, Applied)
    assert (outcome.by, outcome.several) == (None, True)


def test_changes_that_cancel_out_within_one_flush_tell_nobody() -> None:
    rig = Rig()
    outcomes = rig.hear(rig.truth.commit(threshold="0.90"), rig.truth.commit(threshold="0.75"))
    assert outcomes == [Applied("ai", 2, frozenset())] * 2
    assert rig.told == []


def test_another_text_of_the_same_value_moves_the_revision_and_tells_nobody() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.90"))
    rig.told.clear()
    assert rig.hear(rig.truth.commit(threshold="0.9")) == [Applied("ai", 2, frozenset())]
    assert rig.told == []
    assert rig.followed.shown == rig.truth.head


def test_a_rejected_change_set_leaves_the_last_good_values() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.90"))
    good = current(rig.live)
    rig.told.clear()
    (outcome,) = rig.hear(rig.truth.commit(threshold="1.5", model="gpt-5"))
    assert isinstance(outcome, Rejected)
    assert (outcome.service, outcome.revision, outcome.stage) == ("ai", 2, Stage.VALIDATE)
    assert outcome.problems.keys() == {"threshold"}
    assert "1.5" not in str(outcome.problems)
    assert current(rig.live) is good
    assert rig.told == []
    assert rig.followed.head == rig.truth.head
    assert rig.followed.shown == rig.truth.commits[0].head
    assert rig.followed.problems == outcome.problems


def test_the_next_change_set_repairs_a_rejected_one_and_tells_of_both() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="1.5", model="gpt-5"))
    assert rig.hear(rig.truth.commit(threshold="0.5")) == [Applied("ai", 2, frozenset({"threshold", "model"}))]
    assert rig.live == AI(threshold=0.5, model="gpt-5")
    assert rig.followed.problems == {}
    assert [change.keys for change in rig.told] == [{"threshold", "model"}]


def test_a_rejected_revision_is_not_validated_again_until_the_head_moves() -> None:
    rig = Rig()
    bad = rig.truth.commit(threshold="1.5")
    rig.hear(bad)
    rig.builds = 0
    assert rig.hear(bad) == [Duplicate("ai")]
    assert rig.load() == Duplicate("ai")
    assert rig.builds == 0


def test_a_bad_one_and_its_repair_in_one_flush_are_both_applied() -> None:
    rig = Rig()
    outcomes = rig.hear(rig.truth.commit(threshold="1.5"), rig.truth.commit(threshold="0.5"))
    assert outcomes == [Applied("ai", 2, frozenset({"threshold"}))] * 2


def test_of_a_mixed_batch_the_valid_beginning_is_shown() -> None:
    rig = Rig()
    outcomes = rig.hear(
        rig.truth.commit(model="one"),
        rig.truth.commit(model="two"),
        rig.truth.commit(threshold="7"),
        rig.truth.commit(model="four"),
    )
    assert [type(outcome) for outcome in outcomes] == [Applied, Applied, Rejected, Rejected]
    assert rig.live == AI(model="two")
    assert rig.followed.shown == rig.truth.commits[1].head
    assert rig.followed.head == rig.truth.head
    assert [change.new.model for change in rig.told] == ["one", "two"]
    assert rig.hear(rig.truth.commit(Change("threshold", deleted=True))) == [Applied("ai", 5, frozenset({"model"}))]
    assert rig.live == AI(model="four")


def test_several_keys_are_taken_together_or_not_at_all() -> None:
    rig = Rig()
    assert isinstance(rig.hear(rig.truth.commit(low="20", high="30"))[0], Applied)
    (outcome,) = rig.hear(rig.truth.commit(low="40", retries="4"))
    assert isinstance(outcome, Rejected)
    assert outcome.problems == {"*": "low is above high"}
    assert (rig.live.low, rig.live.high, rig.live.retries) == (20, 30, 3)


def test_a_text_that_cannot_be_decoded_is_rejected_by_key() -> None:
    rig = Rig()
    (outcome,) = rig.hear(rig.truth.commit(tags="[1", model="x"))
    assert isinstance(outcome, Rejected)
    assert outcome.problems.keys() == {"tags"}
    assert rig.live == AI()


def test_unknown_keys_are_ignored_and_listed() -> None:
    rig = Rig()
    assert rig.hear(rig.truth.commit(later="1", threshold="0.5")) == [Applied("ai", 1, frozenset({"threshold"}))]
    assert rig.followed.unknown == {"later"}
    rig.hear(rig.truth.commit(Change("later", deleted=True)))
    assert rig.followed.unknown == frozenset()


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("enabled", "false", False),
        ("retries", "0", 0),
        ("threshold", "0", 0.0),
        ("model", "", ""),
        ("model", None, None),
        ("tags", "[]", []),
    ],
)
def test_empty_and_false_values_are_values(key: str, text: str | None, value: object) -> None:
    by_message, by_read = Rig(), Rig()
    assert by_message.hear(by_message.truth.commit(Change(key, text))) == [Applied("ai", 1, frozenset({key}))]
    by_read.truth.commit(Change(key, text))
    assert by_read.load() == Applied("ai", 1, frozenset({key}))
    for rig in (by_message, by_read):
        assert getattr(rig.live, key) == value
        assert type(getattr(rig.live, key)) is type(value)


def test_deleting_a_key_returns_to_the_default() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.9", model=None))
    assert rig.hear(rig.truth.commit(Change("threshold", deleted=True), Change("model", deleted=True))) == [
        Applied("ai", 2, frozenset({"threshold", "model"}))
    ]
    assert rig.live == AI()
    assert rig.followed.texts == {}


def test_a_pinned_key_does_not_move() -> None:
    rig = Rig(pins={"threshold": 0.1})
    assert rig.hear(rig.truth.commit(threshold="5", model="x")) == [Applied("ai", 1, frozenset({"model"}))]
    assert rig.live == AI(threshold=0.1, model="x")


def test_the_plain_echo_of_a_change_set_is_a_duplicate() -> None:
    rig = Rig()
    change_set = rig.truth.commit(Change("retries", deleted=True), threshold="0.90", model=None, tags="")
    outcomes = [rig.line.receive(*message) for message in published(change_set)]
    assert outcomes == [None] + [Duplicate("ai")] * 4


def test_an_echo_is_taken_for_one_once_only_if_it_proves_nothing() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(model=None))
    assert rig.plain("model", b"") == Duplicate("ai")
    assert rig.plain("model", b"") == NeedsRead("ai", "plain message", patient=True)


@pytest.mark.parametrize("data", [b"0.9", b"0.91", b" 0.90", b"\xff\xfe", b""])
def test_a_foreign_plain_text_is_a_hint(data: bytes) -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.90"))
    assert rig.plain("threshold", data) == NeedsRead("ai", "plain message", patient=True)
    assert rig.live.threshold == 0.9


def test_a_plain_text_of_an_unknown_key_is_a_hint() -> None:
    assert isinstance(Rig().plain("unheard_of", b"1"), NeedsRead)


def test_messages_that_came_before_the_first_read_ask_for_one() -> None:
    rig = Rig(load=False)
    change_set = rig.truth.commit(threshold="0.90")
    assert [rig.line.receive(*message) for message in published(change_set)] == [
        NeedsRead("ai", "nothing loaded yet"),
        NeedsRead("ai", "plain message"),
    ]


def test_a_forged_message_is_a_hint_that_may_not_wait() -> None:
    rig = Rig()
    assert rig.line.receive(b"config:ai:@commits", b"hotconfig1 1 00 {}") == NeedsRead(
        "ai", "unsigned or badly signed message"
    )


def test_messages_for_others_are_turned_away() -> None:
    rig = Rig()
    assert rig.line.receive(*signed(Truth("email").commit(a="1"))) == Stale("email")
    outcome = rig.line.receive(b"elsewhere", b"x")
    assert isinstance(outcome, Rejected)
    assert (outcome.service, outcome.stage) == (None, Stage.DECODE)
    assert rig.line.load(Truth("email").answer(None)) == Stale("email")


def test_old_and_repeated_change_sets_change_nothing() -> None:
    rig = Rig()
    sets = [rig.truth.commit(threshold=text) for text in ("0.1", "0.2", "0.3")]
    rig.hear(*sets)
    rig.told.clear()
    assert rig.hear(*sets) == [Stale("ai"), Stale("ai"), Duplicate("ai")]
    assert rig.live.threshold == 0.3
    assert rig.told == []


def test_change_sets_that_come_too_early_wait_for_their_parents() -> None:
    rig = Rig()
    one, two, three = (rig.truth.commit(threshold=text) for text in ("0.1", "0.2", "0.3"))
    assert rig.hear(three, two) == [NeedsRead("ai", "parent missing", patient=True)] * 2
    assert rig.live.threshold == 0.75
    assert rig.hear(one) == [Applied("ai", 3, frozenset({"threshold"}))] * 3
    assert rig.live.threshold == 0.3
    assert rig.followed.waiting == {}


def test_a_read_lets_those_that_wait_follow() -> None:
    rig = Rig()
    rig.truth.commit(threshold="0.1")
    answer = rig.truth.answer(rig.followed.head)
    rig.hear(rig.truth.commit(threshold="0.2"))
    assert rig.line.load(answer) == Applied("ai", 1, frozenset({"threshold"}))
    assert rig.line.flush() == [Applied("ai", 2, frozenset({"threshold"}))]
    assert rig.live.threshold == 0.2


def test_only_so_many_wait() -> None:
    rig = Rig()
    rig.truth.commit(retries="0")
    early = [rig.truth.commit(retries=str(number)) for number in range(1, MAX_WAITING + 2)]
    outcomes = rig.hear(*early)
    assert [cast("NeedsRead", outcome).patient for outcome in outcomes] == [True] * MAX_WAITING + [False]
    assert rig.load() == Applied("ai", len(early) + 1, frozenset({"retries"}))
    assert rig.followed.waiting == {}


def test_withheld_values_are_read_also_where_the_change_set_had_to_wait() -> None:
    rig = Rig()
    one = rig.truth.commit(threshold="0.1")
    hidden = rig.truth.commit(model="hidden", withhold=["model"])
    assert rig.hear(hidden) == [NeedsRead("ai", "parent missing", patient=True)]
    assert rig.hear(one) == [Applied("ai", 1, frozenset({"threshold"}))]
    assert rig.hear(hidden) == [NeedsRead("ai", "withheld")]
    assert rig.live.model == "gpt-4"
    assert rig.load() == Applied("ai", 2, frozenset({"model"}))
    assert rig.live.model == "hidden"


def test_a_read_that_was_overtaken_changes_nothing() -> None:
    rig = Rig()
    one = rig.truth.commit(threshold="0.1")
    answer = rig.truth.answer(rig.followed.head)
    rig.hear(one, rig.truth.commit(threshold="0.2"))
    assert rig.line.load(answer) == Stale("ai")
    assert rig.live.threshold == 0.2


def test_a_read_that_missed_a_move_of_the_reader_is_made_again() -> None:
    rig = Rig()
    asked = rig.followed.head
    one = rig.truth.commit(threshold="0.1")
    rig.truth.commit(threshold="0.2")
    rig.hear(one)
    assert rig.line.load(rig.truth.answer(asked)) == NeedsRead("ai", "moved while reading")
    assert rig.live.threshold == 0.1
    assert rig.load() == Applied("ai", 2, frozenset({"threshold"}))


def test_a_standby_that_lags_takes_nothing_back() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.1"), rig.truth.commit(threshold="0.2"))
    assert rig.load(lag=1, in_recovery=True) == Stale("ai")
    assert rig.live.threshold == 0.2
    assert rig.followed.head == rig.truth.head


def test_a_restored_backup_wins_loudly(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.hear(*(rig.truth.commit(threshold=text) for text in ("0.1", "0.2", "0.3")))
    rig.told.clear()
    rig.truth.restore(1)
    assert rig.load() == Applied("ai", 1, frozenset({"threshold"}))
    assert rig.live.threshold == 0.1
    assert [change.rewound for change in rig.told] == [True]
    assert "restored or failed over" in caplog.text
    assert rig.hear(rig.truth.commit(threshold="0.4")) == [Applied("ai", 2, frozenset({"threshold"}))]


def test_a_restored_backup_that_does_not_validate_counts_at_once_and_is_told_when_its_values_are_shown() -> None:
    rig = Rig()
    rig.hear(*(rig.truth.commit(threshold=text) for text in ("none", "0.2", "0.3")))
    rig.told.clear()
    rig.truth.restore(1)
    counters = Counters()
    counters.count(rig.load())
    assert (rig.live.threshold, rig.followed.head) == (0.3, rig.truth.head)
    assert (counters.rewinds, counters.rejected) == (1, {"validate": 1})
    for text in ("0.4", "0.5"):
        for outcome in rig.hear(rig.truth.commit(threshold=text)):
            counters.count(outcome)
    assert counters.rewinds == 1
    assert [change.rewound for change in rig.told] == [True, False]


def test_after_a_restore_nobody_waits_for_what_never_happened() -> None:
    rig = Rig()
    rig.truth.commit(threshold="0.1")
    rig.load()
    rig.truth.commit(threshold="0.2")
    rig.hear(*(rig.truth.commit(threshold="0.3") for _ in range(MAX_WAITING)))
    rig.truth.restore(0)
    rig.truth.commit(threshold="0.5")
    rig.load()
    assert rig.followed.waiting == {}
    rig.truth.commit(retries="1")
    assert rig.hear(rig.truth.commit(retries="2")) == [NeedsRead("ai", "parent missing", patient=True)]


def test_a_fork_asks_for_a_read() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.1"))
    rig.truth.restore(0)
    assert rig.hear(rig.truth.commit(threshold="0.2")) == [NeedsRead("ai", "fork")]
    assert rig.live.threshold == 0.1


def test_a_strict_first_load_that_does_not_validate_makes_no_live_object() -> None:
    rig = Rig(load=False)
    rig.truth.commit(threshold="7", retries="many")
    outcome = rig.load()
    assert isinstance(outcome, Rejected)
    assert outcome.problems.keys() == {"threshold", "retries"}
    assert rig.followed.live is None
    assert rig.hear(rig.truth.commit(threshold="0.5", retries="1")) == [Applied("ai", 2, frozenset(AI.model_fields))]
    assert rig.live == AI(threshold=0.5, retries=1)
    assert rig.told == []


def test_a_lenient_first_load_falls_back_key_by_key_and_says_so() -> None:
    rig = Rig(lenient=True, load=False)
    rig.truth.commit(threshold="7", model="gpt-5", tags="[")
    assert isinstance(rig.load(), Applied)
    assert rig.live == AI(model="gpt-5")
    assert rig.followed.problems.keys() >= {"threshold"} or rig.followed.problems.keys() >= {"tags"}
    assert rig.hear(rig.truth.commit(threshold="0.5", tags="[]"))[0] == Applied(
        "ai", 2, frozenset({"threshold", "tags"})
    )
    assert rig.followed.problems == {}


def test_a_lenient_first_load_falls_back_to_defaults_where_no_key_is_to_blame() -> None:
    rig = Rig(lenient=True, load=False)
    rig.truth.commit(low="20", model="gpt-5")
    assert isinstance(rig.load(), Applied)
    assert rig.live == AI()
    assert rig.followed.problems.keys() == {"*"}


def test_leniency_ends_with_the_first_load() -> None:
    rig = Rig(lenient=True)
    assert isinstance(rig.hear(rig.truth.commit(threshold="7", model="x"))[0], Rejected)
    assert rig.live == AI()


def test_a_validator_that_breaks_off_is_a_rejection_not_a_crash() -> None:
    @settings(service="ai")
    class Touchy(BaseModel):
        a: int = 1

        @model_validator(mode="after")
        def _touchy(self) -> Touchy:
            if self.a == 2:
                raise ZeroDivisionError
            return self

    truth, line = Truth(), Line(list[object]().append)
    line.keyring = chains.KEYRING
    followed = line.followed["ai"] = Followed(Blueprint(Touchy))
    line.load(truth.answer(None))
    line.receive(*signed(truth.commit(a="2")))
    (outcome,) = line.flush()
    assert isinstance(outcome, Rejected)
    assert outcome.problems == {"*": "a validator raised ZeroDivisionError"}
    assert followed.head == truth.head
    line.receive(*signed(truth.commit(a="3")))
    assert line.flush() == [Applied("ai", 2, frozenset({"a"}))]


def test_a_flush_touches_every_service_once() -> None:
    @settings(service="email")
    class Email(BaseModel):
        max_retries: int = 3

    rig = Rig()
    email = Truth("email")
    followed = rig.line.followed["email"] = Followed(Blueprint(Email))
    rig.line.load(email.answer(None))
    for change_set in (email.commit(max_retries="5"), rig.truth.commit(threshold="0.9")):
        assert rig.line.receive(*signed(change_set)) is None
    assert set(rig.line.flush()) == {
        Applied("ai", 1, frozenset({"threshold"})),
        Applied("email", 1, frozenset({"max_retries"})),
    }
    assert followed.head == email.head
    assert isinstance(followed.head, Head)


def test_a_forked_child_says_so_where_a_primary_has_lost_what_its_parent_was_about_to_show() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.1"))
    assert rig.line.receive(*signed(rig.truth.commit(threshold="0.2"))) is None
    reborn(rig)
    rig.truth.restore(1)
    assert rig.load() == Applied("ai", 1, frozenset(), rewound=True)


def reborn(rig: Rig) -> Followed[Any]:
    """As in a forked child, which has its parent's live object and knows no head yet."""
    rig.followed = rig.line.followed["ai"] = rig.followed.reborn()
    return rig.followed


def test_a_child_that_is_forked_while_its_parent_goes_back_says_so_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.1"), rig.truth.commit(threshold="0.2"))
    rig.truth.restore(1)
    rig.truth.commit(threshold="0.3")

    def fork(*_: object) -> None:
        raise ForkedError

    with monkeypatch.context() as interrupted:
        interrupted.setattr("hotconfig.core.line.swap", fork)
        with pytest.raises(ForkedError):
            rig.load()
    reborn(rig)
    rig.told.clear()
    rig.load()
    assert [(change.new.threshold, change.rewound) for change in rig.told] == [(0.3, True)]


class ForkedError(Exception):
    """What the parent was about to do, the child does anew."""


def test_a_forked_child_does_not_go_back_with_a_standby_that_lags_behind_its_parent() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.1"), rig.truth.commit(threshold="0.2"))
    followed = reborn(rig)
    assert rig.load(lag=1, in_recovery=True) == Stale("ai")
    assert rig.live.threshold == 0.2
    assert followed.shown == rig.truth.head
    assert rig.load(in_recovery=True) == Applied("ai", 2, frozenset())


def test_a_forked_child_says_so_where_a_primary_has_lost_what_its_parent_showed() -> None:
    rig = Rig()
    rig.hear(rig.truth.commit(threshold="0.1"), rig.truth.commit(threshold="0.2"))
    reborn(rig)
    rig.truth.restore(1)
    assert rig.load() == Applied("ai", 1, frozenset({"threshold"}), rewound=True)
    assert rig.told[-1].rewound
    assert rig.live.threshold == 0.1
