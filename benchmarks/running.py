"""One run of the suite: choose the figures, measure one after the other, show and keep what came out."""

from __future__ import annotations

import difflib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.documents import check, draw, write
from benchmarks.figures import FIGURES, load
from benchmarks.places import Place
from benchmarks.report import environment, show
from benchmarks.results import Row, Run, UnavailableError, missed
from benchmarks.screen import Screen, screen
from benchmarks.stored import as_json
from benchmarks.turns import ROUND
from hotconfig.core.errors import UsageError

STOPPED: Final = "stopped by Ctrl-C"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asked for."""

    figures: Sequence[str]
    quick: bool
    listed: bool
    gate: bool
    json_file: Path | None
    reports: Sequence[Path]
    plots: Path | None
    database_url: str | None
    redis_url: str | None


def main(**given: Any) -> int:
    """Do what ``hotconfig bench run`` was asked for (see :class:`Asked`), and return its exit code.

    Raises:
        UsageError: an unknown figure, a report of an unknown kind, one URL without the other.
    """
    asked = Asked(**given)
    if asked.listed:
        print("\n".join(f"{name:15} {about}" for name, about in FIGURES.items()))
        return 0
    names = known(asked.figures)
    check(asked.reports)
    with screen(names) as shown:
        place = Place(quick=asked.quick, tell=shown.tell, database_url=asked.database_url, redis_url=asked.redis_url)
        run = measure(names, place, shown)
    keep(run, asked)
    show(run)
    return 1 if run.failed or (asked.gate and missed(run.rows)) else 0


def known(figures: Sequence[str]) -> list[str]:
    """The figures that were asked for; all where none was.

    Raises:
        UsageError: there is no such figure.
    """
    for name in figures:
        if name not in FIGURES:
            near = difflib.get_close_matches(name, FIGURES, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FIGURES)}"
            raise UsageError(f"there is no figure {name!r}; {meant}")
    return list(dict.fromkeys(figures or FIGURES))


def measure(names: Sequence[str], place: Place, shown: Screen) -> Run:
    """Measure the figures in their order. One that fails is told, and the others go on; after Ctrl-C none does."""
    rows: list[Row] = []
    took_s: dict[str, float] = {}
    absent: dict[str, str] = {}
    failed: dict[str, str] = {}
    heard = ROUND.set(shown.round)
    try:
        for name in names:
            shown.begin(name)
            begun_s = time.monotonic()
            found: list[Row] = []
            try:
                found = load(name)(place)
            except (UnavailableError, ModuleNotFoundError) as error:
                absent[name] = str(error)
            except KeyboardInterrupt:
                failed[name] = STOPPED
            except Exception as error:  # noqa: BLE001 - an hour's run is not lost for one figure
                failed[name] = f"{type(error).__name__}: {error}"
            took_s[name] = round(time.monotonic() - begun_s, 1)
            rows += found
            shown.end(name, found, absent.get(name) or failed.get(name))
            if failed.get(name) == STOPPED:
                break
        described = environment(place.versions, quick=place.quick)
    finally:
        ROUND.reset(heard)
        place.close()
    return Run(environment=described, rows=rows, took_s=took_s, absent=absent, failed=failed)


def keep(run: Run, asked: Asked) -> None:
    """Write the files that were asked for."""
    if asked.json_file is not None:
        asked.json_file.write_text(as_json(run), encoding="utf-8")
    for report in asked.reports:
        write(run, report)
    if asked.plots is not None:
        draw(run, asked.plots)
