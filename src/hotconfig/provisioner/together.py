"""Several calls at once, with one error at most. Knows nothing of what is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from hotconfig.core.errors import HotConfigError, RetryableError

T = TypeVar("T")


async def side_by_side(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Do all of them at once; every one is tried, even if another fails. Answers come in their order.

    Raises:
        HotConfigError: one of them failed: the one that time does not heal, if there is such a one.
    """
    answers: dict[int, T] = {}
    errors: list[HotConfigError] = []

    async def one(place: int, call: Callable[[], Awaitable[T]]) -> None:
        try:
            answers[place] = await call()
        except HotConfigError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for place, call in enumerate(calls):
            tasks.start_soon(one, place, call)
    if errors:
        raise min(errors, key=lambda error: isinstance(error, RetryableError))
    return [answers[place] for place in range(len(calls))]
