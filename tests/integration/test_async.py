"""The face for async programs, on asyncio and trio: nothing blocks the event loop, everything can be awaited."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

import hotconfig
from hotconfig import State, Timing
from tests.integration.settings import BY, AISettings, EmailSettings, named_threads, write_by_hand

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(migrated_url: str, redis_url: str) -> AsyncGenerator[hotconfig.HotConfig]:
    async with hotconfig.HotConfig(migrated_url, redis_url) as started:
        yield started


async def test_the_async_context_manager_starts_and_closes(migrated_url: str, redis_url: str) -> None:
    client = hotconfig.HotConfig(migrated_url, redis_url)
    async with client as entered:
        assert entered is client
        assert client.status().state is not State.NOT_READY
    assert client.status().state is State.CLOSED
    assert named_threads() == []


async def test_everything_that_blocks_can_be_awaited(client: hotconfig.HotConfig) -> None:
    ai = await client.aio.bind(AISettings, pins={"tags": ["pinned"]})
    first = await client.aio.store.set(ai, threshold="0.90", by=BY, reason="too many false alarms", expect=0)
    await client.aio.wait_for(first)
    assert (ai.threshold, ai.tags, first.revision) == (0.9, ["pinned"], 1)
    second = await client.aio.store.update(ai, {"threshold": 0.5, "model": "gpt-4o"}, by=BY)
    third = await client.aio.store.delete(ai, "model", by=BY)
    await client.aio.wait_for(third.revision, settings=ai)
    assert (second.revision, third.revision, ai.threshold, ai.model) == (2, 3, 0.5, "gpt-4")


async def test_errors_come_through(client: hotconfig.HotConfig, migrated_url: str) -> None:
    write_by_hand(migrated_url, "email", max_retries="many")
    with pytest.raises(hotconfig.InvalidStateError, match="max_retries"):
        await client.aio.bind(EmailSettings)
    email = await client.aio.bind(EmailSettings, on_invalid="defaults")
    assert email.max_retries == 3
    ai = await client.aio.bind(AISettings)
    with pytest.raises(hotconfig.InvalidValueError, match="threshold"):
        await client.aio.store.set(ai, threshold=7, by=BY)
    with pytest.raises(hotconfig.ConflictError):
        await client.aio.store.set(ai, threshold=0.9, by=BY, expect=5)
    with pytest.raises(hotconfig.WaitTimeoutError):
        await client.aio.wait_for(9, timeout=0.05, settings=ai)


async def test_changes_are_iterated_as_they_come(client: hotconfig.HotConfig) -> None:
    ai = await client.aio.bind(AISettings)
    seen: list[tuple[float, frozenset[str], str | None]] = []

    async def consume(*, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        async for change in client.changes(ai):
            seen.append((change.new.threshold, change.keys, change.by))
            if len(seen) == 3:
                return

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            await tasks.start(consume)
            await _listening(client)
            for number in (1, 2, 3):
                await client.aio.wait_for(await client.aio.store.set(ai, threshold=number / 10, by=BY))
    assert seen == [(number / 10, frozenset({"threshold"}), BY) for number in (1, 2, 3)]


async def test_changes_of_one_key_alone(client: hotconfig.HotConfig) -> None:
    ai = await client.aio.bind(AISettings)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                await _listening(client)
                await client.aio.store.set(ai, model="gpt-4o", by=BY)
                await client.aio.store.set(ai, threshold=0.9, by=BY)

            tasks.start_soon(write)
            async for change in client.changes(ai, key="threshold"):
                assert (change.revision, change.keys) == (2, frozenset({"threshold"}))
                break


async def test_a_consumer_that_is_cancelled_has_unsubscribed_when_its_block_ends(client: hotconfig.HotConfig) -> None:
    ai = await client.aio.bind(AISettings)
    async with anyio.create_task_group() as tasks:

        async def consume() -> None:
            async with client.changes(ai) as changes:
                async for _ in changes:
                    pass

        tasks.start_soon(consume)
        await _listening(client)
        tasks.cancel_scope.cancel()
    assert client._dispatcher._listeners["ai"] == ()


async def test_a_stream_that_is_dropped_is_unsubscribed(client: hotconfig.HotConfig) -> None:
    ai = await client.aio.bind(AISettings)
    stream = client.changes(ai)
    await _listening(client)
    del stream
    gc.collect()
    with anyio.fail_after(10):
        await _listening(client, count=0)


async def test_listening_begins_when_the_stream_is_made(client: hotconfig.HotConfig) -> None:
    ai = await client.aio.bind(AISettings)
    async with client.changes(ai) as changes:
        await client.aio.wait_for(await client.aio.store.set(ai, threshold=0.9, by=BY))
        with anyio.fail_after(10):
            assert (await anext(changes)).new.threshold == 0.9


async def test_iterating_ends_when_the_client_is_closed(migrated_url: str, redis_url: str) -> None:
    client = hotconfig.HotConfig(migrated_url, redis_url)
    await client.aio.start()
    ai = await client.aio.bind(AISettings)
    ended = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def consume() -> None:
                async for _ in client.changes(ai):
                    pass
                ended.set()

            tasks.start_soon(consume)
            await _listening(client)
            await client.aio.close()
            await ended.wait()


async def test_only_live_settings_can_be_iterated(client: hotconfig.HotConfig) -> None:
    with pytest.raises(hotconfig.NotBoundError):
        client.changes(AISettings())


async def test_a_slow_write_does_not_hold_up_the_event_loop(migrated_url: str, redis_url: str) -> None:
    import psycopg

    async with hotconfig.HotConfig(migrated_url, redis_url) as client:
        ai = await client.aio.bind(AISettings)
        await client.aio.store.set(ai, threshold=0.8, by=BY)
        with psycopg.connect(migrated_url) as rival, anyio.fail_after(10):
            rival.execute("SELECT FROM hotconfig.heads FOR UPDATE")
            turns = 0
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_write, client, ai)
                for _ in range(20):
                    await anyio.sleep(0.005)
                    turns += 1
                assert ai.threshold == 0.8
                rival.rollback()
        assert turns == 20
        await client.aio.wait_for(2)
        assert ai.threshold == 0.9


async def test_listeners_run_beside_the_event_loop(client: hotconfig.HotConfig) -> None:
    ai = await client.aio.bind(AISettings)
    told, thread = anyio.Event(), threading.get_ident()
    token = anyio.lowlevel.current_token()
    seen: list[bool] = []

    def listen(_: object) -> None:
        seen.append(threading.get_ident() != thread)
        anyio.from_thread.run_sync(told.set, token=token)

    client.on_change(ai, listen)
    await client.aio.store.set(ai, threshold=0.9, by=BY)
    with anyio.fail_after(10):
        await told.wait()
    assert seen == [True]


async def test_closing_finishes_although_it_is_cancelled(migrated_url: str) -> None:
    with anyio.CancelScope() as scope:
        async with hotconfig.HotConfig(migrated_url, timing=Timing(poll_s=0.1)) as client:
            await client.aio.bind(AISettings)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert client.status().state is State.CLOSED
    assert named_threads() == []


def test_a_task_of_asyncio_that_is_cancelled_while_it_enters_leaves_nothing_running(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = hotconfig.HotConfig(migrated_url)
    begun, proceed, start = threading.Event(), threading.Event(), client.start

    def start_slowly(timeout: float) -> None:
        begun.set()
        proceed.wait(30)
        start(timeout)

    async def enter() -> None:
        async with client:
            await asyncio.Event().wait()

    async def cancel() -> None:
        entering = asyncio.create_task(enter())
        await asyncio.to_thread(begun.wait, 30)
        for _ in range(3):  # nor does it help to insist
            entering.cancel()
            await asyncio.sleep(0)
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert client.status().state is State.CLOSED
        assert named_threads() == []

    monkeypatch.setattr(client, "start", start_slowly)
    asyncio.run(cancel())


async def _write(client: hotconfig.HotConfig, ai: AISettings) -> None:
    await client.aio.store.set(ai, threshold=0.9, by=BY)


async def _listening(client: hotconfig.HotConfig, count: int = 1) -> None:
    """Wait until that many listeners are registered."""
    registered = client._dispatcher._listeners
    while len(registered.get("ai", [])) != count:  # noqa: ASYNC110 - the library sets no event for tests
        await anyio.sleep(0.005)
