"""What a check found, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Literal

PROBLEM: Final = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result. ``problem``: the provisioner cannot do its work; ``note``: it can, but know this."""

    check: str
    state: Literal["ok", "note", "warning", "problem"]
    found: str
    advice: str = ""

    def document(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)
