"""The observer that speaks OpenTelemetry: spans for writes and applies, the propagation histogram, the census.

Owns what is told, and that nothing that listens can hurt a write or the line. A write looks for providers each time;
the line, which may not pay for that, learns of one that was installed after the start when PostgreSQL is next read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from datetime import datetime
from itertools import groupby
from typing import Final, TypeGuard

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, NoOpHistogram
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hotconfig.core.chain import ChangeSet
from hotconfig.core.observing import UNOBSERVED, News, Writing
from hotconfig.core.outcomes import Applied, Outcome, Rejected, Stage
from hotconfig.core.status import Status
from hotconfig.core.tracecontext import NO_TRACE, bounded
from hotconfig.telemetry.census import census
from hotconfig.telemetry.conventions import (
    APPLY_SPAN,
    ERROR_TYPE,
    KEYS,
    REVISION,
    REWOUND,
    SCOPE,
    SERVICE,
    STAGE,
    WRITE_SPAN,
)
from hotconfig.telemetry.instruments import propagation, scope_version

logger: Final = logging.getLogger("hotconfig.telemetry")

MAX_LINKS: Final = 32
"""Writers' spans that one apply is linked to, when many change sets are taken together: the newest."""

_W3C: Final = TraceContextTextMapPropagator()

_raised: Final[set[str]] = set()
"""Kinds of errors of the SDK that were logged once; from then on only at DEBUG."""


class OpenTelemetryObserver:
    """See :class:`hotconfig.core.observing.Observer`. Any thread."""

    def __init__(self) -> None:
        self.active: bool = False
        self._tracing = False
        self._measuring = False
        self._tracer: Tracer = trace.NoOpTracer()
        self._propagation: Histogram = NoOpHistogram(SCOPE)
        with _harmless():  # OTEL_PYTHON_TRACER_PROVIDER may name what is not installed
            self._tracer = trace.get_tracer(SCOPE, scope_version())
            self._propagation = propagation()
        self.look()

    def look(self) -> None:
        """Find out whether the application has installed an SDK's providers."""
        with _harmless():
            self._tracing = _is_real(trace.get_tracer_provider())
            self._measuring = _is_real(metrics.get_meter_provider())
        self.active = self._tracing or self._measuring

    def writing(self, service: str, keys: Sequence[str]) -> Writing:
        """A span around one commit; the current one of this thread meanwhile."""
        self.look()
        return _WriteSpan(self._tracer, service, keys) if self._tracing else UNOBSERVED

    def applied(self, told: Sequence[tuple[News, Outcome]], begun_ns: int, ended_ns: int) -> None:
        """A span for each outcome, a duration for each commit that is shown now."""
        with _harmless():
            for _, pairs in groupby(told, key=lambda pair: id(pair[1])):
                together = list(pairs)
                outcome = together[0][1]
                if _is_told(outcome):
                    self._apply([news for news, _ in together], outcome, begun_ns, ended_ns)

    def opened(self, status: Callable[[], Status]) -> None:
        """Have a client in the metrics."""
        census().enroll(self, status)

    def closed(self) -> None:
        """Have it there no more, but for what it counted."""
        census().strike(self)

    def _apply(self, news: Sequence[News], outcome: Applied | Rejected, begun_ns: int, ended_ns: int) -> None:
        within = Context()  # never that of the line's thread
        if self._tracing:
            span = _apply_span(self._tracer, news, outcome, begun_ns)
            span.end(ended_ns)
            within = trace.set_span_in_context(span, within)  # exemplars of the histogram lead to the span
        if self._measuring and isinstance(outcome, Applied) and not outcome.rewound:
            for each in news:
                duration_s = _duration_s(each.at, ended_ns)
                if duration_s is not None:
                    self._propagation.record(duration_s, {SERVICE: outcome.service}, context=within)


class _WriteSpan:
    """One write under way, and its span. Whatever a span processor does, the write goes its way."""

    def __init__(self, tracer: Tracer, service: str, keys: Sequence[str]) -> None:
        self.trace: Mapping[str, str] = NO_TRACE
        self._tracer = tracer
        self._attributes = {SERVICE: service, KEYS: sorted(keys)}
        self._span: Span = trace.INVALID_SPAN
        self._token: Token[Context] | None = None

    def __enter__(self) -> Writing:
        with _harmless():
            self._span = self._tracer.start_span(WRITE_SPAN, kind=SpanKind.PRODUCER, attributes=self._attributes)
            self._token = context.attach(trace.set_span_in_context(self._span))
            carrier: dict[str, str] = {}
            _W3C.inject(carrier)
            self.trace = bounded(carrier)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        with _harmless():
            if self._token is not None:
                context.detach(self._token)
            if kind is not None:
                # The type alone: the error's causes are the driver's, and may quote what was written.
                self._span.set_attribute(ERROR_TYPE, kind.__name__)
                self._span.set_status(StatusCode.ERROR, kind.__name__)
            self._span.end()

    def committed(self, revision: int) -> None:
        with _harmless():
            self._span.set_attribute(REVISION, revision)


def _apply_span(tracer: Tracer, news: Sequence[News], outcome: Applied | Rejected, begun_ns: int) -> Span:
    """Linked to every writer's span, as OpenTelemetry has it for messages; of one alone it is the child, too."""
    origins = [found for each in news if isinstance(each, ChangeSet) and (found := _origin(each)) is not None]
    span = tracer.start_span(
        APPLY_SPAN,
        context=origins[0] if len(origins) == len(news) == 1 else Context(),
        kind=SpanKind.CONSUMER,
        attributes=_attributes(outcome),
        links=[Link(trace.get_current_span(origin).get_span_context()) for origin in origins[-MAX_LINKS:]],
        start_time=begun_ns,
    )
    if isinstance(outcome, Rejected):
        span.set_status(StatusCode.ERROR, "rejected")
    return span


def _attributes(outcome: Applied | Rejected) -> dict[str, str | int | bool | list[str]]:
    found: dict[str, str | int | bool | list[str]] = {SERVICE: outcome.service or "", REVISION: outcome.revision or 0}
    if isinstance(outcome, Rejected):
        return found | {KEYS: sorted(outcome.problems), STAGE: outcome.stage.value, ERROR_TYPE: "rejected"}
    if outcome.rewound:
        found[REWOUND] = True
    return found | {KEYS: sorted(outcome.keys)}


def _origin(change_set: ChangeSet) -> Context | None:
    """The writer's context, if the change set carries one that can be read."""
    trace_fields = bounded(change_set.trace)
    return _W3C.extract(dict(trace_fields), Context()) if trace_fields else None


def _is_told(outcome: Outcome) -> TypeGuard[Applied | Rejected]:
    if isinstance(outcome, Applied):
        return not outcome.first
    return isinstance(outcome, Rejected) and outcome.stage is Stage.VALIDATE


def _duration_s(at: str | None, shown_ns: int) -> float | None:
    """From PostgreSQL's clock to this host's: what the two differ by is in it, and below 0 says nothing but that."""
    if at is None:
        return None
    try:
        return max(0.0, shown_ns / 1e9 - datetime.fromisoformat(at).timestamp())
    except (ValueError, OverflowError):
        return None


def _is_real(provider: object) -> bool:
    """Not one of the stand-ins that come with the API: those do nothing, or wait for a real one."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


@contextmanager
def _harmless() -> Generator[None]:
    """Around what runs samplers, processors and exporters: the application's, so they may raise anything."""
    try:
        yield
    except Exception as error:
        kind = type(error).__name__
        level = logging.DEBUG if kind in _raised else logging.ERROR
        _raised.add(kind)
        logger.log(level, "OpenTelemetry's SDK raised; nothing is told, and everything goes on", exc_info=True)
