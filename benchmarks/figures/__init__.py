"""The figures, by name. A figure takes a :class:`benchmarks.places.Place` and returns rows; add one here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, cast

from benchmarks.places import Place
from benchmarks.results import Row

Figure = Callable[[Place], list[Row]]

FIGURES: Final[Mapping[str, str]] = {
    "read": "the cost of reading an attribute",
    "import": "the cost of importing",
    "bind": "binding a class with 100 fields",
    "publish": "publish → attribute seen in another process",
    "set": "writing a value",
    "commit": "commit → attribute seen in another process",
    "tenant": "creating a tenant until it is active, and changing its quota until it is in force",
    "tenants": "many tenants at a time, and one reconcile of all of them",
}


def load(name: str) -> Figure:
    """The figure's function. Its module is imported now, because some need servers' drivers."""
    return cast("Figure", import_module(f"benchmarks.figures.{name}_figure").measure)
