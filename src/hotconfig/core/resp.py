"""Frames of RESP2, the protocol of Redis, as a subscriber hears them: read from any pieces, without ever waiting.

redis-py reads a frame whole, blocking, or breaks the connection when it has come half. The line may do neither.
"""

from __future__ import annotations

from typing import Final

MAX_BULK_BYTES: Final = 1024 * 1024
"""Longer strings are dropped as they come in, and stand as None; nothing that hotconfig publishes is as long."""

Value = bytes | int | list["Value"] | None
"""A string, a number, an array, or null. An error stands as a string that begins with ``-``."""


class ProtocolError(Exception):
    """What came is no RESP2. The connection is of no more use."""


class _IncompleteError(Exception):
    """The rest has not come yet."""


class FrameReader:
    """Takes bytes as they come, gives whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> list[Value]:
        """Take some bytes, return the frames that they complete.

        Raises:
            ProtocolError: they are no RESP2.
        """
        dropped = min(self._skip, len(data))
        self._skip -= dropped
        self._buffer += memoryview(data)[dropped:]
        frames: list[Value] = []
        at = 0
        try:
            while at < len(self._buffer):
                value, at = self._value(at)
                frames.append(value)
        except _IncompleteError:
            pass  # it begins the buffer, and is read again when more has come
        del self._buffer[:at]
        return frames

    def _value(self, at: int) -> tuple[Value, int]:
        kind, line, after = self._line(at)
        if kind in b"+":
            return line, after
        if kind in b"-":
            return b"-" + line, after
        if kind not in b":$*>":
            raise ProtocolError(f"a frame cannot begin with {bytes([kind])!r}")
        number = _number(line)
        if kind in b":":
            return number, after
        if number < 0:
            return None, after
        return self._bulk(at, after, number) if kind in b"$" else self._array(after, number)

    def _line(self, at: int) -> tuple[int, bytes, int]:
        end = self._buffer.find(b"\r\n", at)
        if end < 0:
            if len(self._buffer) - at > MAX_BULK_BYTES:
                raise ProtocolError("a line without end")
            raise _IncompleteError
        return self._buffer[at], bytes(self._buffer[at + 1 : end]), end + 2

    def _bulk(self, at: int, after: int, length: int) -> tuple[Value, int]:
        end = after + length + 2
        if length > MAX_BULK_BYTES:
            # Stand-in for what is too long: null. What has come of it is dropped, and so is what will.
            self._skip = max(0, end - len(self._buffer))
            self._buffer[at:end] = b"$-1\r\n"
            return None, at + 5
        if len(self._buffer) < end:
            raise _IncompleteError
        return bytes(self._buffer[after : end - 2]), end

    def _array(self, at: int, length: int) -> tuple[Value, int]:
        values: list[Value] = []
        for _ in range(length):
            if at >= len(self._buffer):
                raise _IncompleteError
            value, at = self._value(at)
            values.append(value)
        return values, at


def _number(line: bytes) -> int:
    if len(line) > 20 or not line.lstrip(b"-").isdigit():
        raise ProtocolError("a length or number is none")
    return int(line)
