"""A client on real servers: what is written by one is shown by another, whole, once, and with its story."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from pydantic_settings import BaseSettings

import hotconfig
from hotconfig import State, Timing
from tests.integration.settings import (
    BY,
    AISettings,
    ClientFactory,
    EmailSettings,
    LimitSettings,
    Recorder,
    TestSettings,
    publish,
    query,
    write_by_hand,
)
from tests.support.waiting import Eventually

ROOT = Path(__file__).parents[2]

OTHER_PROCESS = """
import sys, hotconfig
from tests.integration.settings import AISettings
with hotconfig.HotConfig.from_env() as client:
    ai = client.bind(AISettings)
    print(ai.threshold, flush=True)
    client.wait_for(1, timeout=20)
    print(ai.threshold, flush=True)
    client.store.set(ai, model="gpt-4o", by="the other process")
"""


# Writing and seeing ------------------------------------------------------------------------------------------


def test_two_processes_see_what_each_other_writes(
    client: hotconfig.HotConfig, migrated_url: str, redis_url: str, eventually: Eventually
) -> None:
    ai = client.bind(AISettings)
    environment = os.environ | {
        "HOTCONFIG_DATABASE_URL": migrated_url,
        "HOTCONFIG_REDIS_URL": redis_url,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS], env=environment, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "0.75\n"
        client.store.set(ai, threshold=0.9, by=BY)
        assert other.stdout.readline() == "0.9\n"
        eventually(lambda: ai.model == "gpt-4o")
        assert other.wait(20) == 0


def test_a_bound_class_shows_what_postgresql_holds(client: hotconfig.HotConfig, migrated_url: str) -> None:
    write_by_hand(migrated_url, "ai", threshold="0.90", tags='["a", "b"]')
    ai = client.bind(AISettings)
    assert isinstance(ai, AISettings)
    assert ai.model_dump() == {"threshold": 0.9, "model": "gpt-4", "tags": ["a", "b"]}
    assert ai.model_fields_set == {"threshold", "tags"}


def test_set_is_seen_by_the_writer_and_by_others(client: hotconfig.HotConfig, writer: hotconfig.HotConfig) -> None:
    ai, writers = client.bind(AISettings), writer.bind(AISettings)
    commit = writer.store.set(writers, threshold=0.9, tags=["x"], by=BY)
    assert (commit.service, commit.revision, commit.changed, commit.announced) == ("ai", 1, True, True)
    assert sorted(commit.keys) == ["tags", "threshold"]
    for side, settings in ((client, ai), (writer, writers)):
        side.wait_for(commit)
        assert (settings.threshold, settings.tags) == (0.9, ["x"])


def test_a_class_will_do_in_place_of_its_live_object(client: hotconfig.HotConfig) -> None:
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(AISettings, threshold=0.9, by=BY))
    assert ai.threshold == 0.9


def test_text_is_stored_as_it_stands(client: hotconfig.HotConfig, migrated_url: str) -> None:
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold="0.90", by=BY))
    assert ai.threshold == 0.9
    assert query(migrated_url, "SELECT value FROM hotconfig.service_configs") == [("0.90",)]


def test_update_takes_several_keys_at_once(client: hotconfig.HotConfig) -> None:
    email = client.bind(EmailSettings)
    told = Recorder[EmailSettings]()
    client.on_change(email, told)
    client.wait_for(client.store.update(email, {"max_retries": 5, "timeout_seconds": 60}, by=BY))
    assert (email.max_retries, email.timeout_seconds) == (5, 60)
    (change,) = told.wait(1)
    assert change.keys == {"max_retries", "timeout_seconds"}


@pytest.mark.parametrize("falsy", [{"low": 0}, {"low": -0, "high": 0}])
def test_falsy_values_are_values(client: hotconfig.HotConfig, falsy: dict[str, int]) -> None:
    limits = client.bind(LimitSettings)
    client.wait_for(client.store.update(limits, falsy, by=BY))
    assert {key: getattr(limits, key) for key in falsy} == falsy


def test_a_deleted_key_returns_to_the_default(client: hotconfig.HotConfig, migrated_url: str) -> None:
    ai = client.bind(AISettings)
    client.wait_for(client.store.set(ai, threshold=0.9, model="gpt-4o", by=BY))
    commit = client.store.delete(ai, "threshold", by=BY, reason="back to normal")
    client.wait_for(commit)
    assert (ai.threshold, ai.model, commit.revision) == (0.75, "gpt-4o", 2)
    last = "SELECT op, new_value, reason FROM hotconfig.config_history ORDER BY revision DESC LIMIT 1"
    assert query(migrated_url, last) == [("delete", None, "back to normal")]


def test_a_deleted_key_returns_to_the_environment(client: hotconfig.HotConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTCONFIG_TEST_MODEL", "from-the-environment")
    ai = client.bind(AISettings)
    assert ai.model == "from-the-environment"
    client.wait_for(client.store.set(ai, model="gpt-4o", by=BY))
    assert ai.model == "gpt-4o"
    client.wait_for(client.store.delete(ai, "model", by=BY))
    assert ai.model == "from-the-environment"


def test_writing_what_is_there_already_makes_no_revision(client: hotconfig.HotConfig, migrated_url: str) -> None:
    ai = client.bind(AISettings)
    first = client.store.set(ai, threshold=0.9, by=BY)
    again = client.store.set(ai, threshold=0.9, by=BY)
    gone = client.store.delete(ai, "model", by=BY)
    assert [(commit.changed, commit.revision) for commit in (first, again, gone)] == [(True, 1), (False, 1), (False, 1)]
    assert query(migrated_url, "SELECT count(*) FROM hotconfig.config_history") == [(1,)]


def test_who_and_why_stand_in_the_history_and_in_the_event(client: hotconfig.HotConfig, migrated_url: str) -> None:
    ai = client.bind(AISettings)
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    commit = client.store.set(ai, threshold=0.9, by=BY, reason="too many false alarms")
    (change,) = told.wait(1)
    assert (change.service, change.revision, change.by, change.reason) == ("ai", 1, BY, "too many false alarms")
    assert change.at == commit.at
    recorded = "SELECT changed_by, reason, old_value, new_value FROM hotconfig.config_history"
    assert query(migrated_url, recorded) == [(BY, "too many false alarms", None, "0.9")]


def test_who_wrote_the_very_first_revision_by_hand_is_told_too(start_client: ClientFactory, migrated_url: str) -> None:
    client = start_client(redis=None, timing=Timing(poll_s=0.05))
    told = Recorder[AISettings]()
    client.on_change(client.bind(AISettings), told)
    with psycopg.connect(migrated_url) as connection:
        connection.execute("SELECT set_config('hotconfig.by', %s, true)", [BY])
        connection.execute("INSERT INTO hotconfig.service_configs (service, key, value) VALUES ('ai', 'model', 'x')")
    (change,) = told.wait(1)
    assert (change.revision, change.by) == (1, BY)
    assert change.at is not None


# Compare and set ---------------------------------------------------------------------------------------------


def test_expecting_the_head_succeeds_and_expecting_another_revision_is_a_conflict(
    client: hotconfig.HotConfig, writer: hotconfig.HotConfig
) -> None:
    ai, writers = client.bind(AISettings), writer.bind(AISettings)
    assert client.store.set(ai, threshold=0.8, by=BY, expect=0).revision == 1
    assert writer.store.set(writers, threshold=0.85, by="bob", expect=1).revision == 2
    with pytest.raises(hotconfig.ConflictError, match=r"'?\"?ai.*expected revision 1, the head is 2.*read again"):
        client.store.set(ai, threshold=0.9, by=BY, expect=1)
    with pytest.raises(hotconfig.ConflictError):
        client.store.delete(ai, "threshold", by=BY, expect=7)
    client.wait_for(2)
    assert ai.threshold == 0.85


def test_what_validates_only_together_is_validated_against_what_others_wrote_meanwhile(
    start_client: ClientFactory,
) -> None:
    writer = start_client(redis=None, timing=Timing(poll_s=0.05))
    behind = start_client(redis=None, listen=False, timing=Timing(poll_s=60, reconcile_s=60))
    limits, writers = behind.bind(LimitSettings), writer.bind(LimitSettings)
    writer.store.set(writers, high=5, by=BY)
    assert limits.high == 10
    with pytest.raises(hotconfig.InvalidValueError, match="low must not exceed high"):
        behind.store.set(limits, low=7, by="bob")
    assert behind.store.set(limits, low=4, by="bob").revision == 2
    writer.wait_for(2)
    assert (writers.low, writers.high) == (4, 5)


# Binding -----------------------------------------------------------------------------------------------------


def test_binding_twice_gives_the_same_object(client: hotconfig.HotConfig) -> None:
    assert client.bind(AISettings) is client.bind(AISettings)


def test_several_services_do_not_mix(client: hotconfig.HotConfig) -> None:
    ai, email = client.bind(AISettings), client.bind(EmailSettings)
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    client.wait_for(client.store.set(email, max_retries=9, by=BY))
    commit = client.store.set(ai, threshold=0.9, by=BY)
    client.wait_for(commit)
    assert (ai.threshold, email.max_retries, commit.revision) == (0.9, 9, 1)
    assert [change.service for change in told.wait(1)] == ["ai"]


def test_one_pattern_for_everything_serves_as_well(start_client: ClientFactory, writer: hotconfig.HotConfig) -> None:
    client = start_client(subscribe_all=True, timing=Timing(reconcile_s=60))
    ai, email = client.bind(AISettings), client.bind(EmailSettings)
    client.wait_for(writer.store.set(writer.bind(AISettings), threshold=0.9, by=BY))
    client.wait_for(writer.store.set(writer.bind(EmailSettings), max_retries=9, by=BY))
    assert (ai.threshold, email.max_retries) == (0.9, 9)


def test_pins_win_over_postgresql_here_alone_and_can_be_seen(
    client: hotconfig.HotConfig, writer: hotconfig.HotConfig
) -> None:
    pinned = client.bind(AISettings, pins={"model": "gpt-4-pinned"})
    free = writer.bind(AISettings)
    commit = writer.store.set(free, model="gpt-4o", threshold=0.9, by=BY)
    client.wait_for(commit)
    writer.wait_for(commit)
    assert (pinned.model, pinned.threshold) == ("gpt-4-pinned", 0.9)
    assert (free.model, free.threshold) == ("gpt-4o", 0.9)
    assert client.status().services["ai"].pinned_keys == ("model",)
    assert writer.status().services["ai"].pinned_keys == ()


def test_a_change_of_a_pinned_key_alone_is_not_told(client: hotconfig.HotConfig, writer: hotconfig.HotConfig) -> None:
    pinned = client.bind(AISettings, pins={"model": "gpt-4-pinned"})
    told = Recorder[AISettings]()
    client.on_change(pinned, told)
    free = writer.bind(AISettings)
    writer.store.set(free, model="gpt-4o", by=BY)
    writer.store.set(free, threshold=0.9, by=BY)
    assert [change.keys for change in told.wait(1)] == [{"threshold"}]


def test_defaults_stand_in_for_what_does_not_validate_if_asked_for(
    client: hotconfig.HotConfig, migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_by_hand(migrated_url, "ai", threshold="7.25", model="gpt-4o")
    ai = client.bind(AISettings, on_invalid="defaults")
    assert (ai.threshold, ai.model) == (0.75, "gpt-4o")
    assert list(client.status().services["ai"].problems) == ["threshold"]
    assert "threshold" in caplog.text
    assert "7.25" not in caplog.text
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    assert ai.threshold == 0.9
    assert client.status().services["ai"].problems == {}


def test_keys_that_the_class_does_not_have_are_ignored_and_shown(
    client: hotconfig.HotConfig, migrated_url: str
) -> None:
    write_by_hand(migrated_url, "ai", threshold="0.9", of_a_newer_program="1")
    assert client.bind(AISettings).threshold == 0.9
    assert client.status().services["ai"].unknown_keys == ("of_a_newer_program",)


def test_a_hundred_fields_are_bound_in_one_piece(client: hotconfig.HotConfig, migrated_url: str) -> None:
    names = [f"field_{number}" for number in range(100)]
    many = type("Many", (TestSettings,), {"__annotations__": dict.fromkeys(names, int), **dict.fromkeys(names, 0)})
    marked: type[BaseSettings] = hotconfig.settings(service="many")(many)
    write_by_hand(migrated_url, "many", **{name: str(number) for number, name in enumerate(names)})
    assert list(client.bind(marked).model_dump().values()) == list(range(100))


def test_settings_that_are_not_bound_stay_ordinary(client: hotconfig.HotConfig) -> None:
    live = client.bind(AISettings)
    client.wait_for(client.store.set(live, threshold=0.9, by=BY))
    ordinary = AISettings()
    assert ordinary.threshold == 0.75
    ordinary.threshold = 0.1
    assert (ordinary.threshold, live.threshold) == (0.1, 0.9)
    with pytest.raises(hotconfig.ReadOnlySettingsError, match=r"store\.set\(settings, threshold=\.\.\., by=\.\.\.\)"):
        live.threshold = 0.1
    with pytest.raises(AttributeError):
        del live.threshold
    assert live.threshold == 0.9


def test_a_snapshot_keeps_what_it_showed(client: hotconfig.HotConfig) -> None:
    ai = client.bind(AISettings)
    before = hotconfig.snapshot(ai)
    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    assert (before.threshold, hotconfig.snapshot(ai).threshold) == (0.75, 0.9)
    assert hotconfig.snapshot(before) is before
    with pytest.raises(hotconfig.ReadOnlySettingsError):
        before.threshold = 0.1


# Waiting -----------------------------------------------------------------------------------------------------


def test_waiting_for_a_number_needs_to_know_of_which_class(client: hotconfig.HotConfig) -> None:
    ai = client.bind(AISettings)
    client.store.set(ai, threshold=0.9, by=BY)
    client.wait_for(1)
    client.bind(EmailSettings)
    with pytest.raises(hotconfig.UsageError, match="settings="):
        client.wait_for(1)
    client.wait_for(1, settings=ai)
    client.wait_for(1, settings=AISettings)


def test_waiting_ends_in_time(client: hotconfig.HotConfig) -> None:
    client.bind(AISettings)
    with pytest.raises(hotconfig.WaitTimeoutError, match=r"'ai': revision 5 was not seen within 0\.05 s, it shows 0"):
        client.wait_for(5, timeout=0.05)


def test_waiting_for_a_rejected_revision_says_so(start_client: ClientFactory, migrated_url: str) -> None:
    client = start_client(redis=None, timing=Timing(poll_s=0.05))
    client.bind(AISettings)
    write_by_hand(migrated_url, "ai", threshold="7.25")
    with pytest.raises(hotconfig.InvalidStateError, match="threshold") as caught:
        client.wait_for(1)
    assert "7.25" not in str(caught.value)


# What does not validate --------------------------------------------------------------------------------------


def test_a_change_set_that_does_not_validate_is_rejected_as_a_whole_until_it_is_repaired(
    client: hotconfig.HotConfig,
    migrated_url: str,
    redis_url: str,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ai = client.bind(AISettings)
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    client.wait_for(client.store.set(ai, threshold=0.8, by=BY))
    write_by_hand(migrated_url, "ai", threshold="7.25", model="gpt-4o")
    publish(redis_url, "config:ai:threshold", "?")
    found = eventually(lambda: client.status().services["ai"].problems)
    assert list(found) == ["threshold"]
    assert "7.25" not in str(found)
    standing = client.status().services["ai"]
    assert (standing.revision, standing.shown_revision) == (2, 1)
    assert (ai.threshold, ai.model) == (0.8, "gpt-4")
    assert "threshold" in caplog.text
    assert "7.25" not in caplog.text

    client.wait_for(client.store.set(ai, threshold=0.9, by=BY))
    assert (ai.threshold, ai.model) == (0.9, "gpt-4o")
    assert client.status().services["ai"].problems == {}
    assert [change.keys for change in told.wait(2)] == [{"threshold"}, {"threshold", "model"}]


def test_another_key_can_be_written_while_one_is_broken(
    start_client: ClientFactory, migrated_url: str, eventually: Eventually
) -> None:
    client = start_client(redis=None, timing=Timing(poll_s=0.05))
    ai = client.bind(AISettings)
    write_by_hand(migrated_url, "ai", threshold="7.25", tags="no JSON")
    eventually(lambda: len(client.status().services["ai"].problems) == 2)
    with pytest.raises(hotconfig.InvalidValueError, match="threshold"):
        client.store.set(ai, threshold=8.5, by=BY)
    assert client.store.set(ai, threshold=0.9, by=BY).changed
    assert client.store.delete(ai, "tags", by=BY).changed
    eventually(lambda: (ai.threshold, client.status().services["ai"].problems) == (0.9, {}))


def test_history_is_gapless_and_its_chain_holds_after_all_kinds_of_writes(
    client: hotconfig.HotConfig, migrated_url: str
) -> None:
    from hotconfig.core.chain import verify
    from hotconfig.postgres.truth import Archive

    ai = client.bind(AISettings)
    client.store.set(ai, threshold=0.9, by=BY)
    write_by_hand(migrated_url, "ai", model="by hand", threshold="0.5")
    client.store.delete(ai, "model", by=BY)
    archive = Archive(migrated_url, schema="hotconfig")
    try:
        assert verify("ai", archive.chain("ai"), archive.head("ai")) is None
        assert [recorded.revision for recorded in archive.chain("ai")] == [1, 2, 2, 3]
        assert archive.head("ai").revision == 3
    finally:
        archive.close()


# Without news ------------------------------------------------------------------------------------------------


def test_without_redis_changes_arrive_by_polling(start_client: ClientFactory, migrated_url: str) -> None:
    client = start_client(redis=None, timing=Timing(poll_s=0.1))
    told = Recorder[AISettings]()
    ai = client.bind(AISettings)
    client.on_change(ai, told)
    commit = client.store.set(ai, threshold=0.9, by=BY)
    assert (commit.changed, commit.announced) == (True, False)
    client.wait_for(commit)
    write_by_hand(migrated_url, "ai", threshold="0.5")
    client.wait_for(2)
    assert ai.threshold == 0.5
    assert told.wait(2)[0].by == BY
    status = client.status()
    assert (status.state, status.redis) == (State.READY, "unused")


def test_a_write_of_what_somebody_has_just_written_by_hand_can_be_waited_for(
    start_client: ClientFactory, migrated_url: str
) -> None:
    client = start_client(redis=None, listen=False, timing=Timing(reconcile_s=600, poll_s=600))
    ai = client.bind(AISettings)
    write_by_hand(migrated_url, "ai", threshold="0.5")
    commit = client.store.set(ai, threshold=0.5, by=BY)
    assert not commit.changed
    client.wait_for(commit, 30)
    assert ai.threshold == 0.5
