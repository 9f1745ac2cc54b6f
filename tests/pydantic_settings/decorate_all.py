"""A pytest plugin that marks every ``BaseSettings`` subclass with ``hotconfig.settings`` as it is defined.

Loaded by name (``-p decorate_all``) into a test run of pydantic-settings itself, where nobody knows of hotconfig.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

import hotconfig

SERVICE = "yardstick"


class Tally:
    """How many classes were marked, and which cannot be: keys are ASCII identifiers, pydantic's fields need not."""

    def __init__(self) -> None:
        self.marked = 0
        self.refused: list[str] = []

    def mark(self, settings_class: type[BaseModel]) -> None:
        """Mark one class, as its author would have done with the decorator."""
        try:
            returned = hotconfig.settings(service=SERVICE)(settings_class)
        except hotconfig.DeclarationError as error:
            self.refused.append(str(error))
            return
        assert returned is settings_class
        self.marked += 1


TALLY = Tally()


def pytest_configure() -> None:
    """Hook into the definition of classes. pydantic calls this when a subclass is complete, fields and all."""

    def __pydantic_init_subclass__(cls: type[BaseSettings], /, **kwargs: Any) -> None:  # noqa: N807
        super(BaseSettings, cls).__pydantic_init_subclass__(**kwargs)
        TALLY.mark(cls)

    BaseSettings.__pydantic_init_subclass__ = classmethod(__pydantic_init_subclass__)  # type: ignore[assignment]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was done, so that a run that marked nothing is not taken for a success."""
    terminalreporter.write_line(f"hotconfig marked {TALLY.marked} classes and refused {len(TALLY.refused)}")
    for reason in sorted(set(TALLY.refused)):
        terminalreporter.write_line(f"  refused: {reason}")
