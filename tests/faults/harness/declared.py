"""The settings that all participants follow, and what their texts mean, said a second time.

:func:`expected` deliberately uses nothing of hotconfig: the oracle must not believe the library about itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, model_validator

import hotconfig

SERVICE: Final = "faults"

State = dict[str, int | str | None]
"""What one instance shows, by key."""


@hotconfig.settings(service=SERVICE)
class Settings(BaseModel):
    """Every commit writes ``left`` and ``right`` alike: whoever sees them differ has seen half of a commit.

    They stand at both ends, so that assigning attribute by attribute takes as long as possible between them.
    ``low`` and ``high`` are for commits that readers must reject; ``stamp`` names the write.
    """

    left: int = 0
    stamp: str = ""
    low: int = 0
    high: int = 100
    note: str | None = None
    middle_1: int = 0
    middle_2: int = 0
    middle_3: int = 0
    middle_4: int = 0
    middle_5: int = 0
    middle_6: int = 0
    middle_7: int = 0
    middle_8: int = 0
    right: int = 0

    @model_validator(mode="after")
    def _in_order(self) -> Settings:
        if self.low > self.high:
            raise ValueError("low must not exceed high")
        return self


DEFAULTS: Final[State] = {
    "left": 0,
    "stamp": "",
    "low": 0,
    "high": 100,
    "note": None,
    **{f"middle_{number}": 0 for number in range(1, 9)},
    "right": 0,
}


def expected(texts: Mapping[str, str | None]) -> State | None:
    """What a reader must show where PostgreSQL holds these texts; None where it must reject them."""
    state = dict(DEFAULTS)
    for key, text in texts.items():
        if key in ("stamp", "note"):
            state[key] = text
        elif key in state:
            try:
                state[key] = int(text or "")
            except ValueError:
                return None
    if state["stamp"] is None:
        return None
    low, high = state["low"], state["high"]
    return state if isinstance(low, int) and isinstance(high, int) and low <= high else None
