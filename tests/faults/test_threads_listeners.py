"""A listener, or a validator, raises, blocks, re-enters, writes, closes: others and the line are not affected."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, field_validator

import hotconfig
from tests.integration.settings import AISettings, EmailSettings, Recorder, write_by_hand
from tests.support.waiting import eventually

BY = "a test"
DEADLINE_S = 30.0


@pytest.fixture
def client(migrated_url: str, redis_url: str) -> Generator[hotconfig.HotConfig]:
    with hotconfig.HotConfig(migrated_url, redis_url) as made:
        yield made


def change(client: hotconfig.HotConfig, settings: AISettings, *thresholds: float) -> None:
    for threshold in thresholds:
        client.wait_for(client.store.set(settings, threshold=threshold, by=BY), DEADLINE_S)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, RecursionError, MemoryError])
def test_what_a_listener_raises_is_counted_and_concerns_nobody(
    client: hotconfig.HotConfig, error: type[BaseException]
) -> None:
    settings, other = client.bind(AISettings), Recorder[AISettings]()

    def fail(_: object) -> None:
        raise error

    client.on_change(settings, fail)
    client.on_change(settings, other)
    change(client, settings, 0.1, 0.2)
    assert [each.new.threshold for each in other.wait(2)] == [0.1, 0.2]
    eventually(lambda: client.status().listener_errors == 2, DEADLINE_S)
    assert client.status().counters["line_errors"] == 0


def test_a_listener_that_blocks_delays_nobody_and_is_told_the_rest_later(client: hotconfig.HotConfig) -> None:
    settings, other, slow = client.bind(AISettings), Recorder[AISettings](), Recorder[AISettings]()
    release = threading.Event()

    def block(event: hotconfig.Changed[AISettings]) -> None:
        release.wait(DEADLINE_S)
        slow(event)

    client.on_change(settings, block)
    client.on_change(settings, other)
    change(client, settings, 0.1, 0.2, 0.3)
    assert [each.new.threshold for each in other.wait(3)] == [0.1, 0.2, 0.3]
    assert slow.changes == []
    release.set()
    assert [each.new.threshold for each in slow.wait(3)] == [0.1, 0.2, 0.3]


def test_a_listener_may_do_whatever_else_may_be_done(client: hotconfig.HotConfig) -> None:
    settings, done = client.bind(AISettings), threading.Event()
    later = Recorder[EmailSettings]()
    problems: list[BaseException] = []

    def reenter(event: hotconfig.Changed[AISettings]) -> None:
        stop()  # itself: this is the only call
        try:
            email = client.bind(EmailSettings, timeout=DEADLINE_S)
            client.on_change(email, later)
            client.wait_for(client.store.set(email, max_retries=9, by=BY), DEADLINE_S)
            client.wait_for(client.store.set(settings, threshold=0.9, by=BY), DEADLINE_S)
            client.status()
            assert hotconfig.snapshot(settings).threshold == 0.9
        except BaseException as error:  # noqa: BLE001 - told below
            problems.append(error)
        done.set()

    stop = client.on_change(settings, reenter)
    change(client, settings, 0.1)
    assert done.wait(DEADLINE_S)
    assert problems == []
    assert later.wait(1)[0].new.max_retries == 9
    change(client, settings, 0.2)
    assert client.status().listener_errors == 0


def test_a_listener_that_writes_what_it_hears_of_comes_to_rest(client: hotconfig.HotConfig) -> None:
    settings = client.bind(AISettings)

    def clamp(event: hotconfig.Changed[AISettings]) -> None:
        if event.new.threshold > 0.5:
            client.store.set(settings, threshold=0.5, by="a listener")

    client.on_change(settings, clamp)
    change(client, settings, 0.9)
    eventually(lambda: settings.threshold == 0.5, DEADLINE_S)
    assert client.status().listener_errors == 0


client_of_the_validator: list[hotconfig.HotConfig] = []


def write(value: int) -> int:
    """What no validator should do: write the very settings that it validates."""
    if value == 13 and client_of_the_validator:
        client_of_the_validator[0].store.set(Rash if Rash in bound else Hasty, size=13, by="a validator")
    return value


class Unlucky(BaseModel):
    size: int = 0


@hotconfig.settings(service="rash")
class Rash(Unlucky):
    """Its validator may look at other keys."""

    @field_validator("size")
    @staticmethod
    def check(value: int) -> int:
        return write(value)


@hotconfig.settings(service="hasty")
class Hasty(Unlucky):
    """Its validator looks at one key."""

    size: Annotated[int, AfterValidator(write)] = 0


bound: list[type[Unlucky]] = []


@pytest.mark.parametrize("kind", [Rash, Hasty])
def test_a_validator_that_writes_what_it_validates_is_refused_and_the_line_goes_on(
    client: hotconfig.HotConfig, migrated_url: str, kind: type[Unlucky]
) -> None:
    settings, other = client.bind(kind), client.bind(AISettings)
    client_of_the_validator[:], bound[:] = [client], [kind]
    try:
        with pytest.raises(hotconfig.HotConfigError, match="validator"):
            client.store.set(settings, size=13, by=BY)
        write_by_hand(migrated_url, kind.__name__.lower(), size="13")
        change(client, other, 0.1)
        client.store.set(settings, size=14, by=BY)
        eventually(lambda: settings.size == 14, DEADLINE_S)
    finally:
        client_of_the_validator.clear()
    assert client.status().counters["line_errors"] == 0


class Interrupted(set[tuple[str, int]]):
    """What a Ctrl-C comes right after, once."""

    pressed = False

    def add(self, element: tuple[str, int]) -> None:
        super().add(element)
        if not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt


def test_a_write_that_ctrl_c_cuts_off_before_it_validates_can_be_repeated(client: hotconfig.HotConfig) -> None:
    settings = client.bind(AISettings)
    client.store._validating = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        client.store.set(settings, threshold=0.5, by=BY)
    change(client, settings, 0.5)
    assert settings.threshold == 0.5
