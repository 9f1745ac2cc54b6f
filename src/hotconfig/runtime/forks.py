"""Life after ``fork``: every started ``HotConfig`` goes on in the child, without any call.

A forked child has none of its parent's threads, and a copy of each of its sockets. It must not say farewell on them,
nor touch an epoll set that both share: the child would take the parent's messages or end its connections. So the child
closes its copies silently, keeps the inherited objects out of the reach of their destructors, and starts anew.
"""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any, Final, Protocol

logger: Final = logging.getLogger("hotconfig.forks")


class Survivor(Protocol):
    """Something that goes on in a forked child."""

    def revive(self, inherited: list[object]) -> None:
        """Start anew, in the child. Puts into ``inherited`` what must never be destroyed there."""
        ...


_started: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: list[object] = []
_watching: list[bool] = []


def survive(survivor: Survivor) -> None:
    """Have ``survivor`` revived in every child that is forked from now on. Does nothing where there is no fork."""
    if not _watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_revive)
        _watching.append(True)
    _started.add(survivor)


def forget(survivor: Survivor) -> None:
    """Do not revive it any more."""
    _started.discard(survivor)


def _revive() -> None:
    for survivor in tuple(_started):
        try:
            survivor.revive(_inherited)
        except Exception:  # the child must come to life, with values that stand still if need be
            logger.exception(
                "hotconfig could not be started again in a forked child: its values stay as they are until start() "
                "is called there"
            )
