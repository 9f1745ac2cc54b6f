"""Frames come out the same, in whatever pieces the bytes came in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotconfig.core.resp import MAX_BULK_BYTES, FrameReader, ProtocolError, Value

SCALARS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=60)
FRAMES = st.lists(st.lists(SCALARS, max_size=5), max_size=6)


def packed(value: object) -> bytes:
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(value), value)
        case list():
            return b"*%d\r\n" % len(value) + b"".join(packed(item) for item in value)
        case _:
            raise AssertionError(value)


@given(FRAMES, st.lists(st.integers(1, 40), min_size=1), st.integers(1, 5))
def test_any_pieces_give_the_same_frames_however_many_are_asked_for(
    frames: list[Value], sizes: list[int], limit: int
) -> None:
    data = b"".join(map(packed, frames))
    reader = FrameReader()
    found: list[Value] = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += (taken := reader.feed(data[at : at + size], limit))
        assert reader.more is (len(taken) == limit)
        while reader.more:
            found += (taken := reader.feed(b"", limit))
            assert len(taken) <= limit
        at, turn = at + size, turn + 1
    assert found == frames


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_a_protocol_error(data: bytes) -> None:
    reader = FrameReader()
    try:
        for position in range(len(data)):
            reader.feed(data[position : position + 1])
    except ProtocolError:
        pass


@pytest.mark.parametrize("chunk", [1000, 65_536, 10**9])
def test_what_is_too_long_is_dropped_as_it_comes_and_what_follows_is_read(chunk: int) -> None:
    frame = [b"pmessage", b"config:ai:*", b"config:ai:x", b"x" * (5 * MAX_BULK_BYTES)]
    data = packed(frame) + packed([b"pong", b""])
    reader = FrameReader()
    found: list[Value] = []
    for at in range(0, len(data), chunk):
        found += reader.feed(data[at : at + chunk])
        assert len(reader._rest) <= MAX_BULK_BYTES
    assert found == [[*frame[:3], None], [b"pong", b""]]


def test_pushes_are_read_as_arrays_and_the_newer_null_as_null() -> None:
    push = packed([b"pmessage", b"config:ai:*", b"config:ai:x", b"1"]).replace(b"*", b">", 1)
    assert FrameReader().feed(push + b"_\r\n:1\r\n") == [[b"pmessage", b"config:ai:*", b"config:ai:x", b"1"], None, 1]


def test_simple_strings_and_errors() -> None:
    assert FrameReader().feed(b"+PONG\r\n-NOPERM no\r\n") == [b"PONG", b"-NOPERM no"]


def test_the_quick_way_and_the_general_way_read_the_same() -> None:
    # A channel with a line end in it, a wrong length, and data that looks like a frame go the general way.
    odd = [
        b"*4\r\n$8\r\npmessage\r\n$3\r\na:*\r\n$5\r\na:\r\nb\r\n$1\r\nx\r\n",
        b"*4\r\n$8\r\npmessage\r\n$3\r\na:*\r\n$3\r\na:b\r\n$10\r\n*4\r\n$8\r\npm\r\n",
        b"*4\r\n$8\r\npmessage\r\n$3\r\na:*\r\n$3\r\na:b\r\n$0\r\n\r\n",
        b"*4\r\n$8\r\npmessage\r\n$3\r\na:*\r\n$3\r\na:b\r\n$-1\r\n",
    ]
    expected = [
        [b"pmessage", b"a:*", b"a:\r\nb", b"x"],
        [b"pmessage", b"a:*", b"a:b", b"*4\r\n$8\r\npm"],
        [b"pmessage", b"a:*", b"a:b", b""],
        [b"pmessage", b"a:*", b"a:b", None],
    ]
    assert FrameReader().feed(b"".join(odd)) == expected
    for frame, value in zip(odd, expected, strict=True):
        reader = FrameReader()
        pieces = [reader.feed(frame[at : at + 1]) for at in range(len(frame))]
        assert [value for found in pieces for value in found] == [value]


@pytest.mark.parametrize(
    "data",
    [b"*1\r\n" * 5000, b"*1\r\n" * 3 + b"*0\r\n", b"*1000000000\r\n", b"*257\r\n" + b":1\r\n" * 257],
    ids=["deep", "nested", "endless", "long"],
)
def test_arrays_that_redis_never_sends_to_a_subscriber_are_refused_at_once(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameReader().feed(data)


def test_a_masters_answer_to_role_is_read() -> None:
    answer = b"*3\r\n$6\r\nmaster\r\n:7\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6380\r\n$1\r\n7\r\n"
    assert FrameReader().feed(answer) == [[b"master", 7, [[b"127.0.0.1", b"6380", b"7"]]]]


def test_a_frame_that_never_ends_is_not_piled_up() -> None:
    reader = FrameReader()
    string = packed(b"x" * (MAX_BULK_BYTES // 2))
    assert reader.feed(b"*256\r\n") == []
    for _ in range(7):
        assert reader.feed(string) == []
    with pytest.raises(ProtocolError, match="without end"):
        reader.feed(string)
