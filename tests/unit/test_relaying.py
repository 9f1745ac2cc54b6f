"""What the relay decides: what was announced in time is not read, everything else is, and no order loses a commit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.relaying import (
    DOUBT_S,
    MAX_ASKED,
    REACH,
    REORDERED_S,
    SETTLE_S,
    Missed,
    Relaying,
    Row,
    Standing,
)
from tests.support.chains import Truth


def row(revision: int, key: str, text: str | None = "1", **others: object) -> Row:
    fixed: dict[str, object] = {
        "deleted": False,
        "withheld": False,
        "everyones": True,
        "by": "ann",
        "reason": "why",
        "at": f"at {revision}",
        "digest": bytes([revision]) * 32,
    }
    return Row(revision, key, text, **(fixed | others))  # type: ignore[arg-type]


def missed(truth: Truth, asked: Head) -> Missed:
    """What PostgreSQL would answer."""
    heads = [genesis(truth.service), *(commit.head for commit in truth.commits)]
    known = asked in heads
    base = heads[max(asked.revision, len(heads) - 1 - REACH)] if known else heads[-2]
    rows = [
        row(commit.head.revision, change.key, change.text, digest=commit.head.digest)
        for commit in truth.commits[base.revision :]
        for change in commit.changes
    ]
    return Missed(truth.service, known, truth.head, base, tuple(rows))


@dataclass
class Desk:
    """A relay at work on one service, without threads: what is due is read and announced."""

    truth: Truth = field(default_factory=Truth)
    relaying: Relaying = field(default_factory=Relaying)
    announced: list[ChangeSet] = field(default_factory=list)
    reads: int = 0

    def standing(self, *, lately: bool = False) -> Standing:
        parent = self.truth.commits[-1].parent if self.truth.commits else genesis(self.truth.service)
        return Standing(self.truth.service, self.truth.head, parent, lately)

    def commit(self, text: str = "1") -> ChangeSet:
        return self.truth.commit(threshold=text)

    def work(self, now_s: float) -> list[int]:
        """Read and announce what is due; the revisions announced."""
        asked = self.relaying.due(now_s)
        if not asked:
            return []
        self.reads += 1
        answered = [missed(self.truth, head) for head in asked.values() if self.truth.commits]
        made = [change_set for one in answered for change_set in one.change_sets()]
        for change_set in made:
            self.relaying.announced(change_set)
        self.relaying.settle(asked, answered)
        self.announced += made
        return [change_set.head.revision for change_set in made]


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.commit()
    made.relaying.begin([made.standing()], 0.0)
    return made


# What is announced -------------------------------------------------------------------------------------------


def test_a_commit_that_nobody_announces_is_announced_after_a_moment(desk: Desk) -> None:
    commit = desk.commit("0.9")
    desk.relaying.notified("ai", 2, 1.0)
    assert desk.relaying.next_s() == 1.0 + SETTLE_S
    assert desk.work(1.0) == []
    assert desk.work(1.0 + SETTLE_S) == [2]
    assert (desk.announced[0].parent, desk.announced[0].head) == (commit.parent, commit.head)
    assert desk.relaying.next_s() == math.inf


@pytest.mark.parametrize("heard_first", [True, False])
def test_a_commit_that_its_writer_announces_costs_no_read(desk: Desk, heard_first: bool) -> None:
    for revision in range(2, 20):
        commit = desk.commit()
        if heard_first:
            desk.relaying.heard(commit, revision)
        desk.relaying.notified("ai", revision, revision)
        if not heard_first:
            desk.relaying.heard(commit, revision + SETTLE_S / 2)
        assert desk.relaying.next_s() == math.inf
    assert desk.relaying.skipped == 18


def test_commits_announced_out_of_order_but_in_time_cost_no_read(desk: Desk) -> None:
    commits = [desk.commit() for _ in range(4)]
    for revision in (2, 3, 4, 5):
        desk.relaying.notified("ai", revision, 1.0)
    for place in (1, 0, 2, 3):
        desk.relaying.heard(commits[place], 1.0)
    assert desk.relaying.next_s() == math.inf


def test_an_old_announcement_that_stays_the_last_is_followed_by_the_newest_again(desk: Desk) -> None:
    first, second = desk.commit("0.1"), desk.commit("0.2")
    for commit in (first, second, first):
        desk.relaying.heard(commit, 1.0)
    desk.relaying.notified("ai", 2, 1.0)
    desk.relaying.notified("ai", 3, 1.0)
    assert desk.work(1.0 + SETTLE_S) == []
    assert desk.work(1.0 + REORDERED_S) == [3]


def test_a_replay_of_long_ago_is_answered_with_nothing(desk: Desk) -> None:
    old = desk.commit()
    desk.relaying.begin([], 0.0)
    for _ in range(REACH + 1):
        desk.commit()
    desk.relaying.begin([desk.standing()], 0.0)
    desk.relaying.heard(old, 1.0)
    assert desk.relaying.next_s() == math.inf


def test_a_storm_that_its_writers_announce_is_never_read(desk: Desk) -> None:
    for step in range(2, 500):
        now_s = step / 1000
        commit = desk.commit()
        desk.relaying.notified("ai", step, now_s)
        assert desk.work(now_s) == []
        desk.relaying.heard(commit, now_s + 0.0005)


def test_a_service_that_was_never_written_to_begins_at_its_genesis(desk: Desk) -> None:
    desk.relaying.begin([], 0.0)
    desk.relaying.notified("ai", 1, 1.0)
    assert desk.relaying.due(2.0) == {"ai": genesis("ai")}
    assert desk.work(2.0) == [1]


def test_a_service_that_postgresql_does_not_know_is_forgotten() -> None:
    relaying = Relaying()
    relaying.notified("made up", 7, 1.0)
    asked = relaying.due(2.0)
    relaying.settle(asked, [])
    assert relaying.next_s() == math.inf
    assert relaying._services == {}


def test_more_services_than_one_read_takes_are_read_one_after_the_other() -> None:
    relaying = Relaying()
    for number in range(MAX_ASKED + 1):
        relaying.notified(f"s{number}", 1, 1.0)
    asked = relaying.due(2.0)
    assert len(asked) == MAX_ASKED
    relaying.settle(asked, [])
    assert len(relaying.due(2.0)) == 1


# Where it starts ---------------------------------------------------------------------------------------------


def test_a_new_leader_announces_again_what_moved_lately_and_nothing_else() -> None:
    desk = Desk()
    for _ in range(3):
        desk.commit()
    desk.relaying.begin([desk.standing()], 1.0)
    assert desk.work(1.0) == []
    desk.relaying.forget()
    desk.relaying.begin([desk.standing(lately=True)], 1.0)
    assert desk.work(1.0) == [3]


def test_who_lost_the_connection_goes_on_from_where_it_was(desk: Desk) -> None:
    for _ in range(3):
        desk.commit()
    desk.relaying.begin([desk.standing(lately=True)], 1.0)
    assert desk.work(1.0) == [2, 3, 4]


def test_who_missed_much_announces_what_is_within_reach(desk: Desk) -> None:
    for _ in range(REACH + 20):
        desk.commit()
    desk.relaying.begin([desk.standing()], 1.0)
    assert desk.work(1.0) == list(range(22, REACH + 22))


def test_a_rewound_database_is_announced_from_where_it_stands(desk: Desk) -> None:
    desk.commit("0.1")
    desk.relaying.begin([desk.standing()], 1.0)
    assert desk.work(1.0) == [2]
    desk.truth.restore(1)
    desk.commit("0.2")
    desk.relaying.begin([desk.standing()], 2.0)
    assert desk.work(2.0) == [2]


def test_a_word_of_postgresql_that_does_not_grow_is_looked_into(desk: Desk) -> None:
    desk.commit("0.1")
    desk.relaying.notified("ai", 2, 1.0)
    assert desk.work(1.0 + SETTLE_S) == [2]
    desk.truth.restore(1)
    desk.commit("0.2")
    desk.relaying.notified("ai", 2, 2.0)
    assert desk.work(2.0 + SETTLE_S) == []
    assert desk.work(2.0 + DOUBT_S) == [2]


def test_what_redis_did_not_take_falls_due_again(desk: Desk) -> None:
    commits = [desk.commit() for _ in range(3)]
    desk.relaying.notified("ai", 4, 1.0)
    assert desk.relaying.due(2.0) == {"ai": commits[0].parent}
    desk.relaying.announced(commits[0])  # and then Redis went away
    assert desk.relaying.due(2.0) == {"ai": commits[0].head}


# Change sets -------------------------------------------------------------------------------------------------


def made_of(*rows: Row) -> list[ChangeSet]:
    return Missed("ai", known=True, head=Head(9, b"h" * 32), base=Head(0, b"b" * 32), rows=rows).change_sets()


def test_each_revision_is_one_change_set_and_they_are_a_chain() -> None:
    first, second = made_of(row(1, "a"), row(1, "b", digest=b"x" * 32), row(2, "a"))
    assert (first.parent, first.head) == (Head(0, b"b" * 32), Head(1, b"x" * 32))
    assert (second.parent, second.head) == (first.head, Head(2, b"\2" * 32))
    assert first.changes == (Change("a", "1"), Change("b", "1"))
    assert (first.by, first.reason, first.at) == ("ann", "why", "at 1")


def test_what_a_commit_leaves_behind_counts() -> None:
    (only,) = made_of(row(1, "a", "1"), row(1, "b", "1"), row(1, "a", "2"), row(1, "b", None, deleted=True))
    assert only.changes == (Change("a", "2"), Change("b", deleted=True))


def test_a_key_that_was_withheld_at_any_time_in_a_commit_is_withheld() -> None:
    (only,) = made_of(
        row(1, "a", None, withheld=True), row(1, "a", "2"), row(1, "b", None, deleted=True, withheld=True)
    )
    assert only.changes == (Change("a", withheld=True), Change("b", deleted=True))


def test_a_tenants_value_moves_the_head_and_is_not_told() -> None:
    (mixed, alone) = made_of(
        row(1, "a", "1"), row(1, "a", None, withheld=True, everyones=False), row(2, "b", None, everyones=False)
    )
    assert mixed.changes == (Change("a", "1"),)
    assert (alone.changes, alone.complete, alone.head.revision) == ((), True, 2)


# Any order ---------------------------------------------------------------------------------------------------


class Stream:
    """Redis: what was announced, by whomever, in the order in which all hear it; the relay hears it later."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.published: list[ChangeSet] = []
        self.heard = 0

    def hear(self, count: int, now_s: float) -> None:
        for change_set in self.published[self.heard : self.heard + count]:
            self.desk.relaying.heard(change_set, now_s)
            self.heard += 1

    def work(self, now_s: float) -> None:
        before = len(self.desk.announced)
        self.desk.work(now_s)
        self.published += self.desk.announced[before:]


STEPS = ["commit", "publish", "commit and publish", "repeat", "notify", "hear", "work"]


@given(st.data())
def test_whatever_is_lost_doubled_reordered_or_late_every_commit_is_announced_and_the_newest_last(
    data: st.DataObject,
) -> None:
    desk = Desk()
    desk.commit()
    desk.relaying.begin([desk.standing()], 0.0)
    stream, now_s, held, notified = Stream(desk), 0.0, list[ChangeSet](), 1
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=40)):
        now_s += data.draw(st.sampled_from([0.0, 0.005, SETTLE_S, 0.5]))
        match step:
            case "commit":
                held.append(desk.commit())
            case "commit and publish":
                stream.published.append(desk.commit())
            case "publish" if held:
                stream.published.append(held.pop(data.draw(st.integers(0, len(held) - 1))))
            case "repeat" if stream.published:
                stream.published.append(data.draw(st.sampled_from(stream.published)))
            case "notify" if notified < desk.truth.head.revision:
                notified += 1
                desk.relaying.notified("ai", notified, now_s)
            case "hear":
                stream.hear(data.draw(st.integers(1, 5)), now_s)
            case _:
                stream.work(now_s)
    for revision in range(notified + 1, desk.truth.head.revision + 1):
        desk.relaying.notified("ai", revision, now_s)
    for _ in range(5):
        stream.hear(len(stream.published), now_s)
        now_s += 2.0
        stream.work(now_s)
    assert desk.relaying.next_s() == math.inf
    assert {commit.head for commit in desk.truth.commits[1:]} <= {told.head for told in stream.published}
    assert not stream.published or stream.published[-1].head == desk.truth.head
