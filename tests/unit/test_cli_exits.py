"""Exit codes follow the branches of the errors, and the help says what the manual says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotconfig.cli.exits import MEANINGS, code_of
from hotconfig.core import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownKeyError("x"), 2),
        (errors.InvalidValueError("x"), 2),
        (errors.SecretValueError("x"), 2),
        (errors.DeclarationError("x"), 2),
        (errors.ConfigurationError("x"), 3),
        (errors.AccessDeniedError("x"), 3),
        (errors.SchemaMissingError("x"), 3),
        (errors.EmbeddedServerError("x"), 3),
        (errors.DatabaseUnavailableError("x"), 4),
        (errors.RedisUnavailableError("x"), 4),
        (errors.ConflictError("x"), 4),
        (errors.OutcomeUnknownError("x"), 4),
        (errors.WaitTimeoutError("x"), 4),
    ],
)
def test_the_exit_code_follows_what_the_caller_can_do(error: errors.HotConfigError, code: int) -> None:
    assert code_of(error) == code


def test_the_manual_explains_every_exit_code() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    missing = [code for code in MEANINGS if f"| {code} |" not in manual]
    assert not missing
