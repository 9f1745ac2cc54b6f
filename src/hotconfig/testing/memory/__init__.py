"""A truth and a channel in memory, behind the same ports as PostgreSQL and Redis, and a ``HotConfig`` on them.

They pass the same contract suites as the real ones, where these are about the ports and not about SQL: see
``tests/contract``. Nothing here opens a connection, imports a driver or leaves the process.
"""

from hotconfig.testing.memory.channel import MemoryChannel, MemorySubscription
from hotconfig.testing.memory.client import MemoryHotConfig, in_memory
from hotconfig.testing.memory.pair import Memory
from hotconfig.testing.memory.truth import MemoryTruth

__all__ = ["Memory", "MemoryChannel", "MemoryHotConfig", "MemorySubscription", "MemoryTruth", "in_memory"]
