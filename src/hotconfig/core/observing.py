"""Observing: the port through which telemetry watches writes, the line, and how a process stands.

Owns the contract, and the observer that sees nothing. Must not know OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from hotconfig.core.chain import ChangeSet
from hotconfig.core.judge import Loaded
from hotconfig.core.outcomes import Outcome
from hotconfig.core.status import Status
from hotconfig.core.tracecontext import NO_TRACE

News = ChangeSet | Loaded
"""What brought a change: a message, or a read of PostgreSQL."""


class Writing(Protocol):
    """One write under way, from entering to leaving it. ``trace`` goes into its change set."""

    trace: Mapping[str, str]

    def __enter__(self) -> Writing: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None: ...

    def committed(self, revision: int) -> None:
        """PostgreSQL took it; ``revision`` is the head now."""
        ...


class Observer(Protocol):
    """Watches from outside, for one ``HotConfig``.

    1. No call raises or blocks, whatever whoever listens does.
    2. No call is handed a value of a setting to pass on, and none passes one on.
    3. ``active`` is a plain attribute. While it is false, ``applied`` is not called: the line pays nothing else.
    4. ``look`` finds ``active`` anew. The line's thread calls it now and then, away from the messages.
    5. ``opened`` and ``closed`` bracket the life of a client; ``closed`` may come twice, or alone.
    """

    active: bool

    def look(self) -> None:
        """Find out whether anybody listens to what ``applied`` is told."""
        ...

    def writing(self, service: str, keys: Sequence[str]) -> Writing:
        """Around one commit, on the thread that writes."""
        ...

    def applied(self, told: Sequence[tuple[News, Outcome]], begun_ns: int, ended_ns: int) -> None:
        """What became of news on the line. Change sets taken together share one outcome object.

        Args:
            told: Pairs in the line's order; only ``Applied`` and ``Rejected`` mean anything.
            begun_ns, ended_ns: Wall clock in nanoseconds, around validating, swapping and telling.
        """
        ...

    def opened(self, status: Callable[[], Status]) -> None:
        """A client started; ``status`` may be called at any time, from any thread."""
        ...

    def closed(self) -> None:
        """It was closed. What it counted stays counted."""
        ...


class _Unobserved:
    """The observer, and the write, that nobody watches; so it needs none of what it is told."""

    active = False
    trace = NO_TRACE

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        return None

    def committed(self, revision: int) -> None:  # noqa: ARG002
        return None

    def look(self) -> None:
        return None

    def writing(self, service: str, keys: Sequence[str]) -> Writing:  # noqa: ARG002
        return self

    def applied(self, told: Sequence[tuple[News, Outcome]], begun_ns: int, ended_ns: int) -> None:  # noqa: ARG002
        return None

    def opened(self, status: Callable[[], Status]) -> None:  # noqa: ARG002
        return None

    def closed(self) -> None:
        return None


UNOBSERVED: Final = _Unobserved()
