"""OpenTelemetry and logs on real servers: one trace from writer to readers, metrics that move as documented."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

import hotconfig
from hotconfig.embedded import EmbeddedValkey
from tests.integration.settings import (
    BY,
    CANARY,
    AISettings,
    ClientFactory,
    LimitSettings,
    VaultSettings,
    publish,
    write_by_hand,
)
from tests.support.telemetry import Sdk, installed, no_sdk
from tests.support.waiting import Eventually

PROGRAMS: Final = Path(__file__).parent / "programs"
OFTEN: Final = hotconfig.Timing(reconcile_s=0.2, poll_s=0.2)
RARELY: Final = hotconfig.Timing(reconcile_s=3600, poll_s=3600)
PATIENCE_S: Final = 30.0

Numbers = dict[str, float]
Shown = Callable[[str, float], object]


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    with installed() as made:
        yield made


@pytest.fixture
def shows(sdk: Sdk, eventually: Eventually) -> Shown:
    """Wait until a metric shows a number, or more."""

    def wait(name: str, number: float) -> object:
        return eventually(lambda: sdk.numbers().get(name, -1) >= number, PATIENCE_S, message=f"{name} at {number}")

    return wait


def applied(sdk: Sdk) -> list[ReadableSpan]:
    return sdk.spans("hotconfig apply")


# Traces ---------------------------------------------------------------------------------------------------------------


def test_a_change_is_one_trace_from_the_writer_to_a_reader(
    sdk: Sdk, start_client: ClientFactory, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hotconfig")
    reader, writer = start_client(), start_client()
    reader.bind(AISettings)
    theirs = writer.bind(AISettings)
    with trace.get_tracer("test").start_as_current_span("tune") as around:
        commit = writer.store.set(theirs, threshold=0.9, model="gpt-4o", by=BY)
    eventually(lambda: len(applied(sdk)) == 2, PATIENCE_S)
    (write,) = sdk.spans("hotconfig write")
    assert write.parent is not None
    assert write.parent.span_id == around.get_span_context().span_id
    assert dict(write.attributes or {}) == {
        "hotconfig.service": "ai",
        "hotconfig.keys": ("model", "threshold"),
        "hotconfig.revision": commit.revision,
    }
    for span in applied(sdk):
        assert span.parent is not None
        assert span.parent.span_id == write.context.span_id
        assert [link.context.span_id for link in span.links] == [write.context.span_id]
        assert span.context.trace_id == around.get_span_context().trace_id
        assert dict(span.attributes or {}) == dict(write.attributes or {})
        assert span.start_time is not None
        assert span.end_time is not None
        assert 0 <= span.end_time - span.start_time < 10_000_000_000
    told = [record for record in caplog.records if hasattr(record, "hotconfig_trace_id")]
    assert len(told) == 2, "by each of the two"
    assert {vars(record)["hotconfig_trace_id"] for record in told} == {f"{write.context.trace_id:032x}"}
    assert {vars(record)["hotconfig_by"] for record in told} == {BY}


def test_a_change_is_one_trace_into_another_process(
    sdk: Sdk, start_client: ClientFactory, migrated_url: str, redis_url: str
) -> None:
    writer = start_client()
    theirs = writer.bind(AISettings)
    with _program("traced", migrated_url, redis_url) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "bound\n"
        writer.store.set(theirs, threshold=0.9, by=BY)
        said, errors = reader.communicate(timeout=90)
    assert reader.returncode == 0, errors
    (write,) = sdk.spans("hotconfig write")
    assert json.loads(said) == {
        "trace_id": write.context.trace_id,
        "parent_id": write.context.span_id,
        "durations": 1,
        "revision": 1,
    }


def test_a_change_by_hand_begins_a_trace_where_it_is_found(
    sdk: Sdk, start_client: ClientFactory, migrated_url: str, eventually: Eventually
) -> None:
    client = start_client(timing=OFTEN)
    client.bind(AISettings)
    write_by_hand(migrated_url, "ai", threshold="0.5")
    (span,) = eventually(lambda: applied(sdk), PATIENCE_S)
    assert span.parent is None
    assert not span.links
    histogram = sdk.histogram()
    assert histogram is not None
    assert histogram.count == 1


def test_a_refused_write_is_a_span_that_failed(sdk: Sdk, start_client: ClientFactory) -> None:
    client = start_client()
    ai = client.bind(AISettings)
    with pytest.raises(hotconfig.ConflictError):
        client.store.set(ai, threshold=0.9, by=BY, expect=7)
    (span,) = sdk.spans("hotconfig write")
    assert dict(span.attributes or {})["error.type"] == "ConflictError"
    assert not span.status.is_ok
    assert not span.events, "an event would quote the driver"


def test_sensitive_changes_are_traced_too_where_the_signed_form_names_no_value(
    sdk: Sdk, start_client: ClientFactory, eventually: Eventually
) -> None:
    client, reader = start_client(), start_client()
    vault = client.bind(VaultSettings)
    reader.bind(VaultSettings)
    client.store.set(vault, token_hint=CANARY, by=BY)
    eventually(lambda: len(applied(sdk)) == 2, PATIENCE_S)
    assert not [span for span in applied(sdk) if CANARY in span.to_json()]


@pytest.fixture
def bare() -> Iterator[None]:
    with no_sdk():
        yield


@pytest.mark.usefixtures("bare")
def test_without_an_sdk_nothing_travels_and_one_installed_later_is_found(
    start_client: ClientFactory, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hotconfig")
    client = start_client(timing=OFTEN)
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.1, by=BY))
    assert not [record for record in caplog.records if hasattr(record, "hotconfig_trace_id")]
    sdk = Sdk()
    sdk.install()
    eventually(lambda: client._observer.active, PATIENCE_S, message="found with the next read")
    client.wait_for(client.store.set(ai, threshold=0.2, by=BY))
    eventually(lambda: len(applied(sdk)) == 1, PATIENCE_S)
    assert sdk.numbers()["hotconfig.revision/ai"] == 2


# Metrics --------------------------------------------------------------------------------------------------------------


def test_metrics_of_changes_move(
    sdk: Sdk, shows: Shown, start_client: ClientFactory, migrated_url: str, redis_url: str
) -> None:
    client = start_client(timing=RARELY)
    limits = client.bind(LimitSettings)
    shows("hotconfig.state/READY", 1)
    start = sdk.numbers()
    assert start["hotconfig.revision/limits"] == 0
    assert start["hotconfig.applied"] == 1, "the first load"
    assert start["hotconfig.connections"] == 1
    for number in range(2, 6):
        client.wait_for(client.store.set(limits, high=number, by=BY))
    shows("hotconfig.revision/limits", 4)
    shows("hotconfig.applied", 5)
    shows("hotconfig.duplicates", 4)
    histogram = sdk.histogram()
    assert histogram is not None
    assert dict(histogram.attributes or {}) == {"hotconfig.service": "limits"}
    assert histogram.count == 4
    assert 0 <= histogram.min <= histogram.max < 60, "both clocks are this machine's"
    assert 0.001 in histogram.explicit_bounds
    write_by_hand(migrated_url, "limits", low="9")
    publish(redis_url, "config:limits:low", "9")  # tells of it without proving it
    shows("hotconfig.hints", 1)
    shows("hotconfig.rejected/validate", 1)
    publish(redis_url, "config:limits:a:b", "noise")
    shows("hotconfig.rejected/decode", 1)
    numbers = sdk.numbers()
    assert (numbers["hotconfig.revision/limits"], numbers["hotconfig.shown_revision/limits"]) == (5, 4)
    assert numbers["hotconfig.messages"] >= 10
    assert numbers["hotconfig.reads"] > start["hotconfig.reads"]
    assert 0 <= numbers["hotconfig.verified.age"] < PATIENCE_S * 4
    assert numbers["hotconfig.drift"] == 0, "a hint had told"
    assert numbers["hotconfig.read.failures"] == numbers["hotconfig.line.errors"] == 0


def test_metrics_of_listeners_move(sdk: Sdk, shows: Shown, start_client: ClientFactory) -> None:
    client = start_client()
    ai = client.bind(AISettings)

    def fail(change: object) -> None:
        raise ValueError(CANARY)

    client.on_change(ai, fail)
    client.store.set(ai, threshold=0.9, by=BY)
    shows("hotconfig.listener.errors", 1)
    assert sdk.numbers()["hotconfig.listener.dropped"] == 0


def test_a_commit_without_a_message_is_drift(
    shows: Shown, sdk: Sdk, start_client: ClientFactory, migrated_url: str
) -> None:
    client = start_client(timing=OFTEN)
    ai = client.bind(AISettings)
    shows("hotconfig.state/READY", 1)
    client.wait_for(client.store.set(ai, threshold=0.1, by=BY))
    write_by_hand(migrated_url, "ai", threshold="0.5")
    shows("hotconfig.drift", 1)
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    assert sdk.numbers()["hotconfig.drift"] == 1


def test_metrics_of_an_outage_move(
    sdk: Sdk, shows: Shown, start_client: ClientFactory, migrated_url: str, own_valkey: EmbeddedValkey
) -> None:
    client = start_client(redis=own_valkey.url, timing=OFTEN)
    client.bind(AISettings)
    shows("hotconfig.state/READY", 1)
    own_valkey.stop()
    shows("hotconfig.connection.failures", 1)
    shows("hotconfig.state/DEGRADED", 1)
    write_by_hand(migrated_url, "ai", threshold="0.5")
    shows("hotconfig.revision/ai", 1)
    assert sdk.numbers()["hotconfig.drift"] == 0
    shows("hotconfig.connections", 2)  # to PostgreSQL's LISTEN


def test_metrics_of_a_restored_database_move(
    sdk: Sdk, shows: Shown, start_client: ClientFactory, migrated_url: str, redis_url: str
) -> None:
    client = start_client(timing=RARELY)
    ai = client.bind(AISettings)
    for number in range(3):
        client.wait_for(client.store.set(ai, threshold=number / 10, by=BY))
    before = sdk.histogram()
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM hotconfig.config_history WHERE service = 'ai'")
        connection.execute("DELETE FROM hotconfig.service_configs WHERE service = 'ai'")
        connection.execute("DELETE FROM hotconfig.heads WHERE service = 'ai'")
    publish(redis_url, "config:ai:threshold", "0.3")
    shows("hotconfig.rewinds", 1)
    after = sdk.histogram()
    assert before is not None
    assert after is not None
    assert after.count == before.count, "no propagation"


def test_two_clients_of_one_process_are_counted_together_and_closed_ones_stay_counted(
    sdk: Sdk, shows: Shown, start_client: ClientFactory
) -> None:
    one, two = start_client(), start_client()
    one.bind(AISettings)
    ai = two.bind(AISettings)
    two.store.set(ai, threshold=0.9, by=BY)
    shows("hotconfig.revision/ai", 1)
    shows("hotconfig.applied", 4)
    shows("hotconfig.state/READY", 2)
    one.close()
    assert sdk.numbers()["hotconfig.applied"] == 4
    shows("hotconfig.state/READY", 1)
    two.close()
    numbers = sdk.numbers()
    assert numbers["hotconfig.applied"] == 4
    assert not [name for name in numbers if name.startswith(("hotconfig.state", "hotconfig.revision"))]
    assert "hotconfig.verified.age" not in numbers


def test_a_forked_child_counts_from_zero_and_its_parent_goes_on(migrated_url: str, redis_url: str) -> None:
    with _program("traced_forks", migrated_url, redis_url) as program:
        said, errors = program.communicate(timeout=100)
    assert program.returncode == 0, errors
    found: dict[str, Any] = json.loads(said)
    assert found["exit"] == 0
    born: Numbers = found["born"]["at first"]
    assert found["born"]["spans"] == 2, "its copy of what the parent had"
    assert born["hotconfig.applied"] <= 1, "not the parent's three"
    assert born["hotconfig.state/READY"] + born["hotconfig.state/NOT_READY"] <= 1, "one client, not two"
    assert found["grown"]["hotconfig.revision/ai"] == 3
    assert found["grown"]["hotconfig.applied"] == 2, "the load after the fork, and one change"
    assert found["parent"]["hotconfig.applied"] == 4
    assert found["parent"]["hotconfig.connection.failures"] == 0


# Never a value --------------------------------------------------------------------------------------------------------


def test_no_span_no_metric_and_no_log_field_carries_a_value(
    sdk: Sdk,
    start_client: ClientFactory,
    migrated_url: str,
    redis_url: str,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    client, reader = start_client(timing=OFTEN), start_client()
    ai = client.bind(AISettings)
    reader.bind(AISettings)
    vault = client.bind(VaultSettings)
    client.store.set(ai, model=CANARY, tags=[CANARY], by=BY, reason="testing")
    client.store.set(vault, token_hint=CANARY, region=CANARY, by=BY)
    with pytest.raises(hotconfig.InvalidValueError):
        client.store.set(ai, threshold=CANARY, by=BY)
    with pytest.raises(hotconfig.ConflictError):
        client.store.set(ai, model=CANARY, by=BY, expect=77)
    publish(redis_url, "config:ai:model", CANARY)
    publish(redis_url, f"config:ai:{CANARY}", CANARY)
    publish(redis_url, "config:ai:@commits", CANARY)
    write_by_hand(migrated_url, "ai", threshold=CANARY)
    eventually(lambda: sdk.numbers()["hotconfig.rejected/validate"] >= 1, PATIENCE_S)
    spans = [*sdk.spans("hotconfig write"), *applied(sdk)]
    assert len(spans) >= 6
    assert not [span for span in spans if CANARY in span.to_json()]
    points = [(name, dict(point.attributes or {})) for name, point in sdk.points()]
    assert CANARY not in repr(points)
    attributes = {key for _, found in points for key in found}
    assert attributes == {"hotconfig.service", "hotconfig.stage", "hotconfig.state"}
    values = {str(value) for _, found in points for value in found.values()}
    assert values <= {"ai", "vault", *(state.value for state in hotconfig.State), "decode", "judge", "validate"}
    ours = [vars(record) for record in caplog.records if record.name.startswith("hotconfig")]
    assert ours
    assert CANARY not in repr(ours)


def _program(name: str, database_url: str, redis_url: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": database_url,
        "HOTCONFIG_REDIS_URL": redis_url,
        "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[2])]),
    }
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAMS / f"{name}.py")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
