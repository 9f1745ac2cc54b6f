"""``python -m benchmarks``: measure, show, and keep the figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import FIGURES, load
from benchmarks.places import DATABASE, REDIS, Place
from benchmarks.report import as_json, environment, show
from benchmarks.results import Row, missed

_EPILOG = f"""\
Servers: embedded ones are started, unless {DATABASE} and {REDIS} name others.
Exit status: 0, also when a bound is missed; with --gate 1 when one is missed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the figures that were asked for, or all."""
    given = _parser().parse_args(arguments)
    rows: list[Row] = []
    place = Place(quick=given.quick, tell=_tell)
    try:
        for name in given.only or FIGURES:
            _tell(f"{name}: {FIGURES[name]} …")
            rows += load(name)(place)
        described = environment(place.versions)
    finally:
        place.close()
    show(rows, described)
    if given.json is not None:
        given.json.write_text(as_json(rows, described))
    late = missed(rows)
    if late:
        _tell("missed: " + "; ".join(f"{row.figure}: {row.name}" for row in late))
    return 1 if late and given.gate else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawTextHelpFormatter
    )
    listed = "\n".join(f"{name:8} {what}" for name, what in FIGURES.items())
    parser.add_argument(
        "only", nargs="*", metavar="figure", choices=[*FIGURES, []], help=f"which; all if none:\n{listed}"
    )
    parser.add_argument("--quick", action="store_true", help="small samples: about a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument("--gate", action="store_true", help="fail when a bound is missed")
    return parser


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
