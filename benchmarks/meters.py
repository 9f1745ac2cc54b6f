"""What the servers spent so far: read before and after something, and subtract."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from benchmarks.places import Place

REDIS_CPU_S = "Redis CPU [s]"
REDIS_COMMANDS = "Redis commands"
REDIS_BYTES = "Redis bytes out"
POSTGRES_CPU_S = "PostgreSQL CPU [s]"


class Meters:
    """Reads Redis's own numbers, and the CPU time of the embedded PostgreSQL; that of a given one nobody tells us."""

    def __init__(self, place: Place) -> None:
        import redis

        self._redis: Any = redis.Redis.from_url(place.redis_url)
        self._postgres = place.postgres_pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._redis.close()

    def read(self) -> dict[str, float]:
        """The numbers by name, each growing with time."""
        cpu, stats = self._redis.info("cpu"), self._redis.info("stats")
        found = {
            REDIS_CPU_S: float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]),
            REDIS_COMMANDS: float(stats["total_commands_processed"]),
            REDIS_BYTES: float(stats["total_net_output_bytes"]),
        }
        if self._postgres is not None:
            found[POSTGRES_CPU_S] = family_cpu_s(self._postgres)
        return found


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The differences."""
    return {name: after[name] - before[name] for name in before}


def family_cpu_s(pid: int) -> float:
    """A process and its descendants. Its ``children_*`` hold what descendants that have ended used."""
    import psutil

    total = 0.0
    family = [psutil.Process(pid)]
    for process in [*family, *family[0].children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its time is with its parent now
        total += times.user + times.system + times.children_user + times.children_system
    return float(total)
