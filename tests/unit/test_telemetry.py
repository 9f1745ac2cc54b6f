"""Telemetry on its own: what is free without an SDK, how clients add up, and what the SDK may do without harm."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import FrameType

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from pydantic import BaseModel, Field

import hotconfig
from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import ChangeSet, genesis
from hotconfig.core.errors import ConflictError
from hotconfig.core.followed import Followed
from hotconfig.core.judge import Loaded
from hotconfig.core.line import Line
from hotconfig.core.observing import UNOBSERVED, Observer
from hotconfig.core.outcomes import Applied, Outcome, Rejected, Stage
from hotconfig.core.status import ServiceStatus, State, Status
from hotconfig.core.wire import messages
from hotconfig.runtime.ledger import Ledger
from hotconfig.runtime.measuring import Measuring
from hotconfig.telemetry.census import Census, census
from hotconfig.telemetry.observer import MAX_LINKS, OpenTelemetryObserver
from tests.support.chains import KEYRING, Truth
from tests.support.telemetry import Sdk, installed, no_sdk

AT = "2026-01-02T03:04:05.000000Z"
AT_NS = int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 1_000_000_000
MS = 1_000_000
PARENTS = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 101)]


@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)


@pytest.fixture
def bare() -> Iterator[None]:
    """No SDK."""
    with no_sdk():
        yield


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    with installed() as made:
        yield made


class Desk:
    """A line that is measured for an observer."""

    def __init__(self, observer: Observer) -> None:
        self.line = Line(lambda _: None)
        self.line.keyring = KEYRING
        self.line.followed["ai"] = Followed(Blueprint(AI))
        self.measuring = Measuring(self.line, Ledger(), observer)
        self.truth = Truth()
        self.measuring.load(Loaded("ai", genesis("ai"), genesis("ai"), known=True, changes=()))

    def hear(self, *change_sets: ChangeSet) -> None:
        """Take messages together."""
        for change_set in change_sets:
            for channel, data in messages(change_set, KEYRING):
                self.line.receive(channel.encode(), data)
        self.measuring.flush()

    def commit(self, threshold: str, parent: str | None = None) -> ChangeSet:
        made = self.truth.commit(threshold=threshold)
        return made._replace(at=AT, trace={"traceparent": parent} if parent else {})


def calls_into_telemetry(desk: Desk, *change_sets: ChangeSet) -> list[str]:
    found: list[str] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and (name.startswith(("opentelemetry", "hotconfig.telemetry"))):
            found.append(f"{name}.{frame.f_code.co_name}")

    sys.setprofile(watch)
    try:
        desk.hear(*change_sets)
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.usefixtures("bare")
def test_without_an_sdk_a_message_makes_no_call_into_opentelemetry() -> None:
    desk = Desk(OpenTelemetryObserver())
    assert calls_into_telemetry(desk, desk.commit("0.9", PARENTS[0])) == []
    assert desk.line.followed["ai"].shown == desk.truth.head


def test_the_same_watch_sees_the_calls_that_an_sdk_causes(sdk: Sdk) -> None:
    desk = Desk(OpenTelemetryObserver())
    assert calls_into_telemetry(desk, desk.commit("0.9", PARENTS[0]))
    assert len(sdk.spans("hotconfig apply")) == 1


@pytest.mark.usefixtures("bare")
def test_without_an_sdk_a_write_has_no_trace() -> None:
    with OpenTelemetryObserver().writing("ai", ["threshold"]) as writing:
        assert writing is UNOBSERVED
        assert writing.trace == {}


@pytest.mark.usefixtures("bare")
def test_providers_installed_after_the_start_are_found() -> None:
    observer = OpenTelemetryObserver()
    desk = Desk(observer)
    observer.opened(lambda: status(applied=3))
    assert not observer.active
    sdk = Sdk()
    sdk.install()
    with observer.writing("ai", ["threshold"]) as writing:
        assert writing.trace
    assert len(sdk.spans("hotconfig write")) == 1, "by a write at once"
    observer.look()  # as the line's thread does after every answer of PostgreSQL
    desk.hear(desk.commit("0.9"))
    assert len(sdk.spans("hotconfig apply")) == 1
    assert sdk.numbers()["hotconfig.applied"] == 3
    assert sdk.histogram() is not None


def test_one_writer_is_parent_and_link(sdk: Sdk) -> None:
    desk = Desk(OpenTelemetryObserver())
    desk.hear(desk.commit("0.9", PARENTS[6]))
    (span,) = sdk.spans("hotconfig apply")
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (7, 7)
    assert span.context.trace_id == 7
    assert [link.context.span_id for link in span.links] == [7]
    assert dict(span.attributes or {}) == {
        "hotconfig.service": "ai",
        "hotconfig.revision": 1,
        "hotconfig.keys": ("threshold",),
    }


def test_several_writers_taken_together_are_links_and_no_parent(sdk: Sdk) -> None:
    desk = Desk(OpenTelemetryObserver())
    desk.hear(*(desk.commit(f"0.{number % 9 + 1}", parent) for number, parent in enumerate(PARENTS)))
    (span,) = sdk.spans("hotconfig apply")
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == list(range(101 - MAX_LINKS, 101))


def test_the_span_of_whoever_drives_the_line_is_no_parent(sdk: Sdk) -> None:
    desk = Desk(OpenTelemetryObserver())
    with trace.get_tracer("test").start_as_current_span("somebody's"):
        desk.hear(desk.commit("0.9"))
    (span,) = sdk.spans("hotconfig apply")
    assert span.parent is None
    assert not span.links


def test_a_rejection_is_a_span_that_failed_and_no_duration(sdk: Sdk) -> None:
    desk = Desk(OpenTelemetryObserver())
    desk.hear(desk.commit("7.25", PARENTS[0]))
    (span,) = sdk.spans("hotconfig apply")
    assert not span.status.is_ok
    assert dict(span.attributes or {})["hotconfig.stage"] == "validate"
    assert sdk.histogram() is None


@pytest.mark.parametrize(
    ("at", "recorded"),
    [
        (AT, [0.25]),
        ("2026-01-02T03:04:06.000000Z", [0.0]),  # PostgreSQL's clock is ahead
        ("yesterday", []),
        ("", []),
        ("9999-12-31T23:59:59.999999Z", [0.0]),
    ],
)
def test_a_propagation_is_from_postgresqls_clock_to_this_and_never_negative(
    sdk: Sdk, at: str, recorded: list[float]
) -> None:
    change_set = Truth().commit(threshold="0.9")._replace(at=at)
    shown_ns = AT_NS + 250 * MS
    OpenTelemetryObserver().applied([(change_set, Applied("ai", 1, frozenset()))], shown_ns - MS, shown_ns)
    found = sdk.histogram()
    assert [found.sum] == pytest.approx(recorded) if found else recorded == []


@pytest.mark.parametrize(
    "outcome",
    [Applied("ai", 1, frozenset(), first=True), Rejected(None, None, Stage.DECODE, {})],
)
def test_first_loads_and_noise_are_neither_spans_nor_durations(sdk: Sdk, outcome: Outcome) -> None:
    OpenTelemetryObserver().applied([(Truth().commit(threshold="0.9")._replace(at=AT), outcome)], AT_NS, AT_NS)
    assert sdk.spans("hotconfig apply") == []
    assert sdk.histogram() is None


def test_a_failed_write_tells_the_type_of_the_error_alone(sdk: Sdk) -> None:
    with pytest.raises(ConflictError), OpenTelemetryObserver().writing("ai", ["threshold"]):
        raise ConflictError("canary-4cb1f6", 3) from ValueError("canary-4cb1f6")
    (span,) = sdk.spans("hotconfig write")
    assert span.status.description == "ConflictError"
    assert "canary-4cb1f6" not in span.to_json()


class Broken(SpanProcessor):
    def on_start(self, span: object, parent_context: object = None) -> None:  # noqa: ARG002
        raise RuntimeError("on_start")

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002
        raise RuntimeError("on_end")


@pytest.mark.usefixtures("bare")
def test_a_span_processor_that_raises_hurts_neither_writes_nor_the_line(caplog: pytest.LogCaptureFixture) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Broken())
    trace.set_tracer_provider(provider)
    observer = OpenTelemetryObserver()
    with observer.writing("ai", ["threshold"]) as writing:
        writing.committed(1)
    desk = Desk(observer)
    desk.hear(desk.commit("0.9"))
    assert desk.line.followed["ai"].shown == desk.truth.head
    assert {record.name for record in caplog.records if record.levelno >= logging.WARNING} == {"hotconfig.telemetry"}
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.usefixtures("bare")
def test_a_provider_that_cannot_be_loaded_is_no_reason_not_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_TRACER_PROVIDER", "not_installed")
    monkeypatch.setenv("OTEL_PYTHON_METER_PROVIDER", "not_installed")
    observer = OpenTelemetryObserver()
    desk = Desk(observer)
    with observer.writing("ai", ["threshold"]) as writing:
        writing.committed(1)
    desk.hear(desk.commit("0.9"))
    assert not observer.active
    assert desk.line.followed["ai"].shown == desk.truth.head


# The census -----------------------------------------------------------------------------------------------------------


def status(
    state: State = State.READY,
    *,
    verified_age_s: float | None = 1.0,
    revisions: Mapping[str, tuple[int, int]] | None = None,
    rejected: Mapping[str, int] | None = None,
    **counters: int,
) -> Status:
    services = {
        name: ServiceStatus("AI", known, shown, "", {}, (), ()) for name, (known, shown) in (revisions or {}).items()
    }
    counted = {**counters, "rejected": rejected or {}}
    return Status(state, datetime.now(UTC), verified_age_s, "connected", None, services, counted, 0, 0)


def test_clients_of_one_process_add_up_and_the_laggard_counts(sdk: Sdk) -> None:
    census().enroll(1, lambda: status(applied=3, rejected={"validate": 1}, revisions={"ai": (7, 6)}))
    census().enroll(
        2, lambda: status(State.DEGRADED, verified_age_s=9.0, applied=4, revisions={"ai": (5, 5), "web": (2, 2)})
    )
    OpenTelemetryObserver()
    numbers = sdk.numbers()
    assert numbers["hotconfig.applied"] == 7
    assert (numbers["hotconfig.rejected/validate"], numbers["hotconfig.rejected/decode"]) == (1, 0)
    assert (numbers["hotconfig.revision/ai"], numbers["hotconfig.revision/web"]) == (5, 2)
    assert numbers["hotconfig.shown_revision/ai"] == 5
    assert numbers["hotconfig.verified.age"] == 9.0
    assert (numbers["hotconfig.state/READY"], numbers["hotconfig.state/DEGRADED"]) == (1, 1)
    assert numbers["hotconfig.state/STALE"] == 0


def test_what_a_closed_client_counted_stays_and_its_gauges_go(sdk: Sdk) -> None:
    observers = OpenTelemetryObserver(), OpenTelemetryObserver()
    for observer in observers:
        observer.opened(lambda: status(applied=2, revisions={"ai": (1, 1)}))
    observers[0].closed()
    observers[0].closed()
    assert sdk.numbers()["hotconfig.applied"] == 4
    observers[1].closed()
    assert sdk.numbers()["hotconfig.applied"] == 4
    assert not [name for name in sdk.numbers() if name.startswith(("hotconfig.revision", "hotconfig.state"))]


def test_several_clients_make_one_set_of_instruments(sdk: Sdk, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        OpenTelemetryObserver().opened(lambda: status(applied=1))
    points = [name for name, _ in sdk.points()]
    assert points.count("hotconfig.applied") == 1
    assert sdk.numbers()["hotconfig.applied"] == 3
    assert caplog.records == []


@pytest.mark.usefixtures("bare")
def test_another_process_begins_with_a_census_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = census()
    parents.enroll(1, lambda: status(applied=3))
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert census() is not parents
    assert dict(census().counts()) == {}


def test_an_empty_census_shows_nothing() -> None:
    assert dict(Census().counts()) == {}
    assert dict(Census().gauges()) == {}


def test_a_client_that_was_not_verified_yet_has_no_age() -> None:
    counted = Census()
    counted.enroll(1, lambda: status(State.NOT_READY, verified_age_s=None))
    assert {metric.name for metric, _ in counted.gauges()} == {"hotconfig.state"}
