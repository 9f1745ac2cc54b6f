"""What goes wrong on purpose, and the record of what was asked. Both may be used from any thread."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from hotconfig.testing.kubernetes.statuses import ApiError


class Match(TypedDict, total=False):
    """Which calls a fault is for; whatever is left out fits all."""

    method: str
    path: str
    """A regular expression, searched for in the path."""
    user: str
    """The key that the user has with the double: ``provisioner``."""
    times: int
    """How many calls it strikes; 1 if left out, 0 for all until ``clear``."""
    skip: int
    """How many fitting calls go well before."""


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong."""

    match: Match
    delay_s: float = 0.0
    error: ApiError | None = None
    """Answered instead of carrying the call out."""
    resets_before: bool = False
    """The connection is reset, the call not carried out."""
    resets_after: bool = False
    """The call is carried out, and the connection reset instead of an answer."""
    seen: int = field(default=0, init=False)

    def strikes(self, method: str, path: str, user: str) -> bool:
        match = self.match
        fits = (
            match.get("method", method) == method
            and match.get("user", user) == user
            and re.search(match.get("path", ""), path) is not None
        )
        if not fits:
            return False
        self.seen += 1
        place, times = self.seen - match.get("skip", 0), match.get("times", 1)
        return place > 0 and (times == 0 or place <= times)


class Faults:
    """The faults in force. ``latency_s`` is added to every call."""

    def __init__(self) -> None:
        self.latency_s: float = 0.0
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def refuse(self, code: int, *, retry_after_s: float | None = None, **match: Unpack[Match]) -> Fault:
        """Answer ``code`` (429, 500, 503, …). ``Retry-After`` is in whole seconds on the wire, rounded up."""
        headers = {} if retry_after_s is None else {"Retry-After": str(math.ceil(retry_after_s))}
        words = {
            429: "Too many requests, please try again later.",
            503: "the server is currently unable to handle the request",
        }
        message = words.get(code, "Internal error occurred: a fault of the double")
        reason = "InternalError" if code == 500 else None
        details = {} if retry_after_s is None else {"details": {"retryAfterSeconds": math.ceil(retry_after_s)}}
        return self.add(Fault(match, error=ApiError(code, message, reason=reason, headers=headers, **details)))

    def reset(self, *, after: bool = False, **match: Unpack[Match]) -> Fault:
        """Reset the connection, before the call is carried out or ``after``."""
        return self.add(Fault(match, resets_before=not after, resets_after=after))

    def slow(self, delay_s: float, **match: Unpack[Match]) -> Fault:
        """Carry the call out only after ``delay_s``."""
        return self.add(Fault(match, delay_s=delay_s))

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Everything goes well again."""
        with self._lock:
            self._faults.clear()
            self.latency_s = 0.0

    def striking(self, method: str, path: str, user: str) -> list[Fault]:
        """The faults that strike this call. Counts it."""
        with self._lock:
            return [fault for fault in self._faults if fault.strikes(method, path, user)]


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the server saw it. Times are of the monotonic clock, in seconds."""

    method: str
    path: str
    query: str
    user: str
    """The key of the user, ``""`` for nobody known."""
    impersonated: str
    began: float
    ended: float
    code: int
    """The status answered; 0 when the connection was reset instead."""


class CallLog:
    """The calls answered, in the order in which they ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self.on_call: Callable[[Call], None] | None = None
        """Called on the server's thread with each call that ends; for a test that waits for one."""

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)
        if self.on_call is not None:
            self.on_call(call)

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()

    def calls(self, *, method: str = "", path: str = "", user: str = "") -> list[Call]:
        """Those with this method, whose path holds the regular expression, of this user."""
        with self._lock:
            return [
                call
                for call in self._calls
                if method in {"", call.method} and user in {"", call.user} and re.search(path, call.path)
            ]

    def __len__(self) -> int:
        return len(self._calls)

    def rounds(self) -> int:
        """How many calls, at most, waited for one another: the round trips in sequence.

        The server does one thing at a time, so calls are side by side only while they wait for ``latency_s``: set it
        well above the time that it takes to send them.
        """
        count, free_at = 0, -math.inf
        for call in sorted(self.calls(), key=lambda each: each.ended):
            if call.began >= free_at:
                count, free_at = count + 1, call.ended
        return count
