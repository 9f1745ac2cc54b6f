"""The figures, by name: every module ``NAME_figure.py`` here is one.

A figure's module has ``measure(place: Place) -> list[Row]``. The first line of its docstring says in the list what it
measures. Where something is missing on this machine, ``measure`` raises :class:`benchmarks.results.UnavailableError`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from benchmarks.places import Place
from benchmarks.results import Row

Figure = Callable[[Place], list[Row]]

_SUFFIX: Final = "_figure"


def _about(module: Path) -> str:
    """The first line of the docstring, read without importing."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")


FIGURES: Final[Mapping[str, str]] = {
    module.stem.removesuffix(_SUFFIX): _about(module) for module in sorted(Path(__file__).parent.glob(f"*{_SUFFIX}.py"))
}


def load(name: str) -> Figure:
    """The figure's function. Its module is imported now, because some need drivers of servers."""
    return cast("Figure", import_module(f"benchmarks.figures.{name}{_SUFFIX}").measure)
