"""Hold a bill of materials against what the project declares: ``python -m tests.distributions.bill FILE``.

That the file is valid CycloneDX is checked by the program that writes it. Needs the standard library only.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]


def main(path: Path) -> int:
    """Return the exit status: 1 where a dependency is missing, or a path of this machine is in the file."""
    text = path.read_text(encoding="utf-8")
    bill: dict[str, Any] = json.loads(text)
    components = {normal(component["name"]): component.get("version") for component in bill["components"]}
    missing = sorted(declared() - components.keys())
    local = sorted(set(re.findall(r'file://[^\s"]+', text)))
    for name in missing:
        print(f"the bill lacks {name}")
    for found in local:
        print(f"the bill names a place on this machine: {found}")
    print(f"{path}: CycloneDX {bill['specVersion']}, {len(components)} components")
    return 1 if missing or local or any(version is None for version in components.values()) else 0


def declared() -> set[str]:
    """The dependencies of hotconfig itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {normal(re.split(r"[^\w.-]", requirement)[0]) for requirement in project["dependencies"]}


def normal(name: str) -> str:
    """A project's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
