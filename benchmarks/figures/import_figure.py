"""``import hotconfig`` against ``import pydantic_settings``, each in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

import hotconfig
from benchmarks.places import Place
from benchmarks.results import Row, Summary
from benchmarks.turns import in_turns

BOUND: Final = 1.15
WARM_UP: Final = 2
ARMS: Final = {
    "import pydantic_settings": "import pydantic_settings; pydantic_settings.BaseSettings",
    "import hotconfig": "import hotconfig",
    "the same, with settings and HotConfig": "import hotconfig; hotconfig.settings, hotconfig.HotConfig",
}
_PROGRAM: Final = "from time import perf_counter as p; b = p(); {statement}; print(p() - b)"


def measure(place: Place) -> list[Row]:
    """Two rows; needs no server."""
    with tempfile.TemporaryDirectory() as cache:
        arms = {name: partial(import_ms, statement, cache) for name, statement in ARMS.items()}
        samples = in_turns(arms, place.pick(60, 20), warm_up=WARM_UP)
    floor_name, *names = ARMS
    return [
        Row(
            figure="import",
            name=name,
            unit="ms",
            measured=Summary.of(samples[name]),
            how="in turns, each in a new interpreter, bytecode cached, the interpreter's own start not counted.",
            floor=Summary.of(samples[floor_name]),
            floor_name=floor_name,
            bound=BOUND,
            warm_up=WARM_UP,
        )
        for name in names
    ]


def import_ms(statement: str, cache: str) -> float:
    """How long a new interpreter takes for a statement."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"PYTHONPYCACHEPREFIX": cache, "PYTHONPATH": str(Path(hotconfig.__file__).parent.parent)}
    program = _PROGRAM.format(statement=statement)
    ended = subprocess.run([sys.executable, "-c", program], env=environ, check=True, capture_output=True, text=True)
    return float(ended.stdout) * 1e3
