"""Both checkers, as strict as they get, agree with the files beside this one, which stand for users' code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
USES = ["right_uses.py", "wrong_uses.py"]


@pytest.fixture(scope="module")
def users_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as a user of hotconfig has one: their files, no configuration of ours, no plugin."""
    directory = tmp_path_factory.mktemp("project")
    for name in USES:
        (directory / name).write_text((HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
    settings = {
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportUnusedExpression": "none",
        "extraPaths": [str(SOURCE)],
        "pythonVersion": "3.11",
    }
    (directory / "pyrightconfig.json").write_text(json.dumps(settings))
    return directory


def complaints(command: list[str], directory: Path) -> str:
    environment = os.environ | {"MYPYPATH": str(SOURCE)}
    program = [sys.executable, "-m", *command]
    done = subprocess.run(program, check=False, cwd=directory, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.timeout(300)
def test_mypy_agrees(users_project: Path) -> None:
    found = complaints(["mypy", "--strict", "--config-file=", "--python-version=3.11", *USES], users_project)
    assert found == ""


@pytest.mark.timeout(300)
def test_pyright_agrees(users_project: Path) -> None:
    assert complaints(["pyright", "--pythonpath", sys.executable], users_project) == ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [["mypy", "--config-file="], ["pyright", "--pythonpath", sys.executable]])
def test_a_wrong_use_that_is_not_suppressed_is_reported(
    users_project: Path, tmp_path: Path, checker: list[str]
) -> None:
    import_and_misuse = "import hotconfig\n\nhotconfig.HotConfig(7).bind(int)\n"
    (tmp_path / "pyrightconfig.json").write_text((users_project / "pyrightconfig.json").read_text())
    (tmp_path / "misuse.py").write_text(import_and_misuse)
    assert "misuse.py" in complaints([*checker, "misuse.py"], tmp_path)
