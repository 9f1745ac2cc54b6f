"""``python -m tests.soak --changes 1000000``: exits with 1 if the reader's memory, threads or descriptors grow.

Every change is a real commit on a real PostgreSQL (made by the server in a loop, so that Python does not hold it up),
and its signed change set and plain form go through a real Redis, many in one write. The reader is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import psutil

from hotconfig.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.soak.slope import Slope, drift_of, slope_of
from tests.support.databases import FAST, Databases
from tests.support.storm import Blower, change_sets, commit_many, keyring, news

GROWTH_PER_CHANGE = 1.0
"""Bytes: a megabyte in a million changes. What malloc keeps of what was given back to it comes and goes by more."""


class Sample(NamedTuple):
    """What the reader looks like after so many changes."""

    changes: int
    rss: int
    threads: int
    descriptors: int
    inside: dict[str, Any]


class Reader:
    """The process that is soaked, from outside."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.reader", database_url, redis_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._seen = psutil.Process(self._process.pid)

    def at(self, revision: int, changes: int) -> Sample:
        """Wait until it shows a revision, and look at it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{revision}\n")
        self._process.stdin.flush()
        inside = json.loads(self._process.stdout.readline())
        seen = self._seen
        return Sample(changes, seen.memory_info().rss, seen.num_threads(), seen.num_fds(), inside)

    def close(self) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


@contextmanager
def places() -> Generator[tuple[str, str]]:
    """A PostgreSQL and a Redis for this run alone."""
    postgres, valkey = EmbeddedPostgres(settings=FAST), EmbeddedValkey()
    with ExitStack() as stack:
        for server in (postgres, valkey):
            server.start()
            stack.callback(server.stop)
        databases = Databases(postgres)
        stack.callback(databases.close)
        yield stack.enter_context(databases.migrated()), valkey.url


def soak(database_url: str, redis_url: str, changes: int, batch: int) -> list[Sample]:
    """One sample after every batch."""
    reader, wind, keys = Reader(database_url, redis_url), Blower(redis_url), keyring(database_url)
    reader.at(0, 0)
    samples: list[Sample] = []
    revision = 0
    for done in range(batch, changes + 1, batch):
        commit_many(database_url, "ai", "model", batch, value="repeat('x', i % 200) || '-' || i")
        made = change_sets(database_url, "ai", after=revision)
        revision = made[-1].head.revision
        wind.blow(news(made, keys))
        samples.append(reader.at(revision, done))
    wind.close()
    reader.close()
    return samples


def report(samples: list[Sample], took_s: float) -> bool:
    """Tell, and judge."""
    half = samples[len(samples) // 2 :]
    changes = [one.changes for one in half]
    rss = drift_of(changes, [one.rss for one in half])
    first, last = samples[0], samples[-1]
    counted = {name: last.inside[name] for name in ("messages", "applied", "told", "reads", "rejected", "line_errors")}
    print(f"{last.changes:,} changes in {took_s:.0f} s ({last.changes / took_s:,.0f}/s); the reader counted {counted}")  # noqa: T201
    print(f"RSS {first.rss / 1e6:.1f} MB after the first batch, {last.rss / 1e6:.1f} MB at the end")  # noqa: T201
    print(f"over the second half ({len(half)} samples), RSS: {_shown(rss)} bytes per change")  # noqa: T201
    for name, unit in (("malloc", "bytes in use by malloc"), ("blocks", "memory blocks of the interpreter")):
        if last.inside[name] is not None:
            slope = slope_of(changes, [one.inside[name] for one in half])
            print(f"{unit}: {first.inside[name]:,} → {last.inside[name]:,}, {_shown(slope)} per change")  # noqa: T201
    print(f"threads {first.threads} → {last.threads}, descriptors {first.descriptors} → {last.descriptors}")  # noqa: T201
    steady = rss.low <= 0 or rss.value < GROWTH_PER_CHANGE
    return steady and (last.threads, last.descriptors) == (first.threads, first.descriptors)


def _shown(slope: Slope) -> str:
    return f"{slope.value:+.4f} (95 % between {slope.low:+.4f} and {slope.high:+.4f})"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=10_000)
    wanted = parser.parse_args()
    began_s = time.monotonic()
    with places() as (database_url, redis_url):
        samples = soak(database_url, redis_url, wanted.changes, wanted.batch)
        return 0 if report(samples, time.monotonic() - began_s) else 1


if __name__ == "__main__":
    sys.exit(main())
