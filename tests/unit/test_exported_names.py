"""The public names: what ``hotconfig`` exports, and that each of them says what it is for."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import hotconfig

SOURCE = Path(hotconfig.__file__)


def type_checking_imports() -> dict[str, str]:
    """The names that type checkers see, with the modules they come from."""
    (block,) = (
        node
        for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    found: dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        for alias in node.names:
            assert alias.asname == alias.name, f"write `import {alias.name} as {alias.name}`, else it is not exported"
            found[alias.name] = node.module
    return found


def test_checkers_and_the_interpreter_see_the_same_names() -> None:
    assert sorted(type_checking_imports()) == list(hotconfig.__all__)


@pytest.mark.parametrize(("name", "module"), sorted(type_checking_imports().items()))
def test_a_name_is_what_its_home_defines(name: str, module: str) -> None:
    assert getattr(hotconfig, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", hotconfig.__all__)
def test_a_public_name_has_a_docstring(name: str) -> None:
    exported = getattr(hotconfig, name)
    own = exported.__dict__.get("__doc__") if isinstance(exported, type) else exported.__doc__
    assert own
    assert not own.startswith(f"{name}("), "that is what dataclasses write, not a docstring"


def public_members() -> list[tuple[str, object]]:
    classes = [(name, getattr(hotconfig, name)) for name in hotconfig.__all__]
    return [
        (f"{name}.{member}", value)
        for name, kind in classes
        if isinstance(kind, type)
        for member, value in vars(kind).items()
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, (property, classmethod)))
    ]


@pytest.mark.parametrize(("name", "member"), public_members())
def test_a_public_method_has_a_docstring(name: str, member: object) -> None:
    assert inspect.getdoc(member)


def test_dir_shows_the_public_names_before_they_are_used() -> None:
    program = "import hotconfig; assert set(hotconfig.__all__) <= set(dir(hotconfig))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="'hotconfig' has no attribute 'treshold'"):
        _ = hotconfig.treshold
