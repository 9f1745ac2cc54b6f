"""A run as a JSON document, and back. The document names its form, so that an old one is refused by name."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.results import Judged, Row, Run, Summary
from hotconfig.core.errors import UsageError

FORM: Final = "hotconfig-bench/1"
"""Raised when a field changes its meaning or goes; further fields may come without."""
_WORKED_OUT: Final = ("ratio", "value", "held")


def as_json(run: Run) -> str:
    """Everything, with each row's ``ratio``, ``value`` and ``held`` worked out."""
    document = {
        "form": FORM,
        "environment": dict(run.environment),
        "rows": [_row(row) for row in run.rows],
        "took_s": dict(run.took_s),
        "absent": dict(run.absent),
        "failed": dict(run.failed),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace('{"figure"', '\n{"figure"') + "\n"


def load_run(file: Path) -> Run:
    """What :func:`as_json` wrote.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as a run of the benchmarks: {error}") from error
    form = document.get("form") if isinstance(document, dict) else None
    if form != FORM:
        raise UsageError(f"{file} is no run of the benchmarks in the form {FORM}, but {form!r}: measure anew")
    try:
        return Run(
            environment=document["environment"],
            rows=[_loaded(row) for row in document["rows"]],
            took_s=document["took_s"],
            absent=document["absent"],
            failed=document["failed"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file} is damaged, or of a newer version of the benchmarks: {error!r}") from error


def _row(row: Row) -> dict[str, Any]:
    stored = asdict(row) | {"judged": row.judged.value}
    for name in ("measured", "floor"):
        if stored[name] is not None:
            stored[name] |= {part: [_short(value) for value in stored[name][part]] for part in ("kept", "blocks")}
    return stored | {name: getattr(row, name) for name in _WORKED_OUT}


def _short(value: float) -> float:
    """Six digits, which is more than any clock is good for."""
    return float(f"{value:.6g}")


def _loaded(stored: dict[str, Any]) -> Row:
    given = {name: value for name, value in stored.items() if name not in _WORKED_OUT}
    floor = given["floor"]
    given["measured"] = Summary.loaded(given["measured"])
    given["floor"] = None if floor is None else Summary.loaded(floor)
    given["judged"] = Judged(given["judged"])
    return Row(**given)
