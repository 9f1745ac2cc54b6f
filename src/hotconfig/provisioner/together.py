"""Several calls at once, with one error at most. Knows nothing of what is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import anyio

from hotconfig.core.errors import HotConfigError, RetryableError

T = TypeVar("T")

OnSent = Callable[[], None]
"""To be called when a request has left."""
AHEAD_S: Final = 0.05
"""How long the others wait for it at most: it may have to connect."""


async def side_by_side(
    calls: Sequence[Callable[[], Awaitable[T]]], *, ahead: Callable[[OnSent], Awaitable[T]] | None = None
) -> list[T]:
    """Do all of them at once; every one is tried, even if another fails. Answers come in their order.

    ``ahead`` has the way to itself: the others begin when it says that its request has left, or is over, or after
    ``AHEAD_S`` seconds. Its answer comes first.

    Raises:
        HotConfigError: one of them failed: the one that time does not heal, if there is such a one.
    """
    if len(calls) + (ahead is not None) == 1:
        return [await (calls[0]() if ahead is None else ahead(_nobody_waits))]
    answers: dict[int, T] = {}
    errors: list[HotConfigError] = []

    async def one(place: int, call: Callable[[], Awaitable[T]]) -> None:
        try:
            answers[place] = await call()
        except HotConfigError as error:
            errors.append(error)

    async def first(call: Callable[[OnSent], Awaitable[T]], sent: anyio.Event) -> None:
        try:
            await one(-1, lambda: call(sent.set))
        finally:
            sent.set()

    async with anyio.create_task_group() as tasks:
        if ahead is not None:
            sent = anyio.Event()
            tasks.start_soon(first, ahead, sent)
            with anyio.move_on_after(AHEAD_S):
                await sent.wait()
        for place, call in enumerate(calls):
            tasks.start_soon(one, place, call)
    if errors:
        raise min(errors, key=lambda error: isinstance(error, RetryableError))
    return [answers[place] for place in sorted(answers)]


def _nobody_waits() -> None:
    pass
