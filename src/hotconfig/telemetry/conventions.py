"""The names under which hotconfig is seen: spans, attributes, metrics. docs/telemetry.md lists them; a test compares.

Every attribute of a metric is bounded: services that the program binds, stages of the line, states. Never a value,
never a key, never a tenant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

SCOPE: Final = "hotconfig"

WRITE_SPAN: Final = "hotconfig write"
APPLY_SPAN: Final = "hotconfig apply"

SERVICE: Final = "hotconfig.service"
KEYS: Final = "hotconfig.keys"
REVISION: Final = "hotconfig.revision"
STAGE: Final = "hotconfig.stage"
STATE: Final = "hotconfig.state"
REWOUND: Final = "hotconfig.rewound"
ERROR_TYPE: Final = "error.type"
"""OpenTelemetry's own; https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/"""


class Kind(Enum):
    """What kind of instrument."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Annotations in braces are no units: https://ucum.org/ucum#section-Curly-Braces"""

    name: str
    kind: Kind
    unit: str
    description: str
    attribute: str | None = None


REVISION_KNOWN: Final = Metric(
    "hotconfig.revision", Kind.GAUGE, "{revision}", "The newest revision that this process knows.", SERVICE
)
REVISION_SHOWN: Final = Metric(
    "hotconfig.shown_revision",
    Kind.GAUGE,
    "{revision}",
    "The revision that the settings show; lower while the newest was rejected.",
    SERVICE,
)
STATES: Final = Metric("hotconfig.state", Kind.GAUGE, "{client}", "HotConfigs of this process by state.", STATE)
VERIFIED_AGE: Final = Metric(
    "hotconfig.verified.age", Kind.GAUGE, "s", "Time since PostgreSQL last confirmed the values."
)
PROPAGATION: Final = Metric(
    "hotconfig.propagation.duration",
    Kind.HISTOGRAM,
    "s",
    "From the commit, by PostgreSQL's clock, until the settings showed it, by this host's.",
    SERVICE,
)
PROPAGATION_BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 15.0, 30.0),
)
"""Milliseconds while news arrives, about ``Timing.reconcile_s`` where PostgreSQL has to be asked."""

REJECTED: Final = Metric(
    "hotconfig.rejected", Kind.COUNTER, "{input}", "Inputs turned away, by stage of the line.", STAGE
)
COUNTED: Final = {
    # By the name in hotconfig.core.status.Counters.
    "applied": Metric("hotconfig.applied", Kind.COUNTER, "{commit}", "Commits shown, first loads included."),
    "messages": Metric("hotconfig.messages", Kind.COUNTER, "{message}", "Messages heard over Redis."),
    "duplicates": Metric("hotconfig.duplicates", Kind.COUNTER, "{input}", "Inputs that were known already."),
    "outdated": Metric("hotconfig.outdated", Kind.COUNTER, "{input}", "Inputs older than what this process has."),
    "hints": Metric("hotconfig.hints", Kind.COUNTER, "{hint}", "Inputs that only PostgreSQL could explain."),
    "drift": Metric("hotconfig.drift", Kind.COUNTER, "{read}", "Routine reads that found what no message had told."),
    "rewinds": Metric("hotconfig.rewinds", Kind.COUNTER, "{rewind}", "Times PostgreSQL went back."),
    "reads": Metric("hotconfig.reads", Kind.COUNTER, "{read}", "Reads of PostgreSQL begun."),
    "read_failures": Metric("hotconfig.read.failures", Kind.COUNTER, "{read}", "Reads that failed."),
    "connections": Metric(
        "hotconfig.connections", Kind.COUNTER, "{connection}", "Connections made to hear news, reconnections included."
    ),
    "connection_failures": Metric(
        "hotconfig.connection.failures", Kind.COUNTER, "{failure}", "Those that broke or could not be made."
    ),
    "line_errors": Metric(
        "hotconfig.line.errors", Kind.COUNTER, "{error}", "Unforeseen errors that the line survived."
    ),
}
LISTENER_ERRORS: Final = Metric(
    "hotconfig.listener.errors", Kind.COUNTER, "{call}", "Calls of change listeners that raised."
)
LISTENER_DROPPED: Final = Metric(
    "hotconfig.listener.dropped", Kind.COUNTER, "{event}", "Changes not told to a listener that was too slow."
)

METRICS: Final = (
    REVISION_KNOWN,
    REVISION_SHOWN,
    STATES,
    VERIFIED_AGE,
    PROPAGATION,
    REJECTED,
    *COUNTED.values(),
    LISTENER_ERRORS,
    LISTENER_DROPPED,
)
