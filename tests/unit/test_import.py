"""What importing hotconfig costs: no driver, no framework, until it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

DRIVERS: Final = (
    "redis",
    "psycopg",
    "psycopg_pool",
    "opentelemetry",
    "fastapi",
    "typer",
    "click",
    "rich",
    "lightkube",
    "httpx",
    "jsonschema",
    "openfeature",
)
EVERYTHING: Final = (*DRIVERS, "anyio", "trio", "asyncio", "pydantic", "pydantic_settings")


def loaded_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after one statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(json.loads(found.stdout))


def test_import_hotconfig_loads_no_library_at_all() -> None:
    loaded = loaded_after("import hotconfig")
    assert "hotconfig" in loaded
    assert not loaded & set(EVERYTHING)


@pytest.mark.parametrize(
    "statement",
    [
        "from hotconfig import HotConfig, settings",
        "from hotconfig import *",
        "import hotconfig.runtime.client, hotconfig.runtime.store, hotconfig.sources, hotconfig.core.line",
    ],
)
def test_the_public_names_load_no_driver(statement: str) -> None:
    loaded = loaded_after(statement)
    assert "pydantic_settings" in loaded
    assert not loaded & set(DRIVERS)


def test_declaring_and_making_settings_loads_no_driver() -> None:
    program = (
        "import hotconfig, pydantic_settings\n"
        "@hotconfig.settings(service='ai')\n"
        "class AISettings(pydantic_settings.BaseSettings):\n"
        "    threshold: float = 0.75\n"
        "assert AISettings().threshold == 0.75\n"
        "hotconfig.HotConfig('postgresql://nobody@127.0.0.1:1/nothing', 'redis://127.0.0.1:1')"
    )
    assert not loaded_after(program) & {"redis", "psycopg", "opentelemetry", "socket_server", "anyio"}


def test_importing_starts_no_thread() -> None:
    program = "import hotconfig, threading\nhotconfig.HotConfig\nassert threading.active_count() == 1"
    loaded_after(program)
