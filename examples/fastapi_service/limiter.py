"""A rate limit that is given anew with every request, so that it may change at any time."""

from time import monotonic

MINUTE_S = 60.0


class Limiter:
    """Counts the requests of each caller per minute. For one process, on one event loop."""

    def __init__(self) -> None:
        self._began_s = monotonic()
        self._counts: dict[str, int] = {}

    def admit(self, caller: str, limit: int | None) -> float | None:
        """None: come in. Otherwise the seconds until it is worth asking again."""
        now_s = monotonic()
        if now_s - self._began_s >= MINUTE_S:
            self._began_s, self._counts = now_s, {}
        count = self._counts[caller] = self._counts.get(caller, 0) + 1
        if limit is None or count <= limit:
            return None
        return self._began_s + MINUTE_S - now_s
