"""What another process has used of a processor."""

from __future__ import annotations

import platform
import time


def cpu_s(pid: int) -> float:
    """CPU time of all threads of one process since its start, ended threads included, without its children."""
    if platform.system() == "Linux":
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not have: nanoseconds
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
