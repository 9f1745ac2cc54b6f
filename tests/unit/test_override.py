"""``override``: what is shown meanwhile and afterwards, who is told, and every form that it comes in."""

from __future__ import annotations

import os
import threading
import unittest
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, model_validator

import hotconfig
from hotconfig.testing import MemoryHotConfig, in_memory, override
from tests.support.waiting import eventually


@hotconfig.settings(service="ai")
class AI(BaseModel):
    threshold: float = Field(0.75, ge=0, le=1)
    model: str = "gpt-4"
    tags: list[str] = []
    token: SecretStr = SecretStr("unset")


@hotconfig.settings(service="limits")
class Limits(BaseModel):
    low: int = 1
    high: int = 10

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        if self.low > self.high:
            raise ValueError("low must not exceed high")
        return self


@pytest.fixture
def hc() -> Iterator[MemoryHotConfig]:
    with in_memory() as made:
        yield made


@pytest.fixture
def ai(hc: MemoryHotConfig) -> AI:
    return hc.bind(AI)


def test_values_are_shown_and_afterwards_what_was_there(ai: AI) -> None:
    before = hotconfig.snapshot(ai)
    with override(ai, threshold=0.9, tags=["a"]):
        assert (ai.threshold, ai.tags, ai.model) == (0.9, ["a"], "gpt-4")
    assert hotconfig.snapshot(ai) is before


def test_an_override_whose_end_ctrl_c_cuts_off_ends_all_the_same(ai: AI, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hotconfig.snapshot(ai)

    def interrupt_once(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), override(ai, threshold=0.9):
        monkeypatch.setattr("hotconfig.core.line.swap", interrupt_once)
    eventually(lambda: hotconfig.snapshot(ai) is before, 30)


def test_a_class_means_wherever_it_is_bound(hc: MemoryHotConfig, ai: AI) -> None:
    with hc.memory.client() as other:
        theirs = other.bind(AI)
        with override(AI, {"threshold": "0.90"}):
            assert (ai.threshold, theirs.threshold) == (0.9, 0.9)
        with override(ai, threshold=0.8):
            assert (ai.threshold, theirs.threshold) == (0.8, 0.75)


def test_a_class_that_is_bound_meanwhile_is_overridden_from_the_beginning(hc: MemoryHotConfig) -> None:
    with override(AI, threshold=0.9):
        ai = hc.bind(AI)
        assert ai.threshold == 0.9
    assert ai.threshold == 0.75


def test_a_class_that_a_closed_client_had_bound_is_not_reached_there() -> None:
    with in_memory() as closed:
        kept = closed.bind(Limits)
    with override(Limits, low=50), in_memory({"limits": {"high": "90"}}) as later:
        assert later.bind(Limits).low == 50
    assert kept.low == 1


def test_what_does_not_fit_together_is_told_by_bind_where_that_comes_later(hc: MemoryHotConfig) -> None:
    with override(Limits, low=50):
        with pytest.raises(hotconfig.InvalidStateError, match="low must not exceed high"):
            hc.bind(Limits)
        hc.memory.write("limits", {"high": "90"})
        assert hc.bind(Limits).low == 50


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"threshold": 7}, hotconfig.InvalidValueError),
        ({"threshold": "high"}, hotconfig.InvalidValueError),
        ({"treshold": 0.9}, hotconfig.UnknownKeyError),
        ({"token": "secret"}, hotconfig.SecretValueError),
        ({}, hotconfig.UsageError),
    ],
)
def test_what_the_store_refuses_is_refused_with_the_same_error(
    values: dict[str, object], error: type[Exception], ai: AI
) -> None:
    with pytest.raises(error), override(ai, values):
        pass
    assert ai.threshold == 0.75


def test_what_the_whole_class_refuses_changes_nothing(hc: MemoryHotConfig) -> None:
    limits = hc.bind(Limits)
    with override(limits, low=5):
        with pytest.raises(hotconfig.InvalidValueError, match="low must not exceed high") as caught:
            override(limits, high=4).__enter__()
        assert caught.value.problems
        assert (limits.low, limits.high) == (5, 10)
    assert limits.low == 1


def test_what_is_not_live_is_refused() -> None:
    with pytest.raises(hotconfig.NotBoundError), override(AI(), threshold=0.9):
        pass
    with pytest.raises(hotconfig.DeclarationError), override(BaseModel, threshold=0.9):
        pass


def test_listeners_are_told_of_the_beginning_and_the_end(hc: MemoryHotConfig, ai: AI) -> None:
    told: list[hotconfig.Changed[AI]] = []
    hc.on_change(ai, told.append)
    with override(ai, threshold=0.9, model="gpt-4"):
        eventually(lambda: len(told) == 1)
    eventually(lambda: len(told) == 2)
    assert [(c.old.threshold, c.new.threshold, c.keys, c.by) for c in told] == [
        (0.75, 0.9, frozenset({"threshold"}), "hotconfig.testing"),
        (0.9, 0.75, frozenset({"threshold"}), "hotconfig.testing"),
    ]


def test_overrides_nest_and_end_in_any_order(ai: AI) -> None:
    outer, inner = override(ai, threshold=0.1, model="outer"), override(ai, threshold=0.2)
    outer.__enter__()
    inner.__enter__()
    assert (ai.threshold, ai.model) == (0.2, "outer")
    outer.__exit__(None, None, None)
    assert (ai.threshold, ai.model) == (0.2, "gpt-4")
    inner.__exit__(None, None, None)
    assert (ai.threshold, ai.model) == (0.75, "gpt-4")


def test_one_override_may_be_entered_twice(ai: AI) -> None:
    twice = override(ai, threshold=0.9)
    with twice, twice:
        assert ai.threshold == 0.9
    assert ai.threshold == 0.75


def test_a_real_change_is_shown_where_it_is_not_overridden_and_else_at_the_end(hc: MemoryHotConfig, ai: AI) -> None:
    with override(ai, threshold=0.1):
        hc.wait_for(hc.store.set(ai, threshold=0.5, model="real", by="ann"))
        hc.wait_for(hc.memory.write("ai", {"tags": '["b"]'}))
        assert (ai.threshold, ai.model, ai.tags) == (0.1, "real", ["b"])
        assert hc.memory.texts("ai")["threshold"] == "0.5"
    assert (ai.threshold, ai.model, ai.tags) == (0.5, "real", ["b"])


def test_a_real_change_that_does_not_fit_the_override_waits_for_its_end(hc: MemoryHotConfig) -> None:
    limits = hc.bind(Limits)
    with override(limits, low=8):
        commit = hc.store.set(limits, high=5, by="ann")  # the store knows no overrides
        with pytest.raises(hotconfig.InvalidStateError):
            hc.wait_for(commit)
        assert (limits.low, limits.high) == (8, 10)
        with override(limits, low=2):
            assert (limits.low, limits.high) == (2, 5)
            hc.wait_for(commit)
    assert (limits.low, limits.high) == (1, 5)
    hc.wait_for(commit)
    assert not hc.status().services["limits"].problems


def test_a_real_change_that_is_invalid_by_itself_is_rejected_as_ever(hc: MemoryHotConfig, ai: AI) -> None:
    with override(ai, threshold=0.9):
        commit = hc.memory.write("ai", {"threshold": "7", "model": "bad"})
        with pytest.raises(hotconfig.InvalidStateError):
            hc.wait_for(commit)
        assert (ai.threshold, ai.model) == (0.9, "gpt-4")
    assert (ai.threshold, ai.model) == (0.75, "gpt-4")
    assert hc.status().services["ai"].problems


def test_it_wins_over_pins_and_the_environment(hc: MemoryHotConfig) -> None:
    ai = hc.bind(AI, pins={"threshold": 0.3})
    with override(ai, threshold=0.9):
        assert ai.threshold == 0.9
    assert ai.threshold == 0.3


def test_it_ends_also_where_the_client_was_closed_meanwhile() -> None:
    with override(AI, threshold=0.9), in_memory() as hc:
        ai = hc.bind(AI)
        assert ai.threshold == 0.9
    assert ai.threshold == 0.75
    hc.close()


def test_threads_see_the_same_and_may_override_different_keys(ai: AI) -> None:
    barrier = threading.Barrier(2)
    seen: list[object] = []

    def work(key: str, value: object) -> None:
        for _ in range(20):
            barrier.wait(10)
            with override(ai, {key: value}):
                seen.append(getattr(ai, key) == value)
                barrier.wait(10)
                seen.append((ai.threshold, ai.model) == (0.9, "other"))
                barrier.wait(10)

    threads = [threading.Thread(target=work, args=pair) for pair in (("threshold", 0.9), ("model", "other"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 80
    assert all(seen)
    assert (ai.threshold, ai.model) == (0.75, "gpt-4")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_keeps_the_override_and_ends_it_for_itself(hc: MemoryHotConfig, ai: AI) -> None:
    entered = override(ai, threshold=0.9)
    entered.__enter__()
    child = os.fork()
    if child == 0:
        try:
            meanwhile = ai.threshold
            entered.__exit__(None, None, None)
            eventually(lambda: ai.threshold == 0.75)
            os._exit(0 if meanwhile == 0.9 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ai.threshold == 0.9
    entered.__exit__(None, None, None)
    assert ai.threshold == 0.75


# As a decorator -----------------------------------------------------------------------------------------------


@pytest.fixture
def bound(hc: MemoryHotConfig) -> AI:
    return hc.bind(AI)


def test_a_function_is_decorated_and_keeps_its_name(ai: AI) -> None:
    @override(AI, threshold=0.9)
    def read(more: float) -> float:
        """Reads."""
        return ai.threshold + more

    assert read(1) == 1.9
    assert (read.__name__, read.__doc__) == ("read", "Reads.")
    assert ai.threshold == 0.75


def test_an_error_within_ends_it_and_comes_out(ai: AI) -> None:
    @override(AI, threshold=0.9)
    def fail() -> None:
        raise KeyError(ai.threshold)

    with pytest.raises(KeyError, match=r"0\.9"):
        fail()
    assert ai.threshold == 0.75


def test_a_generator_is_decorated_from_its_first_step_to_its_end(ai: AI) -> None:
    @override(AI, threshold=0.9)
    def steps() -> Generator[float, float, str]:
        got = yield ai.threshold
        yield got
        return "end"

    made = steps()
    assert ai.threshold == 0.75
    assert (next(made), made.send(4.0), ai.threshold) == (0.9, 4.0, 0.9)
    made.close()
    assert ai.threshold == 0.75


@pytest.mark.anyio
async def test_a_coroutine_function_is_decorated(ai: AI) -> None:
    @override(AI, threshold=0.9)
    async def read() -> float:
        return ai.threshold

    assert await read() == 0.9
    assert ai.threshold == 0.75


@pytest.mark.anyio
async def test_an_asynchronous_generator_is_decorated(ai: AI) -> None:
    ended: list[float] = []

    @override(AI, threshold=0.9)
    async def steps() -> AsyncGenerator[float, float]:
        try:
            got = yield ai.threshold
            yield got
        finally:
            ended.append(ai.threshold)

    made = steps()
    assert (await anext(made), await made.asend(4.0)) == (0.9, 4.0)
    await made.aclose()
    assert (ended, ai.threshold) == ([0.9], 0.75)
    assert [value async for value in steps()] == [0.9, None]
    assert ai.threshold == 0.75


@override(AI, threshold=0.9)
class TestClass:
    """As pytest runs it: the override holds from ``setup_method`` to ``teardown_method``."""

    seen: list[float]

    def setup_method(self) -> None:
        self.seen = []

    def teardown_method(self, method: Any) -> None:
        assert method.__name__.startswith("test_")

    def test_a_method_sees_it(self, bound: AI) -> None:
        assert (bound.threshold, self.seen) == (0.9, [])

    @override(AI, model="inner")
    def test_a_method_may_add_to_it(self, bound: AI) -> None:
        assert (bound.threshold, bound.model) == (0.9, "inner")


class TestSubclass(TestClass):
    def test_a_subclass_has_it_too(self, bound: AI) -> None:
        assert bound.threshold == 0.9


def test_after_the_classes_nothing_is_left(bound: AI) -> None:
    assert (bound.threshold, bound.model) == (0.75, "gpt-4")


def test_a_unittest_case_has_it_in_each_of_its_parts() -> None:
    seen: list[tuple[str, float]] = []
    with in_memory() as hc:
        ai = hc.bind(AI)

        @override(AI, threshold=0.9)
        class Case(unittest.TestCase):
            def setUp(self) -> None:
                seen.append(("setUp", ai.threshold))
                self.addCleanup(lambda: seen.append(("cleanup", ai.threshold)))

            def tearDown(self) -> None:
                seen.append(("tearDown", ai.threshold))

            def test_it(self) -> None:
                seen.append(("test", ai.threshold))
                with override(ai, threshold=0.1):
                    seen.append(("nested", ai.threshold))

        @override(AI, threshold=7)
        class Wrong(unittest.TestCase):
            def test_it(self) -> None:
                seen.append(("never", 0))

        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
        assert (result.testsRun, result.errors, result.failures) == (1, [], [])
        unittest.defaultTestLoader.loadTestsFromTestCase(Wrong).run(result)
        assert "InvalidValueError" in result.errors[0][1]
        assert ai.threshold == 0.75
    assert seen == [("setUp", 0.9), ("test", 0.9), ("nested", 0.1), ("tearDown", 0.9), ("cleanup", 0.9)]


def test_setup_that_fails_leaves_no_override() -> None:
    @override(AI, threshold=0.9)
    class Failing:
        def setup_method(self) -> None:
            raise KeyError

    failing: Any = Failing()
    with in_memory() as hc:
        ai = hc.bind(AI)
        with pytest.raises(KeyError):
            failing.setup_method(None)  # as pytest calls it
        assert ai.threshold == 0.75


def test_nothing_else_can_be_decorated() -> None:
    with pytest.raises(hotconfig.UsageError, match="functions and classes"):
        override(AI, threshold=0.9)(3)
