"""The checkers are no dependency of the other tests: where there is none, there is nothing here to collect."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("mypy") and find_spec("pyright") else ["test_typing.py"]
