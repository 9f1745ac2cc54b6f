"""With ``HOTCONFIG_NO_SKIPS=1`` a skipped test fails, unless its reason is one of those allowed here.

For machines that have everything installed, where a skip would hide that something is missing.
"""

from __future__ import annotations

import os

import pytest

ALLOWED = (
    "needs the long session",
    "needs root",
    "needs Python",
    "needs the repository's history",
)


def forbid(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn the ``report`` of a skip that is not allowed into that of a failure."""
    if os.environ.get("HOTCONFIG_NO_SKIPS") != "1" or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = _reason(report)
    if not reason.startswith(ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"skipped, which HOTCONFIG_NO_SKIPS=1 forbids: {reason}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    text = where[2] if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")
