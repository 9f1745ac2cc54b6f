"""``watch`` tells each commit once and in order, whatever Redis delivers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from hotconfig.cli.tail import News, Tail
from hotconfig.core.chain import Change, ChangeSet, Head, Recorded, extend, genesis
from hotconfig.core.ports import Confirmed, Message
from hotconfig.core.wire import encode, messages

KEYRING = {1: b"k" * 32}


class Truth:
    """Stands in for the archive: revisions of single keys, with a chain that holds."""

    def __init__(self) -> None:
        self.rows: list[Recorded] = []
        self.hidden = 0
        self.reads = 0

    def commit(
        self, service: str, key: str, text: str | None, *, op: str = "update", sensitive: bool = False
    ) -> ChangeSet:
        parent = self.head(service)
        row = Recorded(
            service, parent.revision + 1, 1, None, key, op, None, text, sensitive,
            "ann", None, "2026-01-01T00:00:00.000000Z", "ann", None, None, b"",
        )  # fmt: skip
        digest = extend(parent.digest, row)
        self.rows.append(replace(row, digest=digest))
        change = Change(key, None if sensitive else text, deleted=op == "delete", withheld=sensitive)
        return ChangeSet(service, parent, Head(parent.revision + 1, digest), (change,), row.changed_at, "ann")

    def head(self, service: str) -> Head:
        own = [row for row in self.rows if row.service == service]
        return Head(own[-1].revision, own[-1].digest) if own else genesis(service)

    def services(self) -> dict[str, Head]:
        return {row.service: self.head(row.service) for row in self.rows}

    def history(self, service: str, *, limit: int) -> list[Recorded]:
        self.reads += 1
        return [row for row in reversed(self.rows) if row.service == service][:limit]


class Told:
    def __init__(self, truth: Truth, *services: str) -> None:
        self.news: list[News] = []
        self.warnings: list[str] = []
        self.tail = Tail(cast("Any", truth), services, tell=self.news.append, warn=self.warnings.append)

    @property
    def revisions(self) -> list[int]:
        return [one.revision for one in self.news]


def signed(change_set: ChangeSet) -> Message:
    return Message(f"config:{change_set.service}:@commits".encode(), encode(change_set, KEYRING))


def both(change_set: ChangeSet) -> list[Message]:
    return [Message(channel.encode(), data) for channel, data in messages(change_set, KEYRING)]


def test_a_signed_change_set_is_told_without_a_read() -> None:
    truth = Truth()
    told = Told(truth)
    told.tail.hear(both(truth.commit("ai", "threshold", "0.90")), KEYRING)
    assert [one.document() for one in told.news] == [
        {
            "service": "ai",
            "revision": 1,
            "at": "2026-01-01T00:00:00.000000Z",
            "by": "ann",
            "reason": None,
            "changes": [{"key": "threshold", "value": "0.90"}],
            "source": "redis",
        }
    ]
    assert truth.reads == 0


def test_what_was_told_already_is_not_told_again() -> None:
    truth = Truth()
    told = Told(truth)
    message = signed(truth.commit("ai", "threshold", "0.90"))
    told.tail.hear([message, message], KEYRING)
    told.tail.look()
    assert told.revisions == [1]


def test_a_gap_is_filled_from_the_history_in_order() -> None:
    truth = Truth()
    told = Told(truth)
    for number in range(200):
        last = truth.commit("ai", "n", str(number))
    told.tail.hear([signed(last)], KEYRING)
    assert told.revisions == list(range(1, 201))


def test_a_plain_message_brings_what_was_written_by_hand() -> None:
    truth = Truth()
    told = Told(truth)
    truth.commit("ai", "threshold", "0.95")
    told.tail.hear([Message(b"config:ai:threshold", b"0.95")], KEYRING)
    assert [(one.revision, one.source) for one in told.news] == [(1, "postgres")]


def test_a_forged_message_is_not_told() -> None:
    truth = Truth()
    told = Told(truth)
    forged = ChangeSet("ai", genesis("ai"), Head(1, b"x" * 32), (Change("threshold", "9"),), "", "eve")
    told.tail.hear([Message(b"config:ai:@commits", encode(forged, {1: b"e" * 32}))], KEYRING)
    told.tail.hear([Message(b"config:ai:threshold", b"9"), Message(b"config:nonsense", b"\xff")], KEYRING)
    assert told.news == []


def test_a_confirmed_subscription_brings_what_was_missed_before_it() -> None:
    truth = Truth()
    told = Told(truth)
    truth.commit("ai", "threshold", "0.90")
    truth.commit("search", "size", "3")
    told.tail.hear([Confirmed("config:*")], KEYRING)
    assert sorted(one.service for one in told.news) == ["ai", "search"]


def test_other_services_are_not_told() -> None:
    truth = Truth()
    told = Told(truth, "ai")
    told.tail.hear(both(truth.commit("search", "size", "3")), KEYRING)
    told.tail.hear(both(truth.commit("ai", "threshold", "0.1")), KEYRING)
    told.tail.look()
    assert [one.service for one in told.news] == ["ai"]


@pytest.mark.parametrize("through_redis", [True, False])
def test_sensitive_values_and_deletions_are_told_without_a_value(*, through_redis: bool) -> None:
    truth = Truth()
    told = Told(truth)
    for made in (truth.commit("ai", "hint", "hush", sensitive=True), truth.commit("ai", "gone", None, op="delete")):
        if through_redis:
            told.tail.hear([signed(made)], KEYRING)
    told.tail.look()
    assert [one.document()["changes"] for one in told.news] == [
        [{"key": "hint", "withheld": True}],
        [{"key": "gone", "deleted": True}],
    ]


def test_a_service_that_went_back_is_warned_of_and_followed_from_there() -> None:
    truth = Truth()
    for number in range(5):
        truth.commit("ai", "n", str(number))
    told = Told(truth)
    del truth.rows[3:]
    told.tail.look()
    assert len(told.warnings) == 1
    truth.commit("ai", "n", "new")
    told.tail.look()
    assert told.revisions == [4]
