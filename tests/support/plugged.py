"""pytest in a process of its own, as somebody runs it who has hotconfig installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
GROUP: Final = "pytest11"


def run_pytest(
    directory: Path, *arguments: str, environment: Mapping[str, str] | None = None, module: str = "pytest"
) -> subprocess.CompletedProcess[str]:
    """Run the tests in ``directory``, with nothing of this repository's own pytest settings."""
    isolated = () if module != "pytest" else ("-c", os.devnull, "--rootdir", str(directory), "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", module, *isolated, *arguments],
        cwd=directory,
        env={**_environment(directory), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def declared() -> Mapping[str, str]:
    """What pyproject.toml says of pytest's entry points."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: Mapping[str, str] = project["entry-points"][GROUP]
    return found


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HOTCONFIG", "COV"))}
    path = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    if not any(each.name in declared() for each in entry_points(group=GROUP)):
        # Installed before the entry point was there, as an editable installation may be: stand in for it.
        metadata = directory / "installed" / "hotconfig_plugin-0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hotconfig-plugin\nVersion: 0\n")
        lines = [f"{name} = {target}" for name, target in declared().items()]
        (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        path.insert(0, str(metadata.parent))
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}
