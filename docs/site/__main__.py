"""`python -m docs.site build [DIRECTORY]`, `python -m docs.site commands`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.site import commands, staging


def build(target: Path) -> int:
    """Build the site into ``target``, and tell what the builder said. Returns 1 for every warning: a link or heading
    that is not there, a name that the reference cannot find, a docstring that cannot be read.
    """
    environment = os.environ | {"HOTCONFIG_SOURCE": str(staging.ROOT / "src")}
    with tempfile.TemporaryDirectory(prefix="hotconfig-site-") as place:
        configuration = staging.stage(Path(place))
        words = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(configuration)]
        built = subprocess.run(
            words,
            check=False,
            cwd=staging.ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        sys.stdout.write(built.stdout)
        if built.returncode or "griffe: " in built.stdout:  # of what griffe says, zensical takes no notice
            return 1
        shutil.copytree(Path(place, "site"), target, dirs_exist_ok=True)
    return 0


def main(words: list[str]) -> int:
    """Run one command and return its exit code."""
    match words:
        case ["build", *rest] if len(rest) < 2:
            return build(Path(*rest) if rest else staging.ROOT / "site")
        case ["commands"]:
            commands.PAGE.write_text(commands.page(), encoding="utf-8")
            return 0
    sys.stderr.write(f"{__doc__}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
