"""A run as a report to keep: Markdown, or one HTML file with its pictures inside. Rows that missed a bound stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks.pictures import file_name, pictures
from benchmarks.report import HEADINGS, as_cells, method
from benchmarks.results import Row, Run, missed
from hotconfig.core.errors import UsageError

_MAKERS: Final = (".md", ".html")
_HEADINGS: Final = (*HEADINGS, "95 % of the ratio")
_STYLE: Final = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:1080px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;width:100%}
th,td{padding:.3rem .5rem;border-bottom:1px solid #e5e7eb;text-align:right}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal}
tr.missed td{background:#fff1e7}
dt{font-weight:600;margin-top:.6rem}dd{margin:0}
figure{margin:0}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(460px,1fr));gap:1rem}
svg{max-width:100%;height:auto;border:1px solid #e5e7eb;border-radius:6px}
"""


def check(reports: Sequence[Path]) -> None:
    """Refuse what cannot be written, before an hour is spent on it.

    Raises:
        UsageError: a report is of an unknown kind, or its directory is not there.
    """
    for report in reports:
        if report.suffix not in _MAKERS:
            raise UsageError(f"a report ends in {' or '.join(_MAKERS)}; {report.name} does not")
        if not report.parent.is_dir():
            raise UsageError(f"there is no directory {report.parent} for the report {report.name}")


def write(run: Run, report: Path) -> None:
    """Write one report. Beside a Markdown one its pictures are written into a directory of its name."""
    if report.suffix == ".html":
        report.write_text(as_html(run), encoding="utf-8")
        return
    beside = report.with_suffix("")
    draw(run, beside)
    report.write_text(as_markdown(run, beside.name), encoding="utf-8")


def draw(run: Run, directory: Path) -> None:
    """Write the pictures as files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures(run).items():
        (directory / name).write_text(svg, encoding="utf-8")


def as_markdown(run: Run, directory: str) -> str:
    """The report; its pictures are in ``directory``."""
    lines = ["# hotconfig, measured", "", _verdict(run), ""]
    lines += [_piped(_HEADINGS), _piped(["---"] + ["---:"] * (len(_HEADINGS) - 1))]
    lines += [_piped(_cells(row)) for row in run.rows]
    lines += ["", "## How each row came about", ""]
    lines += [f"- **{row.label}**{method(row)}" for row in run.rows]
    lines += [f"- **{name}** {reason}" for name, reason in _without_rows(run)]
    lines += ["", "## Pictures", ""]
    lines += [f"![{name.removesuffix('.svg')}]({directory}/{name})" for name in pictures(run)]
    lines += ["", "## The machine", "", *(f"- {name}: {_plain(value)}" for name, value in run.environment.items())]
    return "\n".join(lines) + "\n"


def as_html(run: Run) -> str:
    """The report in one file that loads nothing from elsewhere."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in _HEADINGS)
    body = "".join(_html_row(row) for row in run.rows)
    how = "".join(f"<dt>{escape(row.label)}</dt><dd>{escape(method(row).removeprefix(': '))}</dd>" for row in run.rows)
    how += "".join(f"<dt>{escape(name)}</dt><dd>{escape(reason)}</dd>" for name, reason in _without_rows(run))
    machine = "".join(f"<dt>{escape(k)}</dt><dd>{escape(_plain(v))}</dd>" for k, v in run.environment.items())
    drawn = "".join(f'<figure id="{name.removesuffix(".svg")}">{svg}</figure>' for name, svg in pictures(run).items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>hotconfig, measured</title>'
        f"<style>{_STYLE}</style><h1>hotconfig, measured</h1><p>{escape(_verdict(run))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f'<h2>Pictures</h2><div class="pictures">{drawn}</div>'
        f"<h2>How each row came about</h2><dl>{how}</dl><h2>The machine</h2><dl>{machine}</dl></html>\n"
    )


def _verdict(run: Run) -> str:
    bounded = [row for row in run.rows if row.held is not None]
    late = missed(run.rows)
    names = "; ".join(row.label for row in late)
    said = f"{len(bounded) - len(late)} of {len(bounded)} bounds were held"
    return f"{said}; not held: {names}." if late else f"{said}."


def _cells(row: Row) -> tuple[str, ...]:
    interval = row.ratio_interval
    return (*as_cells(row), "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}")


def _html_row(row: Row) -> str:
    first, *others = _cells(row)
    missed_row = ' class="missed"' if row.held is False else ""
    linked = f'<a href="#{file_name(row).removesuffix(".svg")}">{escape(first)}</a>'
    return f"<tr{missed_row}><td>{linked}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in others)}</tr>"


def _without_rows(run: Run) -> Iterator[tuple[str, str]]:
    yield from ((name, f"was not measured: {reason}") for name, reason in run.absent.items())
    yield from ((name, f"failed: {reason}") for name, reason in run.failed.items())


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _plain(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
