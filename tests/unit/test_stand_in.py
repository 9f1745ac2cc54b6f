"""What stands in while PostgreSQL is away, and how PostgreSQL's own word takes its place."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import hotconfig
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change, ChangeSet, Head
from hotconfig.core.followed import Followed, StandIn, head_of
from hotconfig.core.judge import Loaded
from hotconfig.core.lastgood import fit_to_keep
from hotconfig.core.line import Line
from hotconfig.core.listeners import Changed
from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Outcome, Rejected, Stale
from hotconfig.core.status import Origin
from tests.support.fakes import MemoryTruth


@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str = "gpt-4"
    token_hint: Annotated[str, hotconfig.Sensitive()] = "none"


class Required(BaseModel):
    must: int


hotconfig.settings(service="strict")(Required)


class World:
    """A truth, a line that follows one service of it, and what was kept before PostgreSQL went away."""

    def __init__(self) -> None:
        self.truth = MemoryTruth()
        self.told: list[Changed[Any]] = []
        self.line = Line(self.told.append)
        self.followed = Followed(Blueprint(AI))
        self.line.followed["ai"] = self.followed

    def kept(self) -> StandIn:
        """What a process that shows the newest commit would keep."""
        (loaded,) = self.truth.load({"ai": Head(0, b"")}).loaded
        texts = {change.key: change.text for change in loaded.changes if not change.deleted}
        return StandIn(loaded.head, *fit_to_keep(texts, AI.model_fields, {"token_hint"}))

    def read(self) -> Outcome:
        (loaded,) = self.truth.load({"ai": head_of(self.followed)}).loaded
        return self.line.load(loaded)

    @property
    def live(self) -> AI:
        assert self.followed.live is not None
        return self.followed.live


@pytest.fixture
def world() -> World:
    made = World()
    made.truth.commit("ai", Change("threshold", "0.8"))
    made.truth.commit("ai", Change("model", "gpt-5"))
    return made


def test_it_is_shown_and_says_so(world: World) -> None:
    assert isinstance(world.line.stand_in(world.followed, world.kept()), Applied)
    assert (world.live.threshold, world.live.model) == (0.8, "gpt-5")
    assert world.followed.stand_in is not None
    assert world.followed.stand_in.origin is Origin.LAST_KNOWN_GOOD


def test_where_nothing_changed_meanwhile_nobody_is_told_anything(world: World) -> None:
    world.line.stand_in(world.followed, world.kept())
    assert isinstance(world.read(), Duplicate)
    assert world.followed.stand_in is None
    assert world.told == []


def test_only_what_changed_meanwhile_is_read(world: World) -> None:
    world.line.stand_in(world.followed, world.kept())
    world.truth.commit("ai", Change("threshold", "0.9"))
    assert world.read() == Applied("ai", 3, frozenset({"threshold"}))
    assert world.truth.asked[-1]["ai"].revision == 2
    assert [change.keys for change in world.told] == [{"threshold"}]


def test_a_database_that_was_restored_meanwhile_wins_loudly(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.line.stand_in(world.followed, world.kept())
    world.truth.rewind("ai", 1)
    assert isinstance(world.read(), Applied)
    assert (world.live.threshold, world.live.model) == (0.8, "gpt-4")
    assert [change.rewound for change in world.told] == [True]
    assert "restored or failed over" in caplog.text


def test_a_standby_that_is_behind_changes_nothing(world: World) -> None:
    kept = world.kept()
    world.line.stand_in(world.followed, kept)
    (loaded,) = world.truth.load({"ai": head_of(world.followed)}).loaded
    behind = Loaded("ai", loaded.asked, Head(1, b"x" * 32), known=False, changes=(), in_recovery=True)
    assert isinstance(world.line.load(behind), Stale)
    assert world.followed.stand_in is kept


def test_keys_that_were_left_out_fall_to_what_lies_below_and_are_fetched(world: World) -> None:
    world.truth.commit("ai", Change("token_hint", "abc"))
    kept = world.kept()
    assert kept.withheld == {"token_hint"}
    world.line.stand_in(world.followed, kept)
    assert world.live.token_hint == "none"
    assert world.read() == Applied("ai", 3, frozenset({"token_hint"}))
    assert world.live.token_hint == "abc"
    assert world.followed.stand_in is None
    assert head_of(world.followed).revision == 3


def test_a_restored_database_wins_loudly_also_where_keys_were_left_out(world: World) -> None:
    world.truth.commit("ai", Change("token_hint", "abc"))
    world.line.stand_in(world.followed, world.kept())
    world.truth.rewind("ai", 1)
    assert world.read() == Applied("ai", 1, frozenset({"model"}), rewound=True)
    assert [change.rewound for change in world.told] == [True]


def test_a_change_set_that_overtakes_the_read_is_not_undone_where_keys_were_left_out(world: World) -> None:
    world.truth.commit("ai", Change("token_hint", "abc"))
    world.line.stand_in(world.followed, world.kept())
    (loaded,) = world.truth.load({"ai": head_of(world.followed)}).loaded
    world.line.judge(world.truth.commit("ai", Change("threshold", "0.9")))
    world.line.flush()
    assert isinstance(world.line.load(loaded), NeedsRead)
    assert world.live.threshold == 0.9
    world.read()
    assert (world.live.threshold, world.live.token_hint) == (0.9, "abc")


def test_defaults_stand_in_and_who_listens_hears_what_postgresql_says_instead(world: World) -> None:
    assert isinstance(world.line.stand_in(world.followed, StandIn()), Applied)
    assert (world.live.threshold, world.live.model) == (0.75, "gpt-4")
    assert world.followed.stand_in is not None
    assert world.followed.stand_in.origin is Origin.DEFAULTS
    world.read()
    (change,) = world.told
    assert (change.keys, change.revision) == (frozenset({"threshold", "model"}), 2)
    assert world.followed.stand_in is None


def test_what_does_not_validate_is_not_shown_and_the_service_is_loaded_as_ever(world: World) -> None:
    given = StandIn(Head(9, b"d" * 32), {"threshold": "7"})
    outcome = world.line.stand_in(world.followed, given)
    assert isinstance(outcome, Rejected)
    assert outcome.problems.keys() == {"threshold"}
    assert (world.followed.live, world.followed.head, world.followed.stand_in) == (None, None, None)
    assert isinstance(world.read(), Applied)
    assert world.live.threshold == 0.8


def test_a_lenient_binding_takes_what_is_good_of_it(world: World) -> None:
    world.followed.lenient = True
    given = StandIn(Head(9, b"d" * 32), {"threshold": "7", "model": "gpt-5"})
    assert isinstance(world.line.stand_in(world.followed, given), Applied)
    assert (world.live.threshold, world.live.model) == (0.75, "gpt-5")
    assert world.followed.problems.keys() == {"threshold"}


def test_defaults_cannot_stand_in_for_a_field_that_has_none() -> None:
    line = Line(lambda _: None)
    line.followed["strict"] = followed = Followed(Blueprint(Required))
    assert isinstance(line.stand_in(followed, StandIn()), Rejected)
    assert followed.live is None


def test_nothing_stands_in_once_postgresql_has_answered(world: World) -> None:
    kept = world.kept()
    world.truth.commit("ai", Change("threshold", "0.9"))
    world.read()
    assert world.line.stand_in(world.followed, kept) is None
    assert world.live.threshold == 0.9
    assert world.followed.stand_in is None


def test_a_forked_child_of_a_stand_in_knows_what_it_shows(world: World) -> None:
    world.line.stand_in(world.followed, world.kept())
    world.line.followed["ai"] = world.followed = world.followed.reborn()
    assert world.followed.stand_in is not None
    world.truth.commit("ai", Change("threshold", "0.9"))
    world.read()
    assert world.live.threshold == 0.9
    assert world.followed.stand_in is None


texts = {
    "threshold": st.sampled_from(["0.1", "0.5", "0.9"]),
    "model": st.sampled_from(["gpt-4", "gpt-5"]),
    "token_hint": st.sampled_from(["a", "b"]),
}
changes = st.sampled_from(sorted(texts)).flatmap(
    lambda key: st.one_of(texts[key].map(lambda text: Change(key, text)), st.just(Change(key, deleted=True)))
)


def commit_if_it_differs(world: World, change: Change) -> ChangeSet | None:
    differs = (
        change.key in world.truth.texts("ai")
        if change.deleted
        else world.truth.texts("ai").get(change.key) != change.text
    )
    return world.truth.commit("ai", change) if differs else None


@given(st.lists(changes, min_size=1), st.lists(changes), st.integers(0, 10), st.lists(st.booleans(), max_size=4))
def test_whatever_was_kept_the_reader_ends_at_postgresqls_state(
    before: list[Change], after: list[Change], lost: int, heard: list[bool]
) -> None:
    world = World()
    for change in before:
        commit_if_it_differs(world, change)
    world.line.stand_in(world.followed, world.kept())
    if lost:
        world.truth.rewind("ai", max(0, world.truth.head("ai").revision - lost))  # a restored backup
    for change, hears in zip(after, [*heard, *[False] * len(after)], strict=False):
        commit = commit_if_it_differs(world, change)
        if hears and commit is not None:
            world.line.judge(commit)
            world.line.flush()
    for _ in range(4):
        world.read()
        world.line.flush()
    fresh = World()
    fresh.truth = world.truth
    fresh.read()
    assert world.live.model_dump() == fresh.live.model_dump()
    assert (world.followed.head, world.followed.stand_in) == (fresh.followed.head, None)
