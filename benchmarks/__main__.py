"""``python -m benchmarks …`` is ``hotconfig bench …``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hotconfig.cli.app import run


def main(arguments: Sequence[str]) -> int:
    """Run one command line of the suite and return its exit code."""
    return run(["bench", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
