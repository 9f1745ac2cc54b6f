"""Two runs beside each other: by how much each row differs, how sure that is, and whether it may."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from json import dumps
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.intervals import Interval, interval_of_ratio, paired
from benchmarks.report import aligned, number
from benchmarks.results import Row, Run
from benchmarks.stored import load_run


class Verdict(Enum):
    """What can be said of a row. Its value is how a table says it."""

    FASTER = "faster"
    SLOWER = "slower"
    ALIKE = "no difference shown"
    FEW = "too few samples"


@dataclass(frozen=True, slots=True)
class Compared:
    """A row of both runs. ``ratio`` is the later one's as a multiple of the earlier one's; below 1 is faster.

    Where both have a floor, what is compared is how many times its own floor each took, since the floor feels the same
    machine.
    """

    label: str
    unit: str
    earlier: float
    later: float
    by_floor: bool
    ratio: float
    interval: Interval | None

    @property
    def verdict(self) -> Verdict:
        """Faster or slower only where the whole interval is."""
        if self.interval is None:
            return Verdict.FEW
        low, high = self.interval
        return Verdict.FASTER if high < 1 else Verdict.SLOWER if low > 1 else Verdict.ALIKE


def main(*, earlier: Path, later: Path, fail_above: float | None, as_json: bool) -> int:
    """Print the comparison. 1 where a row is surely slower than ``fail_above`` times the earlier one.

    Raises:
        UsageError: a file is no run.
    """
    runs = load_run(earlier), load_run(later)
    rows = compare(*runs)
    late = [row for row in rows if fail_above is not None and row.interval and row.interval[0] > fail_above]
    if as_json:
        print(dumps({"rows": [asdict(row) | {"verdict": row.verdict.value} for row in rows]}, ensure_ascii=False))
    else:
        print(as_text(rows))
        print("\n".join(["", *notes(*runs), *(f"above {fail_above:g}: {row.label}" for row in late)]))
    return 1 if late else 0


def compare(earlier: Run, later: Run) -> list[Compared]:
    """The rows that both runs have, in the later one's order."""
    before = {(row.label, row.unit): row for row in earlier.rows}
    pairs = [(before.get((row.label, row.unit)), row) for row in later.rows]
    return [_compared(then, now) for then, now in pairs if then is not None]


def notes(earlier: Run, later: Run) -> list[str]:
    """What to know before believing it: other machines, other versions, rows of one run only."""
    told = ["Below 1 the second run is faster. Two runs of the same code differ, too: repeat what matters."]
    for name, value in later.environment.items():
        if name not in {"at", "load_1_min"} and (then := earlier.environment.get(name)) != value:
            told.append(f"{name}: {_different(then, value)}")
    names = [{row.label for row in run.rows} for run in (earlier, later)]
    told += [f"only in the first run: {name}" for name in sorted(names[0] - names[1])]
    return told + [f"only in the second run: {name}" for name in sorted(names[1] - names[0])]


def as_text(rows: Sequence[Compared]) -> str:
    """A table in plain characters."""
    heading = ("figure", "first", "second", "of", "ratio", "95 %", "verdict")
    return aligned([heading, *(_cells(row) for row in rows)])


def _cells(row: Compared) -> tuple[str, ...]:
    return (
        row.label,
        number(row.earlier),
        number(row.later),
        "times its floor" if row.by_floor else row.unit,
        f"{row.ratio:.2f}",
        "" if row.interval is None else f"{row.interval[0]:.2f} to {row.interval[1]:.2f}",
        row.verdict.value,
    )


def _compared(then: Row, now: Row) -> Compared:
    blocks = [paired(row.measured.blocks, row.floor.blocks) if row.floor else [] for row in (then, now)]
    by_floor = all(blocks)
    if not by_floor:
        blocks = [list(row.measured.blocks) for row in (then, now)]
    earlier, later = (median(found) for found in blocks)
    return Compared(
        label=now.label,
        unit=now.unit,
        earlier=earlier,
        later=later,
        by_floor=by_floor,
        ratio=later / earlier if earlier else math.inf if later else 1.0,
        interval=interval_of_ratio(blocks[1], blocks[0]),
    )


def _different(then: Any, now: Any) -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        keys = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        return ", ".join(f"{key} {then.get(key)} → {now.get(key)}" for key in keys)
    return f"{then} → {now}"
