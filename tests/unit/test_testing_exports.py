"""The public names of ``hotconfig.testing``: lazy, documented, and the same to checkers and to the interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from hotconfig import testing


def test_checkers_and_the_interpreter_see_the_same_names() -> None:
    tree = ast.parse(Path(testing.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(seen) == sorted(testing.__all__)
    assert {name: f"hotconfig.testing.{home}" for name, home in testing._HOME.items()} == seen


@pytest.mark.parametrize("name", testing.__all__)
def test_a_public_name_has_a_docstring(name: str) -> None:
    assert getattr(testing, name).__doc__


def test_names_are_loaded_when_first_used() -> None:
    program = (
        "import sys, hotconfig.testing.plugin\n"
        "assert not {'pydantic', 'redis', 'psycopg', 'hotconfig.core', 'hotconfig.runtime'} & set(sys.modules)\n"
        "assert set(hotconfig.testing.__all__) <= set(dir(hotconfig.testing))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'overide'"):
        _ = testing.overide
