"""Programs of several versions on one service, and values that fit one of them alone, or not one another."""

from __future__ import annotations

import logging

import pytest
from pydantic import Field

import hotconfig
from hotconfig import Timing
from tests.integration.settings import (
    BY,
    ClientFactory,
    LimitSettings,
    Recorder,
    TestSettings,
    publish,
    write_by_hand,
)
from tests.support.waiting import Eventually

QUIET = Timing(reconcile_s=600, poll_s=600)


@hotconfig.settings(service="shop")
class OldShop(TestSettings):
    size: int = Field(1, ge=0)
    title: str = "old"


@hotconfig.settings(service="shop")
class NewShop(TestSettings):
    """``size`` takes fractions now, and there is one key more."""

    size: float = 1
    title: str = "new"
    color: str = "red"


def test_a_value_that_only_the_newer_program_knows_leaves_the_older_at_its_last_good_one(
    start_client: ClientFactory, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    older, newer = start_client(timing=QUIET), start_client(timing=QUIET)
    old, new = older.bind(OldShop), newer.bind(NewShop)
    told = Recorder[OldShop]()
    older.on_change(old, told)
    older.wait_for(newer.store.set(new, size=5, title="both", by=BY))
    newer.wait_for(newer.store.set(new, size=7.25, title="new", by=BY))
    problems = eventually(lambda: older.status().services["shop"].problems)

    assert list(problems) == ["size"]
    assert (old.size, old.title) == (5, "both")  # all or nothing: the title of the same commit waits as well
    assert (new.size, new.title) == (7.25, "new")
    standing = older.status().services["shop"]
    assert (standing.revision, standing.shown_revision) == (2, 1)
    assert older.status().counters["rejected"] == {"validate": 1}
    assert "7.25" not in caplog.text
    assert [record for record in caplog.records if record.levelno == logging.ERROR and "'shop'" in record.message]
    assert [change.revision for change in told.wait(1)] == [1]

    older.wait_for(newer.store.set(new, size=7, by=BY))
    assert (old.size, old.title) == (7, "new")
    assert dict(older.status().services["shop"].problems) == {}


def test_a_key_that_only_the_newer_program_has_is_ignored_and_named(start_client: ClientFactory) -> None:
    older, newer = start_client(timing=QUIET), start_client(timing=QUIET)
    old, new = older.bind(OldShop), newer.bind(NewShop)
    told = Recorder[OldShop]()
    older.on_change(old, told)
    older.wait_for(newer.store.set(new, color="blue", by=BY))
    assert older.status().services["shop"].unknown_keys == ("color",)
    assert dict(older.status().services["shop"].problems) == {}
    older.wait_for(newer.store.set(new, title="seen", by=BY))
    assert [change.keys for change in told.wait(1)] == [{"title"}]
    assert older.status().services["shop"].unknown_keys == ("color",)
    older.wait_for(newer.store.delete(new, "color", by=BY))
    assert older.status().services["shop"].unknown_keys == ()


def test_a_program_that_starts_later_takes_what_fits_it(start_client: ClientFactory) -> None:
    newer = start_client(timing=QUIET)
    new = newer.bind(NewShop)
    newer.store.set(new, color="blue", title="there", by=BY)
    older = start_client(timing=QUIET)
    assert older.bind(OldShop).title == "there"
    newer.store.set(new, size=7.25, by=BY)
    with pytest.raises(hotconfig.InvalidStateError, match="size"):
        start_client(timing=QUIET).bind(OldShop)
    lenient = start_client(timing=QUIET)
    taken = lenient.bind(OldShop, on_invalid="defaults")
    assert (taken.size, taken.title) == (1, "there")
    assert list(lenient.status().services["shop"].problems) == ["size"]


def test_of_keys_that_do_not_fit_one_another_none_is_shown(
    start_client: ClientFactory, migrated_url: str, redis_url: str, eventually: Eventually
) -> None:
    client = start_client(timing=QUIET)
    limits = client.bind(LimitSettings)
    told = Recorder[LimitSettings]()
    client.on_change(limits, told)
    client.wait_for(client.store.set(limits, low=2, high=8, by=BY))
    write_by_hand(migrated_url, "limits", low="9", high="7")
    publish(redis_url, "config:limits:low", "9")
    problems = eventually(lambda: client.status().services["limits"].problems)
    assert list(problems) == ["*"]
    assert (limits.low, limits.high) == (2, 8)
    write_by_hand(migrated_url, "limits", high="12")
    publish(redis_url, "config:limits:high", "12")
    eventually(lambda: (limits.low, limits.high) == (9, 12))
    assert [(change.new.low, change.new.high) for change in told.wait(2)] == [(2, 8), (9, 12)]
