"""A ``HotConfig`` in memory: all that a service uses works, and so do outages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

import hotconfig
from hotconfig.core.chain import verify
from hotconfig.testing import Memory, MemoryHotConfig, in_memory
from tests.support.waiting import eventually


@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str = "gpt-4"
    hint: Annotated[str, hotconfig.Sensitive()] = "none"


@pytest.fixture(params=[True, False], ids=["with Redis", "without Redis"])
def hc(request: pytest.FixtureRequest) -> Iterator[MemoryHotConfig]:
    with in_memory({"ai": {"threshold": "0.9"}}, redis=request.param) as made:
        yield made


def test_what_is_stored_is_bound_and_what_is_set_is_seen_and_told(hc: MemoryHotConfig) -> None:
    ai = hc.bind(AI)
    told: list[hotconfig.Changed[AI]] = []
    hc.on_change(ai, told.append)
    commit = hc.store.set(ai, threshold=0.5, by="ann", reason="a test")
    hc.wait_for(commit)
    assert (ai.threshold, commit.revision, commit.announced) == (0.5, 2, hc.memory.channel is not None)
    eventually(lambda: told)
    assert (told[0].by, told[0].reason, told[0].keys, told[0].at) == (
        "ann",
        "a test",
        frozenset({"threshold"}),
        commit.at,
    )
    hc.wait_for(hc.store.delete(ai, "threshold", by="ann"))
    assert ai.threshold == 0.75
    with pytest.raises(hotconfig.InvalidValueError):
        hc.store.set(ai, threshold=7, by="ann")
    with pytest.raises(hotconfig.ConflictError):
        hc.store.set(ai, threshold=0.1, by="ann", expect=1)


def test_another_client_of_the_same_memory_stands_for_another_process(hc: MemoryHotConfig) -> None:
    ai = hc.bind(AI)
    with hc.memory.client() as other:
        theirs = other.bind(AI)
        other.wait_for(hc.store.set(ai, model="gpt-5", hint="abc", by="ann"))
        commit = other.store.set(theirs, threshold=0.1, by="bob")
        for each in (hc, other):
            each.wait_for(commit)
        assert ai.model_dump() == theirs.model_dump() == {"threshold": 0.1, "model": "gpt-5", "hint": "abc"}


@pytest.mark.anyio
async def test_it_serves_asynchronous_code(hc: MemoryHotConfig) -> None:
    ai = await hc.aio.bind(AI)
    async with hc.changes(ai) as changes:
        await hc.aio.store.set(ai, threshold=0.4, by="ann")
        async for change in changes:
            assert change.new.threshold == 0.4
            break


def test_history_tells_who_what_and_why_and_its_chain_holds(hc: MemoryHotConfig) -> None:
    hc.memory.write("ai", {"model": "gpt-5", "hint": "x"}, delete=["threshold"], by="ann", reason="because")
    rows = hc.memory.history("ai")
    assert [(row.revision, row.key, row.op, row.new_value, row.changed_by, row.reason) for row in rows[:3]] == [
        (2, "threshold", "delete", None, "ann", "because"),
        (2, "model", "insert", "gpt-5", "ann", "because"),
        (2, "hint", "insert", "x", "ann", "because"),
    ]
    assert hc.memory.history("ai", key="threshold")[-1].new_value == "0.9"
    assert hc.memory.texts("ai") == {"model": "gpt-5", "hint": "x"}
    truth = hc.memory.truth
    assert verify("ai", truth.chain("ai"), truth.head("ai")) is None


def test_values_may_be_given_by_class_and_are_checked_then() -> None:
    memory = Memory({AI: {"threshold": 0.5}})
    assert memory.texts(AI) == {"threshold": "0.5"}
    with pytest.raises(hotconfig.InvalidValueError):
        Memory({AI: {"threshold": 7}})
    with pytest.raises(hotconfig.UnknownKeyError):
        Memory({AI: {"treshold": 0.5}})
    with pytest.raises(TypeError, match="holds text"):
        Memory({"ai": {"threshold": 0.5}})
    with pytest.raises(hotconfig.ConfigurationError):
        Memory({"a:i": {"threshold": "0.5"}})


def test_while_redis_is_down_changes_arrive_and_the_state_says_so(hc: MemoryHotConfig) -> None:
    if hc.memory.channel is None:
        with hc.memory.redis_down():
            assert hc.status().state is hotconfig.State.READY
        return
    ai = hc.bind(AI)
    with hc.memory.redis_down():
        eventually(lambda: hc.status().state is hotconfig.State.DEGRADED)
        commit = hc.memory.write("ai", {"threshold": "0.3"})
        assert not commit.announced
        hc.wait_for(commit, 10.0)
        assert not hc.store.set(ai, threshold=0.2, by="ann").announced
        with pytest.raises(hotconfig.RedisUnavailableError):
            hc.memory.publish("config:ai:threshold", "0.1")
    eventually(lambda: hc.status().state is hotconfig.State.READY, 10.0)
    assert hc.store.set(ai, threshold=0.1, by="ann").announced


def test_while_the_database_is_down_values_stay_and_writing_fails(hc: MemoryHotConfig) -> None:
    ai = hc.bind(AI)
    with hc.memory.database_down():
        with pytest.raises(hotconfig.DatabaseUnavailableError):
            hc.store.set(ai, threshold=0.1, by="ann")
        assert ai.threshold == 0.9
        with pytest.raises(hotconfig.DatabaseUnavailableError):
            hc.memory.client().start(timeout=0.3)
    hc.wait_for(hc.store.set(ai, threshold=0.1, by="ann"))


def test_a_restored_database_wins_and_says_so(hc: MemoryHotConfig, caplog: pytest.LogCaptureFixture) -> None:
    ai = hc.bind(AI)
    told: list[hotconfig.Changed[AI]] = []
    hc.on_change(ai, told.append)
    hc.wait_for(hc.store.set(ai, threshold=0.1, by="ann"))
    hc.memory.truth.rewind("ai", 1)
    hc.memory.write("ai", {"model": "gpt-5"})  # the next thing that anybody tells
    eventually(lambda: (ai.threshold, ai.model) == (0.9, "gpt-5"), 20.0)
    eventually(lambda: told and told[-1].rewound)
    assert "restored or failed over" in caplog.text


def test_a_foreign_message_is_checked_against_the_truth() -> None:
    with in_memory() as hc:
        ai = hc.bind(AI)
        hc.memory.write("ai", {"threshold": "0.3"}, announce=False)
        assert hc.memory.publish("config:ai:threshold", "0.99") == 1
        eventually(lambda: ai.threshold == 0.3)


def test_what_it_cannot_be_is_said() -> None:
    with pytest.raises(hotconfig.UsageError, match="in_memory"):
        MemoryHotConfig.from_env()
    hc = in_memory()
    assert hc.status().state is hotconfig.State.NOT_READY
    with pytest.raises(hotconfig.NotStartedError):
        hc.bind(AI)
    with pytest.raises(hotconfig.ConfigurationError, match="no relay"):
        hc._wiring.relay()


def test_it_loads_no_driver_and_opens_nothing() -> None:
    program = (
        "import sys, hotconfig, pydantic\n"
        "from hotconfig.testing import in_memory, override\n"
        "@hotconfig.settings(service='ai')\n"
        "class AI(pydantic.BaseModel):\n"
        "    threshold: float = 0.75\n"
        "with in_memory() as hc:\n"
        "    ai = hc.bind(AI)\n"
        "    with override(ai, threshold=0.9):\n"
        "        hc.store.set(ai, threshold=0.1, by='ann')\n"
        "assert not {'redis', 'psycopg', 'pytest', 'anyio'} & set(sys.modules), sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_how_late_a_turn_began_is_told_also_of_turns_that_stumble(
    hc: MemoryHotConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hc.bind(AI)
    follower = hc._follower
    assert follower is not None
    told: list[float] = []
    monkeypatch.setattr(follower.ledger, "late", lambda _, late_s: told.append(late_s))
    monkeypatch.setattr(follower, "_take_turn", lambda _: 1 / 0)
    eventually(lambda: "the line stumbled" in caplog.text)
    before = len(told)
    eventually(lambda: len(told) > before)
