"""The keeper of last-known-good files: what it takes, when, and that it goes on after a write that failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydantic import BaseModel, Field

import hotconfig
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change
from hotconfig.core.followed import Followed, StandIn, head_of
from hotconfig.core.lastgood import REFRESH
from hotconfig.core.line import Line
from hotconfig.runtime import keeping
from hotconfig.runtime.keeping import Keeper, Shelf
from tests.support.fakes import MemoryTruth
from tests.support.waiting import eventually


@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)


class World:
    def __init__(self, directory: Path) -> None:
        self.truth = MemoryTruth()
        self.line = Line(lambda _: None)
        self.line.followed["ai"] = self.followed = Followed[Any](Blueprint(AI))
        self.shelf = Shelf(directory, "hotconfig", "db:5432/app")
        self.keeper = Keeper(self.shelf)

    def commit(self, text: str) -> None:
        self.line.judge(self.truth.commit("ai", Change("threshold", text)))
        self.line.flush()

    def load(self) -> None:
        self.line.load(self.truth.load({"ai": head_of(self.followed)}).loaded[0])

    def taken(self, verified_at_s: float | None = None) -> str | None:
        """The text that a look takes, if any."""
        self.keeper.look(self.line.followed, verified_at_s)
        pending, self.keeper._pending = self.keeper._pending, {}
        return pending["ai"].texts.get("threshold", "default") if pending else None


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "kept")
    yield made
    made.keeper.stop()
    assert made.keeper.join(10)


def test_each_new_head_is_taken_once(world: World) -> None:
    assert world.taken() is None, "nothing is shown yet"
    world.load()
    assert [world.taken(), world.taken()] == ["default", None]
    world.commit("0.9")
    assert [world.taken(), world.taken()] == ["0.9", None]


def test_what_was_rejected_or_only_stands_in_is_not_taken(world: World) -> None:
    world.line.stand_in(world.followed, StandIn())
    assert world.taken() is None
    world.load()
    assert world.taken() == "default"
    world.commit("7")
    assert world.taken() is None


def test_what_stays_the_same_is_taken_again_when_it_was_confirmed_long_after(world: World) -> None:
    world.load()
    world.taken()
    assert world.taken(monotonic() + REFRESH.total_seconds() - 60) is None
    assert world.taken(monotonic() + REFRESH.total_seconds() + 60) == "default"


def test_a_write_that_failed_is_told_once_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "RETRY_S", 0.01)
    world.shelf.directory.write_bytes(b"in the way")
    world.load()
    world.keeper.start()
    world.keeper.look(world.line.followed, None)
    eventually(lambda: world.keeper.save_failures >= 3)
    world.shelf.directory.unlink()
    eventually(lambda: world.keeper.saves == 1)
    assert world.shelf.read("ai").texts == {}
    assert [each.levelno for each in caplog.records if each.levelno >= logging.ERROR] == [logging.ERROR]


def test_an_unforeseen_error_ends_no_thread(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> bytes:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(keeping, "COALESCE_S", 0.01)
        patched.setattr(keeping, "render", fail)
        world.load()
        world.keeper.start()
        world.keeper.look(world.line.followed, None)
        eventually(lambda: world.keeper.save_failures == 1)
    world.commit("0.9")
    world.keeper.look(world.line.followed, None)
    eventually(lambda: world.keeper.saves == 1)
    assert world.shelf.read("ai").texts == {"threshold": "0.9"}
    assert "in an unforeseen way" in caplog.text
