"""Waiting for an event with a deadline, in place of sleeping and hoping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

_POLL_S = 0.01


class Eventually(Protocol):
    """The type of :func:`eventually`, for tests that take it as a fixture."""

    def __call__(self, predicate: Callable[[], T], timeout_s: float = 5.0, *, message: str = "") -> T: ...


def eventually(predicate: Callable[[], T], timeout_s: float = 5.0, *, message: str = "") -> T:
    """Call ``predicate`` until it returns something true, and return that.

    Raises:
        AssertionError: nothing true within ``timeout_s``; tells ``message`` and what came last.
    """
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            what = message or getattr(predicate, "__qualname__", repr(predicate))
            raise AssertionError(f"not within {timeout_s:g} s: {what}; last seen: {value!r}")
        pause.wait(_POLL_S)
    return value
