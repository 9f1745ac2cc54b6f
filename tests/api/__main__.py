"""Hold the public names against ``public.txt`` and against the newest release: ``nox -s api``.

``python -m tests.api --write`` writes the text anew; its diff belongs into the commit that changes a public name.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Final

from tests.api.breakages import breakages, newest_commit, newest_tag
from tests.api.listing import lines, load

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = Path(__file__).with_name("public.txt")


def main() -> int:
    """Return the exit status: 1 where the text differs, or a program for the newest release would break."""
    parser = argparse.ArgumentParser(prog="python -m tests.api", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write public.txt anew")
    parser.add_argument("--against", metavar="REF", help="a tag or commit in place of the newest tag")
    given = parser.parse_args()
    present = "".join(f"{line}\n" for line in lines(load(ROOT / "src")))
    if given.write:
        KEPT.write_text(present, encoding="utf-8")
    return max(tell_difference(present), tell_breakages(given.against))


def tell_difference(present: str) -> int:
    """Print how the public names differ from those that are kept."""
    kept = KEPT.read_text(encoding="utf-8")
    if present == kept:
        print(f"{len(kept.splitlines())} lines of public names, as in {KEPT.relative_to(ROOT)}")
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(kept.splitlines(True), present.splitlines(True), "tests/api/public.txt", "src", n=1)
    )
    print("The public names changed. If that is meant: python -m tests.api --write, and a line in CHANGELOG.md.")
    return 1


def tell_breakages(against: str | None) -> int:
    """Print what breaks; only a release, or what was asked for, is held to."""
    promised = against or newest_tag(ROOT)
    reference = promised or newest_commit(ROOT)
    if reference is None:
        print("No git history here: nothing to compare the public names with.")
        return 0
    found = breakages(ROOT, reference)
    print(
        f"Against {reference}: {len(found)} of the public names would break a program."
        if found
        else f"Against {reference}: nothing breaks."
    )
    for line in found:
        print(f"  {line}")
    if promised is None:
        print("No release is tagged yet, so this is told and not held to.")
    return 1 if found and promised else 0


if __name__ == "__main__":
    sys.exit(main())
