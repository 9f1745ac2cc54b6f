"""The servers that may be asked, in the order in which it makes most sense to ask them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Sequence

from hotconfig.redis.url import Address


class Roster:
    """Addresses, the last that answered first, the last that did not at the end. Any thread.

    The addresses of the URL are never forgotten: after all else has gone they are what there is.

    Args:
        seeds: The addresses of the URL.
        rng: Shuffles them, so that a thousand processes do not all choose the same; None: the order is meant.
    """

    def __init__(self, seeds: Sequence[Address], rng: random.Random | None = None) -> None:
        self._lock = threading.Lock()
        self._seeds = tuple(seeds)
        self._rng = rng
        self._order = tuple(rng.sample(self._seeds, len(self._seeds))) if rng else self._seeds

    def order(self) -> tuple[Address, ...]:
        """The addresses, as they stand now."""
        with self._lock:
            return self._order

    def prefer(self, address: Address) -> None:
        """It answered: ask it first."""
        with self._lock:
            self._order = (address, *(other for other in self._order if other != address))

    def shun(self, address: Address) -> None:
        """It did not answer: ask it last."""
        with self._lock:
            self._order = (*(other for other in self._order if other != address), address)

    def learn(self, addresses: Iterable[Address]) -> None:
        """These are the servers now: take new ones in, forget those that are gone."""
        current = set(addresses)
        with self._lock:
            known = set(self._order)
            kept = [address for address in self._order if address in current or address in self._seeds]
            new = sorted(current - known)
            if self._rng:
                self._rng.shuffle(new)
            self._order = (*kept, *new)
