"""Frames of RESP2, the protocol of Redis, as a subscriber hears them: read from any pieces, without ever waiting.

Of RESP3 as much as a subscriber meets there that asks for nothing but PING and ROLE: pushes, and its null.

redis-py reads a frame whole, blocking, or breaks the connection when it has come half. The line may do neither.
"""

from __future__ import annotations

import re
from typing import Final

OVERSIZE: Final = b"(too long to be looked at)"
"""Stands for data that was dropped. It is no signed message and no text that anybody has: a hint."""
MAX_BULK_BYTES: Final = 1024 * 1024
"""Longer strings are dropped as they come in, and stand as None; nothing that hotconfig publishes is as long."""
MAX_FRAME_BYTES: Final = 4 * MAX_BULK_BYTES
"""A frame that is longer is not waited for: each of many strings may be of ordinary length."""
MAX_ITEMS: Final = 256
"""A subscriber hears arrays of two to four; a master's answer to ROLE holds one item per replica."""
MAX_DEPTH: Final = 3
"""That answer is the deepest there is: an array of replicas, each an array. What promises more is not Redis."""

NO_LIMIT: Final = 2**63
"""More frames than any bytes hold."""

_STRING, _ERROR, _NUMBER, _BULK, _ARRAY, _PUSH, _NULL = b"+-:$*>_"

_HEARD: Final = re.compile(
    rb"\*4\r\n\$8\r\npmessage\r\n\$(\d{1,4})\r\n([^\r]*)\r\n\$(\d{1,4})\r\n([^\r]*)\r\n\$(\d{1,7})\r\n"
)
"""What a subscriber hears all day, up to its data. One match takes a fifth of the time that the general way takes."""

Value = bytes | int | list["Value"] | None
"""A string, a number, an array, or null. An error stands as a string that begins with ``-``."""


class ProtocolError(Exception):
    """What came is no such frame. The connection is of no more use."""


class _IncompleteError(Exception):
    """The rest has not come yet."""


class FrameReader:
    """Takes bytes as they come, gives whole frames. Written for speed: every message of every process passes here."""

    def __init__(self) -> None:
        self._rest: bytes = b""
        self._skip = 0
        self.more: bool = False
        """Whether the last limit was reached, so that what was kept may hold whole frames."""

    def feed(self, data: bytes, limit: int = NO_LIMIT) -> list[Value]:
        """Take some bytes, return the frames that they complete, up to ``limit``; see :attr:`more`.

        Raises:
            ProtocolError: they are no such frames.
        """
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        data = self._rest + data if self._rest else data
        frames: list[Value] = []
        at = 0
        while at < len(data) and len(frames) < limit:
            try:
                value, at = _heard(data, at) or _value(data, at)
            except _IncompleteError:
                break  # read again when more has come
            except _TooLongError as found:
                # Null stands in for what is too long. What has come of it is dropped, and so is what will.
                self._skip = max(0, found.end - len(data))
                data = data[at : found.begin] + b"$-1\r\n" + data[found.end :]
                at = 0
            else:
                frames.append(value)
        self._rest = data[at:]
        self.more = len(frames) == limit
        if len(self._rest) > MAX_FRAME_BYTES and not self.more:
            raise ProtocolError("a frame without end")
        return frames


class _TooLongError(Exception):
    """A string from ``begin`` to ``end`` that is longer than is looked at."""

    def __init__(self, begin: int, end: int) -> None:
        super().__init__()
        self.begin = begin
        self.end = end


def _heard(data: bytes, at: int) -> tuple[Value, int] | None:
    """A whole and ordinary ``pmessage``, or None: then the general way says what it is."""
    found = _HEARD.match(data, at)
    if found is None:
        return None
    pattern_length, pattern, channel_length, channel, length = found.groups()
    begin, end = found.end(), found.end() + int(length)
    if len(pattern) != int(pattern_length) or len(channel) != int(channel_length):
        return None
    if len(data) < end + 2 or int(length) > MAX_BULK_BYTES:
        return None
    return [b"pmessage", pattern, channel, data[begin:end]], end + 2


def _value(data: bytes, at: int, depth: int = 0) -> tuple[Value, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        if len(data) - at > MAX_BULK_BYTES:
            raise ProtocolError("a line without end")
        raise _IncompleteError
    kind = data[at]
    if kind == _STRING:
        return data[at + 1 : end], end + 2
    if kind == _ERROR:
        return data[at:end], end + 2
    if kind == _NULL:
        return None, end + 2
    try:
        number = int(data[at + 1 : end])
    except ValueError:
        raise ProtocolError(f"a frame cannot begin with {data[at : at + 1]!r}, or its length is none") from None
    if kind == _BULK:
        return _bulk(data, at, end + 2, number)
    if kind in (_ARRAY, _PUSH) and depth < MAX_DEPTH and number <= MAX_ITEMS:
        return _array(data, end + 2, number, depth + 1)
    if kind == _NUMBER:
        return number, end + 2
    raise ProtocolError(f"a frame cannot begin with {data[at : at + 1]!r}")


def _bulk(data: bytes, begin: int, at: int, length: int) -> tuple[Value, int]:
    if length < 0:
        return None, at
    end = at + length
    if length > MAX_BULK_BYTES:
        raise _TooLongError(begin, end + 2)
    if len(data) < end + 2:
        raise _IncompleteError
    return data[at:end], end + 2


def _array(data: bytes, at: int, length: int, depth: int) -> tuple[Value, int]:
    if length < 0:
        return None, at
    values: list[Value] = []
    for _ in range(length):
        value, at = _value(data, at, depth)
        values.append(value)
    return values, at
