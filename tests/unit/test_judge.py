"""What a reader does with a change set or a read, case by case."""

from __future__ import annotations

import pytest

from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.judge import Loaded, Reading, Verdict, applied, judge, judge_loaded, judge_whole


def head(revision: int, branch: str = "") -> Head:
    return Head(revision, f"{revision}{branch}".encode().ljust(32, b"\0"))


def step(parent: Head, to: Head, *, withheld: bool = False) -> ChangeSet:
    return ChangeSet("ai", parent, to, (Change("a", None if withheld else "1", withheld=withheld),), "now", "ann")


@pytest.mark.parametrize(
    ("parent", "to", "verdict"),
    [
        (head(5), head(6), Verdict.APPLY),
        (head(4), head(5), Verdict.DUPLICATE),
        (head(3), head(4), Verdict.STALE),
        (head(3, "x"), head(4, "x"), Verdict.STALE),
        (head(6), head(7), Verdict.AHEAD),
        (head(90), head(91), Verdict.AHEAD),
        (head(4), head(5, "x"), Verdict.FORK),
        (head(4, "x"), head(5, "x"), Verdict.FORK),
        (head(5, "x"), head(6), Verdict.FORK),
        (head(0), head(1), Verdict.STALE),
    ],
)
def test_a_change_set_held_against_revision_5(parent: Head, to: Head, verdict: Verdict) -> None:
    assert judge(step(parent, to), head(5)) is verdict


def test_the_next_one_without_its_values_needs_a_read() -> None:
    assert judge(step(head(5), head(6), withheld=True), head(5)) is Verdict.WITHHELD
    assert judge(step(head(4), head(5), withheld=True), head(5)) is Verdict.DUPLICATE
    assert judge(step(head(6), head(7), withheld=True), head(5)) is Verdict.AHEAD


def test_the_first_commit_follows_from_genesis() -> None:
    assert judge(step(genesis("ai"), head(1)), genesis("ai")) is Verdict.APPLY
    assert judge(step(genesis("email"), head(1)), genesis("ai")) is Verdict.FORK


@pytest.mark.parametrize(
    ("asked", "found", "known", "in_recovery", "reading"),
    [
        (5, head(5), True, False, Reading.CURRENT),
        (3, head(5), False, False, Reading.CURRENT),
        (5, head(8), True, False, Reading.FORWARD),
        (5, head(8), True, True, Reading.FORWARD),
        (5, head(4), False, False, Reading.REWIND),
        (5, head(8), False, False, Reading.REWIND),
        (5, head(5, "x"), False, False, Reading.REWIND),
        (5, head(4), False, True, Reading.BEHIND),
        (5, head(5, "x"), False, True, Reading.REWIND),
        (5, head(8, "x"), False, True, Reading.REWIND),
        (3, head(4), True, False, Reading.OVERTAKEN),
        (3, head(8), True, False, Reading.AGAIN),
        (3, head(5, "x"), True, False, Reading.AGAIN),
        (3, head(4), False, False, Reading.AGAIN),
        (3, head(4), False, True, Reading.AGAIN),
    ],
)
def test_a_read_held_against_revision_5(
    asked: int, found: Head, known: bool, in_recovery: bool, reading: Reading
) -> None:
    loaded = Loaded("ai", head(asked), found, known, (), in_recovery)
    assert judge_loaded(loaded, head(5)) is reading


@pytest.mark.parametrize("in_recovery", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_whoever_has_nothing_takes_what_is_there(known: bool, in_recovery: bool) -> None:
    loaded = Loaded("ai", genesis("ai"), head(4), known, (), in_recovery)
    assert judge_loaded(loaded, None) is Reading.REPLACE


def test_changes_are_applied_to_a_copy() -> None:
    before: dict[str, str | None] = {"a": "1", "b": "2", "c": "3"}
    changes = (Change("a", None), Change("b", deleted=True), Change("d", ""), Change("never", deleted=True))
    assert applied(before, changes) == {"a": None, "c": "3", "d": ""}
    assert before == {"a": "1", "b": "2", "c": "3"}


def test_a_key_deleted_and_set_anew_in_one_commit_is_there() -> None:
    assert applied({"a": "1"}, (Change("a", deleted=True), Change("a", "2"))) == {"a": "2"}
    assert applied({"a": "1"}, (Change("a", "2"), Change("a", deleted=True))) == {}


@pytest.mark.parametrize(
    ("found", "in_recovery", "reading"),
    [
        (head(4), False, Reading.REWIND),
        (head(4), True, Reading.BEHIND),
        (head(5, "x"), False, Reading.REWIND),
        (head(5, "x"), True, Reading.REWIND),
        (head(5), True, Reading.AGAIN),
        (head(6), True, Reading.REPLACE),
        (head(8), False, Reading.REPLACE),
    ],
)
def test_a_read_of_everything_held_against_a_reader_begun_at_5_and_now_at_6(
    found: Head, in_recovery: bool, reading: Reading
) -> None:
    assert judge_whole(Loaded("ai", head(6), found, True, (), in_recovery), head(6), head(5)) is reading
