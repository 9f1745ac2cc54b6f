"""Hold two builds of the same commit, and a wheel made without the sdist, against each other and against the source.

``python -m tests.distributions.check FIRST SECOND DIRECT``: three directories. Needs the standard library only.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
NOT_SHIPPED: Final = {"__pycache__", ".hypothesis"}
CARRIED: Final = {"src/hotconfig": "hotconfig", "benchmarks": "hotconfig/_suite/benchmarks"}
"""Where the directories of the source stand in the wheel; see pyproject.toml."""
SDIST_NEEDS: Final = ("pyproject.toml", "noxfile.py", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py")


def main() -> int:
    """Return the exit status: 1 with a line for each finding."""
    first, second, direct = (Path(argument) for argument in sys.argv[1:])
    findings = [
        *differences(first, second),
        *differences(first, direct),
        *wheel_findings(first),
        *sdist_findings(first),
    ]
    for finding in findings:
        print(finding)
    if not findings:
        print(f"built twice, byte for byte the same: {', '.join(sorted(path.name for path in first.iterdir()))}")
    return 1 if findings else 0


def differences(one: Path, other: Path) -> Iterator[str]:
    """What of ``other`` is not, byte for byte, what ``one`` has under the same name."""
    for path in sorted(other.iterdir()):
        twin = one / path.name
        if not twin.exists():
            yield f"{path.name} is in {other.name} only; {one.name} has {sorted(file.name for file in one.iterdir())}"
        elif twin.read_bytes() != path.read_bytes():
            yield f"{path.name} differs between {one.name} and {other.name}: {members_that_differ(twin, path)}"


def members_that_differ(one: Path, other: Path) -> str:
    """The names of the files that differ inside, or that it is the archive around them."""
    inside, inside_other = contents(one), contents(other)
    named = sorted(name for name in inside.keys() | inside_other if inside.get(name) != inside_other.get(name))
    return ", ".join(named) or "times, modes or order of its files"


def contents(path: Path) -> dict[str, bytes]:
    """The files of a wheel or an sdist."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(path) as sdist:
        files = {member.name.partition("/")[2]: sdist.extractfile(member) for member in sdist if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def wheel_findings(directory: Path) -> Iterator[str]:
    """What of the source the wheel lacks, and what it has beside it."""
    (path,) = directory.glob("*.whl")
    held = contents(path)
    package = {name: text for name, text in held.items() if name.startswith("hotconfig/")}
    source = {
        f"{inside}/{file.relative_to(ROOT / outside).as_posix()}": file.read_bytes()
        for outside, inside in CARRIED.items()
        for file in (ROOT / outside).rglob("*")
        if file.is_file() and not NOT_SHIPPED & set(file.parts)
    }
    for name in sorted(source.keys() | package.keys()):
        if source.get(name) != package.get(name):
            yield f"the wheel and the source do not agree on {name}"
    rest = [name for name in held if not name.startswith("hotconfig/") and ".dist-info/" not in name]
    yield from (f"the wheel would install {name}" for name in rest)
    yield from metadata_findings(next(text for name, text in held.items() if name.endswith(".dist-info/METADATA")))


def metadata_findings(text: bytes) -> Iterator[str]:
    """What an index, a user or a resolver would miss."""
    metadata = Parser().parsestr(text.decode())
    for field in ("Name", "Version", "Summary", "License-Expression", "License-File", "Requires-Python"):
        if not metadata.get(field):
            yield f"METADATA has no {field}"
    if "hotconfig" not in str(metadata.get_payload()):
        yield "METADATA does not carry the README"


def sdist_findings(directory: Path) -> Iterator[str]:
    """What somebody lacks who builds and tests from the sdist."""
    (path,) = directory.glob("*.tar.gz")
    held = contents(path)
    yield from (f"the sdist lacks {name}" for name in SDIST_NEEDS if name not in held)
    yield from (f"the sdist holds {name}" for name in held if NOT_SHIPPED & set(Path(name).parts))


if __name__ == "__main__":
    sys.exit(main())
