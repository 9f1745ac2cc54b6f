"""Run pydantic-settings' own tests twice, plain and with every settings class marked, and compare.

``python tests/pydantic_settings/yardstick.py DIRECTORY`` downloads the source distribution of the installed version
into DIRECTORY. Exit code 1: a test fails with the decorator that does not fail without it.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
LEAST_TESTS = 400
"""Fewer than this many passing tests mean that the comparison compares next to nothing."""


@dataclass(frozen=True)
class Results:
    """What became of each test of a run, by its name: ``passed``, ``failed``, ``error`` or ``skipped``."""

    outcomes: dict[str, str]

    @property
    def passed(self) -> frozenset[str]:
        return frozenset(name for name, outcome in self.outcomes.items() if outcome == "passed")

    def __str__(self) -> str:
        counts = Counter(self.outcomes.values())
        return ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "error", "skipped"))


def read_report(path: Path) -> Results:
    """Read a JUnit report of pytest's."""
    marks = {"failure": "failed", "error": "error", "skipped": "skipped"}
    outcomes: dict[str, str] = {}
    for case in ET.parse(path).iter("testcase"):  # noqa: S314 - our own file
        found = [marks[child.tag] for child in case if child.tag in marks]
        outcomes[f"{case.get('classname')}::{case.get('name')}"] = found[0] if found else "passed"
    return Results(outcomes)


def harmed(plain: Results, marked: Results) -> list[str]:
    """The tests that pass in the plain run and in the other do not, or are not even there."""
    return sorted(plain.passed - marked.passed)


def download(directory: Path) -> Path:
    """Fetch and unpack the source distribution of the installed pydantic-settings; return its root."""
    wanted = f"pydantic-settings=={version('pydantic-settings')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pydantic-settings"]
    subprocess.run([*command, "--dest", str(directory), wanted], check=True)
    (archive,) = directory.glob("pydantic_settings-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    return directory / archive.name.removesuffix(".tar.gz")


def run(root: Path, report: Path, *options: str) -> Results:
    """Run the tests below ``root`` in a fresh process, in a fixed order, and read what came of them."""
    # test_docs.py formats and runs the documentation's snippets with tools that have nothing to do with us.
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:randomly", "-p", "no:cacheprovider"]
    selected = ["--ignore", str(root / "tests/test_docs.py"), str(root / "tests"), f"--junitxml={report}"]
    subprocess.run([*command, *options, *selected], check=False, cwd=root)
    return read_report(report)


def main(directory: Path) -> int:
    """Compare, print both counts and every test that was harmed; return the exit code."""
    directory.mkdir(parents=True, exist_ok=True)
    root = download(directory)
    plain = run(root, directory / "plain.xml")
    marked = run(root, directory / "marked.xml", "-p", "decorate_all", "-o", f"pythonpath={HERE}")
    print(f"plain:  {plain}\nmarked: {marked}")  # noqa: T201
    worse = harmed(plain, marked)
    for name in worse:
        print(f"harmed by the decorator: {name} ({marked.outcomes.get(name, 'missing')})")  # noqa: T201
    if len(plain.passed) < LEAST_TESTS:
        print(f"the plain run passed fewer than {LEAST_TESTS} tests, so this says nothing")  # noqa: T201
    return int(bool(worse) or len(plain.passed) < LEAST_TESTS)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
