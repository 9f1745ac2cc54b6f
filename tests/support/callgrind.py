"""Counting machine instructions with valgrind's callgrind, which says the same on a busy machine as on an idle one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TRIGGER = re.compile(r"^desc: Trigger: dump (\w+)$", re.MULTILINE)
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)


def instructions(program: Path, directory: Path, *, timeout_s: float) -> dict[str, int]:
    """Run a Python program that dumps named counts with ``callgrind_control -d``, or skip the test."""
    if shutil.which("valgrind") is None or shutil.which("callgrind_control") is None:
        pytest.skip("needs valgrind: apt-get install valgrind")
    counted = directory / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counted}"]
    environ = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }
    ended = subprocess.run(
        [*command, sys.executable, str(program)],
        cwd=directory,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return dict(_read(dump.read_text()) for dump in directory.glob("callgrind.out.*"))


def _read(dump: str) -> tuple[str, int]:
    name, count = _TRIGGER.search(dump), _SUMMARY.search(dump)
    assert name is not None
    assert count is not None, dump[:500]
    return name[1], int(count[1])
