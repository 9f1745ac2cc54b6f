"""HTTP/1.1 as far as an API server needs it: requests off a stream, answers onto one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from hotconfig.testing.kubernetes.requests import Request, Response

MOST_BYTES = 3 * 1024 * 1024
"""The API server's own limit of a body."""


class BadRequestError(Exception):
    """What came is no HTTP that the double speaks."""


async def read_request(stream: asyncio.StreamReader) -> tuple[Request, str] | None:
    """The next request with its target as sent, None at the end of the connection. Raises BadRequestError."""
    try:
        head = await stream.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadRequestError from error
        return None
    except asyncio.LimitOverrunError as error:
        raise BadRequestError from error
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    try:
        method, target, _ = first.split(" ")
    except ValueError as error:
        raise BadRequestError from error
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    body = await _read_body(stream, headers)
    return Request.read(method, target, headers, body), target


async def _read_body(stream: asyncio.StreamReader, headers: Mapping[str, list[str]]) -> bytes:
    if headers.get("transfer-encoding", [""])[0].lower() == "chunked":
        chunks: list[bytes] = []
        while size := int((await stream.readline()).split(b";")[0], 16):
            chunks.append(await stream.readexactly(size))
            await stream.readexactly(2)
        while (await stream.readline()).strip():
            """Trailers, which nobody asks for."""
        return b"".join(chunks)
    try:
        length = int(headers.get("content-length", ["0"])[0])
    except ValueError as error:
        raise BadRequestError from error
    if not 0 <= length <= MOST_BYTES:
        raise BadRequestError
    return await stream.readexactly(length) if length else b""


def answer(response: Response) -> bytes:
    """The whole answer, as bytes."""
    content_type, body = response.encoded()
    headers = {"Content-Type": content_type, "Content-Length": str(len(body)), "Cache-Control": "no-cache, private"}
    return head(response.code, headers | dict(response.headers)) + body


def head(code: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {code} {_phrase(code)}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""
