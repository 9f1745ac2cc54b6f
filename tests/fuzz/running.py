"""Feeding targets. Each input has a generator of its own, so that it can be repeated alone where it depends on none."""

from __future__ import annotations

import gc
from random import Random

from tests.fuzz.targets import TARGETS


class InputError(AssertionError):
    """A law was broken; says by which input."""


def fuzz(target: str, inputs: int, seed: int) -> None:
    """Feed a target so many inputs.

    Raises:
        InputError: a law was broken, or something raised that nothing may raise.
    """
    one = TARGETS[target]()
    rng = Random()
    for number in range(inputs):
        rng.seed(f"{seed}/{target}/{number}")
        try:
            one.feed(rng)
        except BaseException as error:  # a panic of pydantic's core is a BaseException, too
            if isinstance(error, KeyboardInterrupt):
                raise
            raise InputError(f"{target}: input {number} of seed {seed}: {type(error).__name__}") from error
    gc.collect()
