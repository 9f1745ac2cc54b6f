"""What is fuzzed, and the law of each: given one random input, nothing but what the law allows may happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Final, Protocol

from pydantic import BaseModel, Field, TypeAdapter

from hotconfig.core.candidate import Blueprint
from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.declaration import settings
from hotconfig.core.errors import DeclarationError, HotConfigError
from hotconfig.core.followed import Followed
from hotconfig.core.line import Line
from hotconfig.core.listeners import Changed
from hotconfig.core.names import check_key, check_service, key_channel, parse_channel
from hotconfig.core.outcomes import Applied, Duplicate, NeedsRead, Rejected, Stage, Stale
from hotconfig.core.problems import MODEL_KEY
from hotconfig.core.resp import FrameReader, ProtocolError
from hotconfig.core.wire import Hint, Undecodable, decode, encode
from tests.fuzz import mutations
from tests.fuzz.everything import GENUINE, Everything
from tests.support import chains
from tests.support.chains import KEYRING, Truth

MAX_REVISION: Final = 2**63 - 1


class Target(Protocol):
    """One thing that is fuzzed."""

    def feed(self, rng: Random) -> None:
        """Make one input, use it, and raise if the law does not hold."""
        ...


@settings(service="ai")
class Tiny(BaseModel):
    low: int = Field(0, ge=0)
    word: str | None = "w"


GENUINE_SETS: Final = (
    ChangeSet("ai", genesis("ai"), Head(1, b"a" * 32), (Change("low", "1"),), "2026-01-01T00:00:00Z", "ann"),
    ChangeSet(
        "ai", Head(7, b"b" * 32), Head(8, b"c" * 32),
        (Change("word", 'quo"te\n'), Change("low", deleted=True), Change("word", withheld=True)),
        "2026-01-01T00:00:00Z", "böb", "because", {"traceparent": "00-1-2-3"},
    ),
)  # fmt: skip
CHANNELS: Final = (b"config:ai:@commits", b"config:ai:low", b"config:ai:word", b"config:every:a_str")
SIGNED: Final = tuple(encode(one, KEYRING) for one in GENUINE_SETS)
BODIES: Final = {message.split(b" ", 3)[3] for message in SIGNED}


def resigned(body: bytes) -> bytes:
    """A message of any body, signed with the real key: what only a fault of a writer could send."""
    import hmac

    key_id = max(KEYRING)
    return b"hotconfig1 %d %s %s" % (key_id, hmac.digest(KEYRING[key_id], body, "sha256").hex().encode(), body)


def signed_body(rng: Random, genuine: ChangeSet) -> bytes:
    """A genuine body, mutated as JSON."""
    from pydantic_core import from_json

    body = encode(genuine, KEYRING).split(b" ", 3)[3]
    return mutations.packed(rng, mutations.tree(rng, from_json(body)))


class Decoder:
    """``wire.decode``: a hint or nothing for what is not signed; for what is, a change set in which every part fits."""

    def feed(self, rng: Random) -> None:
        if rng.random() < 0.4:
            message = resigned(signed_body(rng, rng.choice(GENUINE_SETS)))
        else:
            message = mutations.data(rng, SIGNED)
            # The key's number may be written in several ways; what is signed may not.
            assert message.split(b" ", 3)[-1] in BODIES or not isinstance(
                decode(CHANNELS[0], message, KEYRING), ChangeSet
            )
        channel = rng.choice(CHANNELS) if rng.random() < 0.8 else mutations.data(rng, CHANNELS)
        news = decode(channel, message, KEYRING)
        assert isinstance(news, ChangeSet | Hint | Undecodable)
        if isinstance(news, ChangeSet):
            check_change_set(news)


def check_change_set(news: ChangeSet) -> None:
    """Whatever stands in a change set is what the rest of the house takes it for."""
    assert news.service == "ai"
    assert 0 <= news.parent.revision < news.head.revision <= MAX_REVISION
    assert news.head.revision == news.parent.revision + 1
    assert len(news.parent.digest) == len(news.head.digest) == 32
    for word in (news.at, news.by, *news.trace, *news.trace.values()):
        assert type(word) is str
    assert news.reason is None or type(news.reason) is str
    for change in news.changes:
        assert check_key(change.key) == change.key
        assert change.text is None or (type(change.text) is str and change.text.encode() is not None)
    decode(CHANNELS[0], encode(news, KEYRING), KEYRING)


class Frames:
    """``FrameReader``: frames or ``ProtocolError``, the same frames in any pieces, and no more kept than one frame."""

    GENUINE: Final = (
        b"*4\r\n$8\r\npmessage\r\n$11\r\nconfig:ai:*\r\n$13\r\nconfig:ai:low\r\n$1\r\n1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n",
        b"*3\r\n$10\r\npsubscribe\r\n$11\r\nconfig:ai:*\r\n:1\r\n+PONG\r\n-NOPERM no\r\n$-1\r\n*-1\r\n*0\r\n",
        b"*1\r\n" * 40 + b":1\r\n",
        b"*9999999\r\n" + b":1\r\n" * 50,
        b"$70000\r\n" + b"x" * 70_000 + b"\r\n:1\r\n",
    )

    def feed(self, rng: Random) -> None:
        whole = mutations.data(rng, self.GENUINE[: 5 if rng.random() < 0.05 else 4])
        outcomes = [self._read([whole], 1_000_000), self._read(mutations.pieces(rng, whole), rng.randint(1, 5))]
        assert outcomes[0] == outcomes[1]

    def _read(self, pieces: list[bytes], limit: int) -> object:
        reader, found = FrameReader(), []
        try:
            for piece in pieces:
                found += reader.feed(piece, limit)
                while reader.more:
                    found += reader.feed(b"", limit)
        except ProtocolError:
            return "refused"
        return found


class Deep:
    """``FrameReader`` on nesting without end and lengths that nobody sends: an early ``ProtocolError``."""

    def feed(self, rng: Random) -> None:
        reader = FrameReader()
        head = rng.choice((b"*1\r\n", b"*2\r\n:1\r\n", b"*1\r\n*2\r\n", b"*-1\r\n*1\r\n"))
        try:
            reader.feed(head * rng.choice((10, 1000, 5000)))
        except ProtocolError:
            return
        assert len(reader._rest) < 1_000_000


class WholeLine:
    """``Line.receive`` and ``flush``: typed outcomes alone, and what is shown is valid, whatever was heard."""

    def __init__(self) -> None:
        self.told: list[Changed[Any]] = []
        self._start()

    def _start(self) -> None:
        self.truth = Truth("ai")
        self.line = Line(self.told.append)
        self.line.keyring = KEYRING
        self.followed: Followed[Tiny] = Followed(Blueprint(Tiny))
        self.line.followed["ai"] = self.followed
        self.line.load(self.truth.answer(None))
        self.heard = 0

    def feed(self, rng: Random) -> None:
        self.heard += 1
        if self.heard > 200:
            self._start()
        kind = rng.randrange(10)
        if kind == 0:
            self.truth.commit(Change(rng.choice(("low", "word", "more")), rng.choice(("1", "2", "x", "", None))))
        if kind == 1:
            self._load(rng)
        elif kind == 2:
            outcome = self.line.notified(rng.choice(("ai", "", "x")), rng.randrange(30))
            assert isinstance(outcome, Duplicate | NeedsRead | Stale)
        else:
            heard = self.line.receive(*self._message(rng, kind))
            assert heard is None or isinstance(heard, Duplicate | Stale | NeedsRead | Rejected)
            assert not isinstance(heard, Rejected) or heard.stage is Stage.DECODE
        if rng.random() < 0.5:
            assert all(isinstance(each, Applied | Rejected) for each in self.line.flush())
        self._check()

    def _message(self, rng: Random, kind: int) -> tuple[bytes, bytes]:
        parent = self.followed.head or genesis("ai")
        following = GENUINE_SETS[1]._replace(parent=parent, head=Head(parent.revision + 1, rng.randbytes(32)))
        if kind < 6:
            return CHANNELS[0], resigned(signed_body(rng, following))
        if kind == 6:
            text = mutations.text(rng, ("1", "w", "-1"))
            odd = following._replace(changes=(Change(rng.choice(("low", "word")), text),))
            try:
                return CHANNELS[0], encode(odd, KEYRING)
            except ValueError:  # half of a surrogate pair cannot even be written
                return CHANNELS[1], text.encode("utf-8", "surrogatepass")
        if kind == 7 and self.truth.commits:
            return chains.signed(rng.choice(self.truth.commits[-5:]))
        return rng.choice(CHANNELS), mutations.data(rng, SIGNED)

    def _load(self, rng: Random) -> None:
        loaded = self.truth.answer(self.followed.head, lag=rng.choice((0, 0, 1)))
        if rng.random() < 0.1:
            loaded = replace(loaded, asked=Head(rng.randrange(20), b"?" * 32), known=rng.random() < 0.5)
        outcome = self.line.load(loaded)
        assert isinstance(outcome, Applied | Duplicate | Stale | NeedsRead | Rejected)

    def _check(self) -> None:
        live, current = self.followed.live, self.followed.current
        assert live is not None
        assert current is not None
        assert live.__dict__ is current.__dict__
        assert type(live.low) is int
        assert live.low >= 0
        assert live.word is None or type(live.word) is str
        assert len(self.followed.waiting) <= 64
        assert all(change.keys for change in self.told)
        self.told.clear()


def check_refusal(error: HotConfigError, key: str) -> None:
    """It says which key, and does not repeat the input at length."""
    assert key in str(error)
    assert len(str(error)) < 1500


class Texts:
    """``TextRules.decode``: an input, or a typed error that names the key and does not go on and on."""

    def __init__(self) -> None:
        self.blueprint = Blueprint(Everything)
        self.keys = sorted(self.blueprint.keys)

    def feed(self, rng: Random) -> None:
        key, text = rng.choice(self.keys), mutations.text(rng, GENUINE)
        try:
            self.blueprint.rules.decode(key, text)
        except HotConfigError as error:
            check_refusal(error, key)


class Encoding:
    """``TextRules.encode`` of what a writer may pass: what it lets through, PostgreSQL and every reader can carry."""

    ODD: Final[tuple[Any, ...]] = (
        float("nan"), float("inf"), 10**400, 10**5000, -(10**5000), 1 << 70, 0.1, True, None, b"\xff", b"ok", {1: 2},
        ["\0"], [["\ud800"]], {"\0": 1}, {"a": float("inf")}, object(), set(), frozenset({1}), (), range(3), 1j, "5",
    )  # fmt: skip

    def __init__(self) -> None:
        self.blueprint = Blueprint(Everything)
        self.keys = sorted(self.blueprint.keys)
        self.any_json: TypeAdapter[Any] = TypeAdapter(Any)

    def feed(self, rng: Random) -> None:
        key = rng.choice(self.keys)
        value = rng.choice(self.ODD) if rng.random() < 0.4 else mutations.text(rng, GENUINE)
        try:
            text = self.blueprint.rules.encode(key, value)
        except HotConfigError as error:
            check_refusal(error, key)
            return
        assert text is None or ("\0" not in text and text.encode() is not None)
        assert self.blueprint.build({key: text}).problems == {}


class Building:
    """``Blueprint.build`` on any texts for any keys: an instance or problems by key, never an exception."""

    def __init__(self) -> None:
        self.blueprint = Blueprint(Everything)
        self.keys = sorted(self.blueprint.keys)

    def feed(self, rng: Random) -> None:
        chosen = rng.sample(self.keys, rng.choice((1, 1, 2, 5)))
        texts: dict[str, str | None] = {key: self._text(rng) for key in chosen}
        if rng.random() < 0.1:
            texts[mutations.text(rng, ("unknown", "a_str"))] = self._text(rng)
        built = self.blueprint.build(texts)
        assert (built.instance is None) == bool(built.problems)
        assert built.problems.keys() <= {*self.blueprint.keys, MODEL_KEY}
        assert built.unknown == texts.keys() - self.blueprint.keys
        if built.instance is None and rng.random() < 0.1:
            assert self.blueprint.build_without_bad_keys(texts).instance is not None

    def _text(self, rng: Random) -> str | None:
        return None if rng.random() < 0.05 else mutations.text(rng, GENUINE)


class Names:
    """Names and channels: what passes as a name makes a channel that is taken apart into exactly these names."""

    GENUINE: Final = ("ai", "threshold", "my-service.v2", "config:ai:low", "a" * 63)

    def feed(self, rng: Random) -> None:
        name, key = mutations.text(rng, self.GENUINE), mutations.text(rng, self.GENUINE)
        raw = f"config:{name}:{key}".encode("utf-8", "surrogatepass")
        parsed = parse_channel(raw)
        if _passes(check_service, name) and _passes(check_key, key):
            assert parsed == (name, key)
            assert key_channel(name, key).encode() == raw
        elif parsed is not None:
            assert parsed == (name, key) == (check_service(name), "@commits")


def _passes(check: Callable[[object], str], name: str) -> bool:
    try:
        return check(name) == name
    except DeclarationError:
        return False


TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "decoder": Decoder,
    "frames": Frames,
    "deep": Deep,
    "line": WholeLine,
    "texts": Texts,
    "encoding": Encoding,
    "building": Building,
    "names": Names,
}
SHARES: Final = {
    "decoder": 30, "frames": 20, "deep": 1, "line": 20, "texts": 12, "encoding": 3, "building": 9, "names": 5,
}  # fmt: skip
"""Of a run of everything, in percent: many cheap inputs, fewer dear ones."""
