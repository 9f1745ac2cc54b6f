"""Records: what is logged of every change, as a sentence and as fields. Never a value.

The fields are attributes of the log record, for formatters that write JSON. They bear a prefix: ``logging`` raises for
an ``extra`` that a record has already, and an application's own record factory may well set ``service``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from hotconfig.core.outcomes import Applied, Rejected
from hotconfig.core.printable import printable
from hotconfig.core.problems import one_line
from hotconfig.core.tracecontext import trace_id

logger: Final = logging.getLogger("hotconfig.follower")

SERVICE: Final = "hotconfig_service"
REVISION: Final = "hotconfig_revision"
KEYS: Final = "hotconfig_keys"
BY: Final = "hotconfig_by"
TRACE_ID: Final = "hotconfig_trace_id"


def log_applied(outcome: Applied) -> None:
    """One INFO record for what is shown now, if anything differs. Commits taken together are one."""
    service, revision = outcome.service, outcome.revision
    if outcome.first:
        logger.info(
            "service %r: loaded at revision %d", service, revision, extra={SERVICE: service, REVISION: revision}
        )
    elif outcome.keys:
        fields = _fields(service, revision, outcome.keys)
        writer = None if outcome.by is None else printable(outcome.by)  # psql takes line breaks, too
        if writer is not None:
            fields[BY] = writer
        if outcome.trace:
            fields[TRACE_ID] = trace_id(outcome.trace)
        who = writer or ("several" if outcome.several else "")
        by = f", by {who}" if who else ""
        keys = ", ".join(sorted(outcome.keys))
        logger.info("service %r: revision %d changed %s%s", service, revision, keys, by, extra=fields)


def log_rejected(outcome: Rejected) -> None:
    """One ERROR record for values that the class refuses."""
    logger.error(
        "service %r: revision %s is not shown%s: %s",
        outcome.service,
        outcome.revision,
        "" if outcome.shown is None else f", revision {outcome.shown} stays",
        outcome.why or one_line(outcome.problems),
        extra=_fields(outcome.service, outcome.revision, outcome.problems),
    )


def _fields(service: str | None, revision: int | None, keys: Iterable[str]) -> dict[str, object]:
    return {SERVICE: service, REVISION: revision, KEYS: sorted(keys)}
