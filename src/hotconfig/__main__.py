"""The command ``hotconfig``, also as ``python -m hotconfig``. Knows only where the command line begins."""

from __future__ import annotations

import sys
from importlib import import_module

_NEEDED = ("typer", "rich", "jsonschema")
_CONFIGURATION = 3  # as hotconfig.cli.exits has it, which cannot be imported here without its package's libraries


def main() -> None:
    """Run the command line and exit with its code; without the extra ``cli``, say how to install it."""
    try:
        for name in _NEEDED:
            import_module(name)
    except ModuleNotFoundError as error:
        print(  # noqa: T201
            f"hotconfig: the command line needs {error.name}, which is not installed: pip install 'hotconfig[cli]'",
            file=sys.stderr,
        )
        sys.exit(_CONFIGURATION)
    from hotconfig.cli.app import run  # noqa: PLC0415 - only now is it known that typer is there

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
