"""Lets other threads run between any two lines of the code that shows a change, for as long as it takes them to notice.

The interpreter switches threads often enough by itself only where processors are idle. A trace function for the line's
thread makes the most delicate moments last, on any machine. What is right stays right, only later.
"""

from __future__ import annotations

import random
import time
from types import FrameType
from typing import Any, Final

from hotconfig.core import line, live
from tests.faults.harness import plants

_DELICATE: Final = frozenset({line.Line._show.__code__, live.swap.__code__})
_SHARE: Final = 0.1
_LONGEST_S: Final = 0.004


def linger(frame: FrameType, event: str, _: Any) -> Any:
    """For :func:`threading.settrace`."""
    if frame.f_code not in _DELICATE and frame.f_code.co_filename != plants.__file__:
        return None
    if event == "line" and random.random() < _SHARE:
        time.sleep(random.uniform(0.0, _LONGEST_S))
    return linger
