"""Taking turns: arms that are compared run side by side, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Final

ROUND: Final[ContextVar[Callable[[int, int], None]]] = ContextVar("ROUND", default=lambda _done, _of: None)
"""Hears after each round how many are done, of how many. Called between samples, never while one is taken."""


def in_turns(arms: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: int = 0) -> dict[str, list[float]]:
    """Call every arm once per round, each round in another order, and collect what they return.

    The order is random but the same in every run. The first ``warm_up`` rounds are not collected.
    """
    order = random.Random(0)
    tell = ROUND.get()
    samples: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for number in range(warm_up + rounds):
        order.shuffle(names)
        for name in names:
            value = arms[name]()
            if number >= warm_up:
                samples[name].append(value)
        tell(number + 1, warm_up + rounds)
    return samples


def in_blocks(
    arms: Mapping[str, Callable[[int], list[float]]], size: int, *, blocks: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """As :func:`in_turns`, for arms that measure ``size`` times at each call."""
    order = random.Random(0)
    tell = ROUND.get()
    samples: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for number in range(warm_up + blocks):
        order.shuffle(names)
        for name in names:
            values = arms[name](size)
            if number >= warm_up:
                samples[name] += values
        tell(number + 1, warm_up + blocks)
    return samples


def timed_us(call: Callable[[], object]) -> float:
    """How long one call takes, in microseconds."""
    begun = perf_counter_ns()
    call()
    return (perf_counter_ns() - begun) / 1e3
