"""What is logged of a change: one record, its fields, and never a value."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.outcomes import Applied, Duplicate, Rejected, Stage
from hotconfig.core.status import State, StateChanged
from hotconfig.runtime.ledger import Ledger

TRACE = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
ORDINARY = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@pytest.fixture
def ledger(caplog: pytest.LogCaptureFixture) -> Ledger:
    caplog.set_level(logging.INFO, "hotconfig")
    return Ledger()


def fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in ORDINARY}


def test_a_change_is_one_record_with_fields(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.enter([Applied("ai", 5, frozenset({"model", "threshold"}), "ann", trace=TRACE), Duplicate("ai")])
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("hotconfig.follower", "INFO")
    assert record.getMessage() == "service 'ai': revision 5 changed model, threshold, by ann"
    assert fields(record) == {
        "hotconfig_service": "ai",
        "hotconfig_revision": 5,
        "hotconfig_keys": ["model", "threshold"],
        "hotconfig_by": "ann",
        "hotconfig_trace_id": "ab" * 16,
    }


def test_commits_taken_together_are_one_record_and_each_is_counted(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.enter([Applied("ai", 5, frozenset({"threshold"}))] * 3)
    (record,) = caplog.records
    assert fields(record).keys() == {"hotconfig_service", "hotconfig_revision", "hotconfig_keys"}
    assert ledger.counters.applied == 3


@pytest.mark.parametrize(("several", "by"), [(True, ", by several"), (False, "")])
def test_who_is_said_only_as_far_as_it_is_known(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, several: bool, by: str
) -> None:
    ledger.enter([Applied("ai", 5, frozenset({"threshold"}), several=several)])
    assert caplog.messages == [f"service 'ai': revision 5 changed threshold{by}"]


def test_on_the_way_to_ready_no_state_names_an_error_that_is_over(ledger: Ledger) -> None:
    told: list[StateChanged] = []
    ledger.tell_state = told.append
    ledger.note(RedisUnavailableError("Redis at redis:6379 did not answer"), again=False)
    ledger.condition.answered(1.0, confirms=True)
    ledger.reckon(1.0, 30.0)
    ledger.reckon(40.0, 30.0)
    ledger.condition.answered(41.0, confirms=True)
    ledger.reckon(41.0, 30.0)
    assert [(change.new, change.last_error is None) for change in told] == [
        (State.READY, True),
        (State.STALE, False),
        (State.READY, True),
    ]
    assert ledger.last_error is not None


def test_a_commit_that_changes_nothing_here_is_not_logged(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.enter([Applied("ai", 5, frozenset(), "ann")])
    assert caplog.records == []


def test_a_first_load_a_rejection_and_a_state_bear_fields_too(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.enter([Applied("ai", 5, frozenset({"threshold"}), first=True)])
    ledger.enter([Rejected("ai", 6, Stage.VALIDATE, {"threshold": "should be less than 1"})])
    ledger.condition.answered(1.0, confirms=True)
    ledger.reckon(1.0, 30.0)
    first, rejected, state = caplog.records
    assert fields(first) == {"hotconfig_service": "ai", "hotconfig_revision": 5}
    assert fields(rejected) == {
        "hotconfig_service": "ai",
        "hotconfig_revision": 6,
        "hotconfig_keys": ["threshold"],
    }
    assert rejected.levelname == "ERROR"
    assert fields(state) == {"hotconfig_state": State.READY.value}


@pytest.fixture
def busy_factory() -> Iterator[None]:
    """A record factory that sets what an application may want on every record."""
    before = logging.getLogRecordFactory()

    def make(*args: object, **kwargs: object) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.__dict__.update(service="web", keys=[], revision="abc", by="x", trace_id="0")
        return record

    logging.setLogRecordFactory(make)
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("busy_factory")
def test_fields_of_an_applications_own_record_factory_are_not_in_the_way(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.enter([Applied("ai", 5, frozenset({"threshold"}), "ann", trace=TRACE)])
    assert vars(caplog.records[0])["service"] == "web"
    assert vars(caplog.records[0])["hotconfig_service"] == "ai"


def test_who_cannot_write_lines_of_the_log(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.enter([Applied("ai", 5, frozenset({"threshold"}), "eve\n2026-01-01 ERROR forged\x1b[2K\u202e")])
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert fields(record)["hotconfig_by"] == "eve\\n2026-01-01 ERROR forged\\x1b[2K\\u202e"
