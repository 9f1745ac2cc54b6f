"""W3C trace context as it travels in a change set: which of it is let through, in both directions.

Pure text rules; what a trace is knows OpenTelemetry alone. Baggage never travels: it holds what users put there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, cast

NO_TRACE: Final[Mapping[str, str]] = MappingProxyType({})

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
MAX_TRACESTATE: Final = 512
"""What https://www.w3.org/TR/trace-context/#tracestate-limits asks everybody to carry. Longer ones are dropped."""

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def bounded(raw: object) -> Mapping[str, str]:
    """Of what came along as a trace, the fields that are known and well formed. Never raises, whatever it is."""
    if not raw or not isinstance(raw, Mapping):
        return NO_TRACE
    fields = cast("Mapping[object, object]", raw)
    parent, state = fields.get(TRACEPARENT), fields.get(TRACESTATE)
    if not isinstance(parent, str) or not _TRACEPARENT.fullmatch(parent):
        return NO_TRACE
    if isinstance(state, str) and 0 < len(state) <= MAX_TRACESTATE and state.isascii() and state.isprintable():
        return {TRACEPARENT: parent, TRACESTATE: state}
    return {TRACEPARENT: parent}


def trace_id(trace: Mapping[str, str]) -> str | None:
    """The 32 hexadecimal digits that name the trace; None without one."""
    parent = trace.get(TRACEPARENT)
    return None if parent is None else parent[3:35]
