"""The oracle on observations made by hand: it is silent about what is right, and names the rule that does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.faults.harness.declared import DEFAULTS, State, expected
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
from tests.faults.harness.oracle import Row, Truth, judge

BOUND_S = 5.0
GENESIS = (0, "genesis")


def commit(revision: int, branch: str = "", **texts: str) -> list[Row]:
    """The rows of one commit; its digest is that of the last of them."""
    last = len(texts)
    return [
        Row(revision, ordinal, key, "update", text, f"{revision}{branch}" if ordinal == last else "within")
        for ordinal, (key, text) in enumerate(texts.items(), start=1)
    ]


HISTORY = [
    *commit(1, left="1", right="1", stamp="ann 1"),
    *commit(2, left="2", right="2", stamp="ann 2"),
    *commit(3, low="9", high="1"),  # readers reject it
    *commit(4, low="1", high="9", left="4", right="4", stamp="ann 4"),
]
LOST = [*HISTORY[:6], *commit(3, "lost", left="3", right="3", stamp="bob 3")]


def truth(*lost: list[Row]) -> Truth:
    made = Truth((4, "4"), rewinds=len(lost))
    made.begin(GENESIS)
    for rows in (*lost, HISTORY):
        made.add(rows, expected)
    return made


def state(number: int, **others: int | str | None) -> State:
    """What readers show at a revision of the history."""
    stamps: Mapping[int, str] = {0: "", 1: "ann 1", 2: "ann 2", 3: "bob 3", 4: "ann 4"}
    bounds = {"low": 1, "high": 9} if number == 4 else {}
    return {**DEFAULTS, "left": number, "right": number, "stamp": stamps[number], **bounds, **others}


def told(revision: int, old: int, new: int, **differences: object) -> Told:
    before, after = state(old), state(new)
    keys = sorted(key for key in after if before[key] != after[key])
    return replace(Told(revision, before, after, keys, rewound=False), **differences)  # type: ignore[arg-type]


def stood(revision: int, shown: int, number: int, after: int | None = None, rewinds: int = 0) -> Stood:
    head: HeadSeen = (revision, str(revision)) if revision else GENESIS
    return Stood(head, shown, state(number), revision if after is None else after, rewinds)


SETTLED = Settled((4, "4"), 4, state(4), state(4), 0.3, "READY", 0, 0, 0, 0)
WHOLE: list[Observation] = [
    Born(7, 1, 5),
    Bound(state(0)),
    Shown(state(0)),
    stood(0, 0, 0),
    told(1, 0, 1),
    Shown(state(1)),
    stood(1, 1, 1),
    stood(3, 2, 2),
    told(2, 1, 2),
    told(4, 2, 4),
    Shown(state(4)),
    stood(4, 4, 4),
    SETTLED,
    Closed(1, 5),
]


def rules(observations: list[Observation], *lost: list[Row], killed: bool = False) -> set[str]:
    """The rules that do not hold."""
    return {
        found.rule for found in judge(truth(*lost), [Story("reader", observations, killed=killed)], bound_s=BOUND_S)
    }


def without(kind: type[Observation]) -> list[Observation]:
    return [seen for seen in WHOLE if not isinstance(seen, kind)]


def test_a_reader_that_did_all_right_is_not_accused() -> None:
    assert rules(WHOLE) == set()


def test_a_reader_that_was_killed_need_not_come_to_an_end() -> None:
    assert rules(WHOLE[:7], killed=True) == set()
    assert rules(WHOLE[:7]) == {"d"}


def test_several_commits_may_be_told_as_one() -> None:
    assert rules([*without(Told)[:2], told(2, 0, 2), told(4, 2, 4), *without(Told)[2:]]) == set()


@pytest.mark.parametrize(
    "back",
    [
        [Shown(state(2)), Shown(state(1)), Shown(state(4))],
        [stood(2, 2, 2), stood(1, 1, 1), stood(4, 4, 4)],
        [stood(3, 2, 2), stood(2, 2, 2), stood(4, 4, 4)],
    ],
)
def test_going_back_is_noticed(back: list[Observation]) -> None:
    assert "a" in rules([*WHOLE[:2], *back, *WHOLE[-2:]])


def unsaid(seen: Observation) -> Observation:
    """The same without a word of a rewind."""
    if isinstance(seen, Stood):
        return replace(seen, rewinds=0)
    return replace(seen, rewound=False) if isinstance(seen, Told) else seen


def test_going_back_is_right_where_postgresql_did_and_the_reader_said_so() -> None:
    seen: list[Observation] = [
        *(Shown(state(3)), Stood((3, "3lost"), 3, state(3), 3, 0), told(3, 0, 3)),
        *(Shown(state(2)), stood(2, 2, 2, rewinds=1), told(2, 3, 2, rewound=True)),
        *(Shown(state(4)), stood(4, 4, 4, rewinds=1), told(4, 2, 4)),
    ]
    ending = replace(SETTLED, rewinds=1)
    assert rules([*WHOLE[:2], *seen, ending, WHOLE[-1]], LOST) == set()
    silent = [unsaid(each) for each in seen]
    assert rules([*WHOLE[:2], *silent, SETTLED, WHOLE[-1]], LOST) == {"a", "b", "e"}


def test_a_rewind_that_postgresql_never_made_is_noticed() -> None:
    assert rules([*WHOLE[:-2], replace(SETTLED, rewinds=1), WHOLE[-1]]) == {"a"}


def test_a_shown_revision_beyond_the_head_is_noticed() -> None:
    assert rules([*WHOLE[:6], replace(stood(1, 1, 1), shown=2), *WHOLE[7:]]) == {"a"}


@pytest.mark.parametrize(
    "invented",
    [
        Shown(state(1, stamp="ann 2")),
        Shown(state(2, low=9, high=1)),
        replace(stood(1, 1, 1), state=state(1, note="forged")),
        replace(stood(1, 1, 1), head=(1, "forged")),
    ],
)
def test_a_state_or_head_that_never_was_is_noticed(invented: Observation) -> None:
    assert "b" in rules([*WHOLE[:5], invented, *WHOLE[6:]])


def test_a_callback_with_the_state_of_another_revision_is_noticed() -> None:
    assert "b" in rules([told(3, 0, 2) if seen == told(2, 1, 2) else seen for seen in WHOLE])


def test_a_state_that_stays_behind_the_revision_that_is_named_is_noticed() -> None:
    assert "b" in rules([*WHOLE[:3], stood(1, 1, 0), stood(2, 2, 0), *WHOLE[4:]])


def test_a_state_ahead_of_the_revision_that_is_named_is_noticed() -> None:
    assert "b" in rules([*WHOLE[:3], stood(1, 1, 2), *WHOLE[4:]])


def test_half_of_a_commit_is_noticed() -> None:
    assert rules([*WHOLE[:5], Shown(state(2, right=1)), *WHOLE[6:]]) == {"c"}
    assert rules([*WHOLE[:6], replace(stood(1, 1, 1), state=state(1, left=0)), *WHOLE[7:]]) == {"c"}


@pytest.mark.parametrize(
    "differently",
    [
        replace(SETTLED, head=(2, "2")),
        replace(SETTLED, shown=2),
        replace(SETTLED, state=state(2), told=state(2)),
        replace(SETTLED, within_s=BOUND_S + 1),
        replace(SETTLED, process_state="DEGRADED"),
    ],
)
def test_a_reader_that_does_not_come_to_rest_is_noticed(differently: Settled) -> None:
    assert rules([*WHOLE[:-2], differently, WHOLE[-1]]) == {"d"}


@pytest.mark.parametrize(
    "calls",
    [
        [told(1, 0, 1), told(1, 1, 1), told(4, 1, 4)],
        [told(2, 0, 2), told(1, 2, 1), told(4, 1, 4)],
        [told(1, 0, 1), told(4, 2, 4)],
        [told(1, 0, 1, keys=["left"]), told(4, 1, 4)],
    ],
)
def test_a_callback_too_many_too_late_or_out_of_order_is_noticed(calls: list[Observation]) -> None:
    before, after = without(Told)[:2], without(Told)[2:]
    assert "e" in rules([*before, *calls, *after])


def test_a_change_that_was_not_told_is_noticed() -> None:
    assert rules([*WHOLE[:-2], replace(SETTLED, told=state(2)), WHOLE[-1]]) == {"e"}
    assert rules([*without(Told)[:-2], replace(SETTLED, told=None), WHOLE[-1]]) == {"e"}


@pytest.mark.parametrize("left", [Closed(2, 5), Closed(1, 6)])
def test_threads_and_descriptors_that_are_left_over_are_noticed(left: Closed) -> None:
    assert rules([*WHOLE[:-1], left]) == {"f"}


@pytest.mark.parametrize(
    "written",
    [
        Wrote("ann 1", 2),
        Wrote("ann 3", 3),
        Refused("ann 2", "ConflictError"),
    ],
)
def test_a_write_that_is_not_what_its_writer_was_told_is_noticed(written: Observation) -> None:
    assert rules([*WHOLE, written]) == {"w"}


def test_writes_that_are_what_their_writer_was_told_are_right() -> None:
    assert rules([*WHOLE, Wrote("ann 1", 1), Refused("ann 3", "Conflict"), Unknown("ann 2"), Unknown("x")]) == set()


def test_a_write_that_was_made_twice_is_noticed() -> None:
    made = truth()
    made.add([*HISTORY, *commit(5, left="5", stamp="ann 1")], expected)
    assert {found.rule for found in judge(made, [], bound_s=BOUND_S)} == {"w"}


@pytest.mark.parametrize("broken", [Broke("did not end"), replace(SETTLED, line_errors=1)])
def test_what_may_not_raise_is_noticed(broken: Observation) -> None:
    assert rules([*WHOLE[:-2], broken, *WHOLE[-2:]]) == {"x"}
