"""Right uses, with the types that users must see. Checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import assert_type

from pydantic import BaseModel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

import hotconfig
from hotconfig import Changed, Commit, HotConfig, ServiceStatus, State, Status, Timing


@hotconfig.settings(service="ai")
class AISettings(BaseSettings):
    threshold: float = 0.75
    model: str = "gpt-4"

    def is_alarm(self, score: float) -> bool:
        return score > self.threshold


@hotconfig.settings(service="plain")
class Plain(BaseModel):
    size: int = 1


class Base(BaseSettings):
    region: str = "eu"


@hotconfig.settings(service="derived")
class Derived(Base):
    size: int = 1


def the_decorator_returns_the_class_itself() -> None:
    assert_type(AISettings, type[AISettings])
    assert_type(AISettings(), AISettings)
    assert_type(AISettings(threshold=0.5, model="gpt-4o").is_alarm(0.6), bool)
    assert_type(Derived().region, str)
    mark = hotconfig.settings(service="ai")
    assert_type(mark(Plain), type[Plain])


def binding_gives_the_class_of_the_user(client: HotConfig) -> None:
    ai = client.bind(AISettings)
    assert_type(ai, AISettings)
    assert_type(ai.threshold, float)
    assert_type(ai.is_alarm(0.8), bool)
    assert_type(client.bind(Plain), Plain)
    assert_type(client.bind(Derived, pins={"size": 3}, on_invalid="defaults", timeout=3).region, str)


def a_snapshot_is_of_the_same_class(client: HotConfig) -> None:
    assert_type(hotconfig.snapshot(client.bind(AISettings)), AISettings)


def listeners_get_typed_changes(client: HotConfig) -> None:
    ai = client.bind(AISettings)

    def listen(change: Changed[AISettings]) -> None:
        assert_type(change.old, AISettings)
        assert_type(change.new.threshold, float)
        assert_type(change.keys, frozenset[str])
        assert_type(change.revision, int)
        assert_type(change.by, str | None)

    assert_type(client.on_change(ai, listen), Callable[[], None])
    client.on_change(ai, listen, key="threshold")
    client.on_change(ai, lambda change: assert_type(change.new, AISettings))
    client.on_change(ai, lambda change: change.new.is_alarm(0.5))
    client.on_change(ai, print)


async def changes_are_iterated_typed(client: HotConfig) -> None:
    ai = client.bind(AISettings)
    events: AsyncIterator[Changed[AISettings]] = client.changes(ai)
    async for change in events:
        assert_type(change, Changed[AISettings])
        assert_type(change.new.model, str)
    async for change in client.changes(ai, key="model"):
        assert_type(change.new, AISettings)


def the_store_takes_the_object_or_the_class(client: HotConfig) -> None:
    ai = client.bind(AISettings)
    assert_type(client.store.set(ai, threshold=0.9, by="ann@acme.example"), Commit)
    assert_type(client.store.set(AISettings, threshold="0.90", by="ann", reason="why", expect=3), Commit)
    assert_type(client.store.update(ai, {"threshold": 0.9}, by="ann"), Commit)
    commit = client.store.delete(ai, "threshold", "model", by="ann")
    assert_type(commit.revision, int)
    assert_type(commit.keys, tuple[str, ...])
    client.wait_for(commit)
    client.wait_for(3, timeout=1.0, settings=ai)
    client.wait_for(3, settings=AISettings)


async def the_async_face_has_the_same_types(client: HotConfig) -> None:
    async with client as entered:
        assert_type(entered, HotConfig)
    await client.aio.start()
    ai = await client.aio.bind(AISettings, pins={"model": "gpt-4"})
    assert_type(ai, AISettings)
    assert_type(await client.aio.store.set(ai, threshold=0.9, by="ann"), Commit)
    assert_type(await client.aio.store.update(ai, {"threshold": 0.9}, by="ann"), Commit)
    assert_type(await client.aio.store.delete(ai, "threshold", by="ann"), Commit)
    await client.aio.wait_for(3, 1.0, settings=ai)
    await client.aio.close()


def a_client_is_made_and_looked_at() -> None:
    with HotConfig.from_env() as client:
        assert_type(client, HotConfig)
        status = client.status()
        assert_type(status, Status)
        assert_type(status.state, State)
        assert_type(status.services["ai"], ServiceStatus)
        assert_type(client.healthy(), bool)
        assert_type(client.ready(max_age_s=60), bool)
        stop = client.on_state(lambda change: (change.new.value, change.since.isoformat(), change.last_error))
        assert_type(stop, Callable[[], None])
    HotConfig("postgresql://localhost/app", None, schema="hotconfig", subscribe_all=True, timing=Timing(poll_s=0.5))
    HotConfig("postgresql://localhost/app", start_policy="last_known_good", last_known_good=Path("/var/lib/hotconfig"))


async def states_are_iterated_over(client: HotConfig) -> None:
    async with client.states() as states:
        async for change in states:
            assert_type(change, hotconfig.StateChanged)
            assert_type(change.old, State)


class OwnClient(HotConfig):
    """A subclass stays one."""


def subclasses_of_the_client_stay_themselves() -> None:
    assert_type(OwnClient.from_env(), OwnClient)
    with OwnClient("postgresql://localhost/app") as client:
        assert_type(client, OwnClient)


def errors_say_what_is_wrong(error: hotconfig.InvalidValueError) -> dict[str, str]:
    assert_type(error.problems, dict[str, str])
    return error.problems


class Placed(BaseSettings):
    """PostgreSQL's place among the sources."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        hot = hotconfig.HotConfigSource(settings_cls)
        return init_settings, env_settings, hot, dotenv_settings, file_secret_settings
