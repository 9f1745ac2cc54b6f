"""Rows for what could not be measured here: a reader of the report is to see what is missing, and why."""

from __future__ import annotations

from typing import Final

from benchmarks.results import Row, Summary

NOTHING: Final = Summary(0, 0.0, 0.0, 0.0, 0.0, 0.0, blocks=(0.0,))


def skipped(figure: str, name: str, reason: str) -> Row:
    """A row of no numbers (``n`` is 0) and no bound."""
    return Row(figure=figure, name=f"{name}: not measured", unit="-", measured=NOTHING, how=reason)
