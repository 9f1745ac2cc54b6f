"""The ways as arms that can take turns: who reads, who writes, and what they are called."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.commits import committer
from benchmarks.meters import POSTGRES_CPU_S, REDIS_CPU_S, Meters
from benchmarks.places import Place
from benchmarks.processes import SilentError, Subscriber, subscriber
from benchmarks.relay import Relay, relayed, relaying
from benchmarks.results import UnavailableError
from benchmarks.subscribers import hot
from benchmarks.ways import readers
from benchmarks.ways.clocks import cpu_s
from benchmarks.ways.etcd import etcd_server, putter, version
from benchmarks.ways.mount import Mount
from benchmarks.ways.writers import Write, by_hand

HOTCONFIG: Final = "hotconfig, Redis"
HOTCONFIG_ALONE: Final = "hotconfig, no Redis"
NOTIFY: Final = "LISTEN/NOTIFY by hand"
REDIS: Final = "Redis Pub/Sub by hand"
ETCD: Final = "etcd watch"
MOUNT: Final = "mounted file, watchfiles"
MOUNT_TUNED: Final = "mounted file, watchfiles without its pauses"

RECONCILE_S: Final = 10.0
"""hotconfig's default: how often it compares with PostgreSQL."""
_WAKE_WITHIN_S: Final = 30.0
_LEAST_MS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Way:
    """One way: ``reader`` is run in a process of its own. Those of ``args`` that name an attribute of :class:`Ends`
    stand for it. ``each`` says how many times rarer it is measured than the quickest ways; a ``slow`` way is never
    waited for after a change.
    """

    name: str
    how: str
    reader: Callable[..., None]
    args: Sequence[Any]
    write: Write
    pause_s: tuple[float, float] = (0.005, 0.015)
    each: int = 1
    slow: bool = False


class Ends:
    """Where the readers connect to: the servers, or relays in front of them that count."""

    def __init__(self, place: Place, etcd: int | None) -> None:
        self.database_url = place.database_url
        self.redis_url = place.redis_url
        self.etcd = etcd
        self.relays: dict[str, Relay] = {}


def counted(place: Place, etcd: int | None, way: Way, stack: ExitStack) -> Ends:
    """Ends behind relays, as far as this way needs them. The relays stop with the stack."""
    ends = Ends(place, etcd)
    if "database_url" in way.args:
        postgres = ends.relays["postgres"] = stack.enter_context(relayed(place.database_url))
        ends.database_url = postgres.url
    if "redis_url" in way.args:
        redis = urlsplit(place.redis_url)
        relay = ends.relays["redis"] = stack.enter_context(relaying(redis.hostname or "127.0.0.1", redis.port or 6379))
        account = redis.netloc.rpartition("@")[0]
        ends.redis_url = redis._replace(netloc=f"{account}@127.0.0.1:{relay.port}".lstrip("@")).geturl()
    if etcd is not None and "etcd" in way.args:
        ends.relays["etcd"] = stack.enter_context(relaying("127.0.0.1", etcd))
        ends.etcd = ends.relays["etcd"].port
    return ends


class Ways:
    """Makes the ways. Everything that it starts ends with the stack."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self._place = place
        self._stack = stack
        self.absent: dict[str, str] = {}
        self._meters = stack.enter_context(Meters(place))
        self._etcd_pid: int | None = None
        self.notify, self.publish, _ = stack.enter_context(by_hand(place))
        self._commit = stack.enter_context(committer(place))
        self._commit_alone = stack.enter_context(committer(place, announced=False))
        self.etcd = self._etcd()
        if self.etcd is not None:
            self._put = stack.enter_context(putter(self.etcd))

    def servers_cpu_s(self) -> float | None:
        """What PostgreSQL, Redis and etcd have used; None where nobody tells for PostgreSQL."""
        found = self._meters.read()
        if POSTGRES_CPU_S not in found:
            return None
        etcd_s = 0.0 if self._etcd_pid is None else cpu_s(self._etcd_pid)
        return found[POSTGRES_CPU_S] + found[REDIS_CPU_S] + etcd_s

    def prompt(self) -> list[Way]:
        """Those that are told of a change by a server."""
        made = [self._hotconfig(HOTCONFIG), self._hotconfig(HOTCONFIG_ALONE), self._redis(), self._notify()]
        return made + ([] if self.etcd is None else [self._watch()])

    def files(self) -> list[Way]:
        """Those that watch a mounted file."""
        try:
            import watchfiles  # noqa: F401
        except ModuleNotFoundError:
            self.absent[MOUNT] = "watchfiles is not installed: pip install watchfiles"
            return []
        defaults = "watchfiles' defaults: it waits 50 ms for further changes."
        return [self._mount(MOUNT, 50, 1600, defaults), self._mount(MOUNT_TUNED, 1, 1, "step and debounce of 1 ms.")]

    def _hotconfig(self, name: str) -> Way:
        service = f"bench-ways-{'redis' if name == HOTCONFIG else 'alone'}"
        commit = self._commit if name == HOTCONFIG else self._commit_alone
        return Way(
            name=name,
            how="a bound class; every change is validated, has a revision and a history.",
            reader=hot,
            args=("database_url", "redis_url" if name == HOTCONFIG else None, service, RECONCILE_S),
            write=lambda text: commit(service, "threshold", text),
        )

    def _redis(self) -> Way:
        how = "an UPDATE and an INSERT into a history, then PUBLISH; redis-py's listen(), float(), one attribute set."
        return Way(REDIS, how, readers.published, ("redis_url",), self.publish)

    def _notify(self) -> Way:
        how = "the same with pg_notify() in the transaction; psycopg's notifies(), the value is the payload."
        return Way(NOTIFY, how, readers.notified, ("database_url",), self.notify)

    def _watch(self) -> Way:
        def write(text: str) -> int:
            self._put(text)
            return monotonic_ns()

        return Way(ETCD, "a put, and aetcd's watch(), one member, fsync on.", readers.watched, ("etcd",), write)

    def _mount(self, name: str, step_ms: int, debounce_ms: int, how: str) -> Way:
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        mount = Mount(directory, "threshold", "0.75")

        def write(text: str) -> int:
            mount.swap(text)
            return monotonic_ns()

        how += " Timed from the kubelet's swap of the link; up to a minute until it does that comes on top."
        args = (str(directory), step_ms, debounce_ms)
        return Way(name, how, readers.mounted, args, write, pause_s=(0.12, 0.2), each=10)

    def _etcd(self) -> int | None:
        try:
            port, self._etcd_pid = self._stack.enter_context(etcd_server())
        except UnavailableError as error:
            self.absent[ETCD] = str(error)
            return None
        self._place.versions["etcd"] = version()
        return port


def reading(way: Way, ends: Ends) -> AbstractContextManager[Subscriber]:
    """The way's reading process."""
    args = [getattr(ends, arg) if isinstance(arg, str) and hasattr(ends, arg) else arg for arg in way.args]
    return subscriber(way.reader, *args)


class Trial:
    """A way whose reader runs. Changes are made one at a time, each after the one before was seen and a pause."""

    _values = 0

    def __init__(self, way: Way, reader: Subscriber) -> None:
        self.way = way
        self.reader = reader
        self.called_ms: list[float] = []
        self.early = 0
        self._pauses = random.Random(0)

    def wake(self) -> None:
        """Make changes until one is seen: some readers are ready a moment after they say so."""
        deadline_s = time.monotonic() + _WAKE_WITHIN_S
        while True:
            try:
                self._change(2.0)
            except SilentError:
                if time.monotonic() > deadline_s:
                    raise
            else:
                return

    def __call__(self, size: int) -> list[float]:
        """Commit → seen, in ms, of so many changes; :attr:`called_ms` gets the same from the call.

        A server may tell its readers before its writer. Those changes count as seen :data:`_LEAST_MS` after the commit,
        so that ratios stay ratios; how many, :attr:`early` tells.
        """
        delays = []
        for _ in range(max(1, size // self.way.each)):
            time.sleep(self._pauses.uniform(*self.way.pause_s))
            called_ns, committed_ns, seen_ns = self._change(30.0)
            delays.append(max(_LEAST_MS, (seen_ns - committed_ns) / 1e6))
            self.early += seen_ns < committed_ns
            self.called_ms.append((seen_ns - called_ns) / 1e6)
        return delays

    @property
    def early_share(self) -> float:
        """The share of :attr:`early` changes in all."""
        return self.early / len(self.called_ms) if self.called_ms else 0.0

    def _change(self, within_s: float) -> tuple[int, int, int]:
        Trial._values += 1
        value = Trial._values
        called_ns = monotonic_ns()
        committed_ns = self.way.write(str(value))
        while True:
            seen_ns, shown = self.reader.seen(within_s)
            if shown >= value:
                return called_ns, committed_ns, seen_ns
