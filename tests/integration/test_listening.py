"""Listeners: one call per real change, none for others, and no listener can harm another or the line."""

from __future__ import annotations

import threading

import pytest

import hotconfig
from tests.integration.settings import BY, AISettings, ClientFactory, Recorder, publish, write_by_hand
from tests.support.waiting import Eventually


@pytest.fixture
def ai(client: hotconfig.HotConfig) -> AISettings:
    return client.bind(AISettings)


def test_an_event_tells_what_was_and_what_is(client: hotconfig.HotConfig, ai: AISettings) -> None:
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    client.wait_for(client.store.set(ai, threshold=0.8, by=BY))  # else the two may be told together
    client.store.set(ai, threshold=0.9, model="gpt-4o", by=BY)
    first, second = told.wait(2)
    assert (first.old.threshold, first.new.threshold, first.keys) == (0.75, 0.8, frozenset({"threshold"}))
    assert (second.old.threshold, second.new.threshold) == (0.8, 0.9)
    assert (second.old.model, second.new.model, second.keys) == ("gpt-4", "gpt-4o", frozenset({"threshold", "model"}))
    assert [first.revision, second.revision] == [1, 2]
    assert isinstance(first.new, AISettings)
    with pytest.raises(hotconfig.ReadOnlySettingsError):
        first.new.threshold = 0.1


def test_there_is_one_call_per_real_change_however_often_it_is_announced(
    client: hotconfig.HotConfig, ai: AISettings, migrated_url: str, redis_url: str
) -> None:
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    client.wait_for(client.store.set(ai, threshold=0.8, by=BY))
    client.store.set(ai, threshold=0.8, by=BY)
    write_by_hand(migrated_url, "ai", threshold="0.80")  # another text, the same value
    write_by_hand(migrated_url, "ai", unknown_key="1")
    for _ in range(20):
        publish(redis_url, "config:ai:threshold", "0.8")
        publish(redis_url, "config:ai:threshold", "0.123")
    client.wait_for(client.store.set(ai, model="the end", by=BY))
    assert [(change.revision, change.keys) for change in told.wait(2)] == [
        (1, frozenset({"threshold"})),
        (4, frozenset({"model"})),
    ]


def test_a_value_that_stays_equal_but_changes_its_text_is_no_change(
    client: hotconfig.HotConfig, ai: AISettings
) -> None:
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    client.wait_for(client.store.set(ai, threshold="0.750", by=BY))
    client.wait_for(client.store.set(ai, model="the end", by=BY))
    assert [change.keys for change in told.wait(1)] == [{"model"}]


def test_one_key_can_be_listened_to_alone(client: hotconfig.HotConfig, ai: AISettings) -> None:
    told = Recorder[AISettings]()
    client.on_change(ai, told, key="threshold")
    client.store.set(ai, model="gpt-4o", by=BY)
    client.store.set(ai, threshold=0.9, model="gpt-5", by=BY)
    (change,) = told.wait(1)
    assert (change.revision, change.keys) == (2, frozenset({"threshold", "model"}))


def test_a_key_that_the_class_does_not_have_cannot_be_listened_to(client: hotconfig.HotConfig, ai: AISettings) -> None:
    with pytest.raises(
        hotconfig.UnknownKeyError, match=r"AISettings has no key 'treshold'; did you mean 'threshold'\? It has: "
    ):
        client.on_change(ai, Recorder[AISettings](), key="treshold")


def test_after_unsubscribing_nothing_is_told(client: hotconfig.HotConfig, ai: AISettings) -> None:
    gone, staying = Recorder[AISettings](), Recorder[AISettings]()
    stop = client.on_change(ai, gone)
    client.on_change(ai, staying)
    client.store.set(ai, threshold=0.8, by=BY)
    gone.wait(1)
    stop()
    stop()
    client.store.set(ai, threshold=0.9, by=BY)
    staying.wait(2)
    assert len(gone.changes) == 1


def test_a_listener_that_raises_is_counted_and_harms_nobody(
    client: hotconfig.HotConfig, ai: AISettings, caplog: pytest.LogCaptureFixture
) -> None:
    told = Recorder[AISettings]()

    def raise_always(_: object) -> None:
        raise RuntimeError("a bug of the application")

    client.on_change(ai, raise_always)
    client.on_change(ai, told)
    for threshold in (0.8, 0.9):
        client.wait_for(client.store.set(ai, threshold=threshold, by=BY))
    assert len(told.wait(2)) == 2
    assert ai.threshold == 0.9
    from tests.support.waiting import eventually

    eventually(lambda: client.status().listener_errors == 2)
    assert "a listener of service 'ai' raised at revision 2" in caplog.text


def test_a_listener_that_blocks_delays_nobody(client: hotconfig.HotConfig, ai: AISettings) -> None:
    release, told, blocked = threading.Event(), Recorder[AISettings](), Recorder[AISettings]()

    def block(change: hotconfig.Changed[AISettings]) -> None:
        release.wait(30)
        blocked(change)

    client.on_change(ai, block)
    client.on_change(ai, told)
    for threshold in (0.8, 0.85, 0.9):
        client.wait_for(client.store.set(ai, threshold=threshold, by=BY))
    assert len(told.wait(3)) == 3
    assert blocked.changes == []
    release.set()
    assert [change.revision for change in blocked.wait(3)] == [1, 2, 3]


def test_a_listener_that_is_too_slow_loses_the_oldest_events_and_it_shows(
    client: hotconfig.HotConfig, ai: AISettings, eventually: Eventually
) -> None:
    from hotconfig.runtime.dispatch import MAX_QUEUED

    release, begun, slow = threading.Event(), threading.Event(), Recorder[AISettings]()

    def block(change: hotconfig.Changed[AISettings]) -> None:
        slow(change)
        begun.set()
        release.wait(60)

    client.on_change(ai, block)
    client.wait_for(client.store.set(ai, threshold=0.0, by=BY))
    assert begun.wait(5)
    for number in range(1, MAX_QUEUED + 11):
        client.wait_for(client.store.set(ai, threshold=number / 10_000, by=BY))
    assert client.status().listener_dropped == 10
    release.set()
    eventually(lambda: slow.changes[-1].revision == MAX_QUEUED + 11)
    assert [slow.changes[0].revision, slow.changes[1].revision] == [1, 12]


def test_a_listener_may_write_bind_listen_and_unsubscribe(
    client: hotconfig.HotConfig, ai: AISettings, eventually: Eventually
) -> None:
    from tests.integration.settings import EmailSettings

    later = Recorder[AISettings]()

    def act(change: hotconfig.Changed[AISettings]) -> None:
        stop()
        client.on_change(ai, later)
        email = client.bind(EmailSettings)
        client.wait_for(client.store.set(email, max_retries=9, by="a listener"))
        client.wait_for(client.store.set(ai, model=f"after {change.revision}", by="a listener"))

    stop = client.on_change(ai, act)
    client.store.set(ai, threshold=0.9, by=BY)
    eventually(lambda: ai.model == "after 1")
    assert client.bind(EmailSettings).max_retries == 9
    assert [change.by for change in later.wait(1)] == ["a listener"]


def test_within_a_listener_the_live_object_shows_the_change_or_a_later_one(
    client: hotconfig.HotConfig, ai: AISettings, eventually: Eventually
) -> None:
    seen: list[tuple[float, float]] = []
    told = Recorder[AISettings]()

    def look(change: hotconfig.Changed[AISettings]) -> None:
        seen.append((change.new.threshold, ai.threshold))
        told(change)

    client.on_change(ai, look)
    for number in range(1, 31):
        client.store.set(ai, threshold=number / 100, by=BY)
    eventually(lambda: told.changes and told.changes[-1].new.threshold == 0.3)  # some may be told together
    assert all(shown >= threshold for threshold, shown in seen)


def test_a_storm_is_told_in_order_and_ends_at_the_last_value(
    start_client: ClientFactory, client: hotconfig.HotConfig, ai: AISettings, eventually: Eventually
) -> None:
    told = Recorder[AISettings]()
    client.on_change(ai, told)
    writer = start_client()
    writers = writer.bind(AISettings)
    for number in range(200):
        writer.store.set(writers, threshold=number / 1000, by=BY)
    eventually(lambda: told.changes and told.changes[-1].revision == 200)
    revisions = [change.revision for change in told.changes]
    assert revisions == sorted(set(revisions))
    assert all(one.new is other.old for one, other in zip(told.changes, told.changes[1:], strict=False))
    assert told.changes[-1].new.threshold == 0.199


def test_settings_of_another_client_cannot_be_listened_to(start_client: ClientFactory, ai: AISettings) -> None:
    other = start_client()
    with pytest.raises(hotconfig.NotBoundError, match="call bind\\(AISettings\\) first"):
        other.on_change(ai, Recorder[AISettings]())
    other.bind(AISettings)
    with pytest.raises(hotconfig.NotBoundError, match="use the one that bind\\(\\) returned"):
        other.on_change(ai, Recorder[AISettings]())
