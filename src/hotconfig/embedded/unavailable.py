"""What to tell users on whose machine there is no embedded server."""

from __future__ import annotations

from typing import Final

NO_EMBEDDED_SERVER: Final = (
    "there is no embedded {server} here: on Linux or macOS, pip install 'hotconfig[demo]'; "
    "elsewhere pass --database-url / --redis-url of servers that are there"
)
