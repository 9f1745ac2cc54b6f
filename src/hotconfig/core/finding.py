"""What a check of a doctor found, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Literal

State = Literal["ok", "note", "warning", "problem"]
PROBLEM: Final = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result: what was looked at, how it is, what was found, and what to do about it.

    ``problem``: the work cannot be done; ``note``: it can, but know this.
    """

    check: str
    state: State
    found: str
    advice: str = ""

    def document(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)


def ok(check: str, found: str) -> Finding:
    """As it should be."""
    return Finding(check, "ok", found)
