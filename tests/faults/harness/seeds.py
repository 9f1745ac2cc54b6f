"""One seed from the first process to the verdict, and many seeds side by side."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import redis

from hotconfig.core.chain import genesis
from hotconfig.core.names import service_pattern
from tests.faults.harness.board import Board, Ending, Part
from tests.faults.harness.declared import SERVICE, expected
from tests.faults.harness.drawing import Schedule, draw
from tests.faults.harness.observations import Born, Bound, Broke, Observation, Quiet, Settled, Story, read
from tests.faults.harness.oracle import Truth, Violation, judge
from tests.faults.harness.performing import Performance
from tests.faults.harness.rewinding import history
from tests.faults.harness.stage import Stage
from tests.support.waiting import eventually

BOUND_S: Final = 30.0
"""A read under way when PostgreSQL stops answering takes 5 s to give up; then the longest backoff, connecting, and the
longest pause between two comparisons. The rest is for machines that have other things to do: the usual figure is below
a second, and every verdict tells it."""
PLANTED_BOUND_S: Final = 5.0
"""For readers that are broken on purpose: nobody should wait for them."""
DURATION_S: Final = 1.5
_WITHIN_S: Final = 30.0
_LAST: Final = {"high": "99", "left": "7", "low": "1", "middle_3": "3", "right": "7", "stamp": "the end"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one seed. ``directory`` holds what was written down, and is kept where there are violations."""

    schedule: Schedule
    violations: tuple[Violation, ...]
    took_s: float
    slowest_s: float
    commits: int
    observations: Counter[str] = field(default_factory=Counter[str])
    directory: Path | None = None

    def __str__(self) -> str:
        found = [f"  {violation}" for violation in self.violations[:20]]
        more = [f"  and {len(self.violations) - 20} more"] if len(self.violations) > 20 else []
        return "\n".join([str(self.schedule), *found, *more, f"  written down in {self.directory}"])


def run_seed(stage: Stage, seed: int, *, duration_s: float = DURATION_S, plants: tuple[str, ...] = ()) -> Verdict:
    """Carry out the schedule of one seed, heal, and judge."""
    begun_s = time.monotonic()
    schedule = draw(seed, duration_s)
    directory = Path(tempfile.mkdtemp(prefix=f"hotconfig-seed-{seed}-"))
    try:
        truth, stories = _play(stage, schedule, directory, plants)
    except AssertionError as error:  # something was waited for in vain
        truth, stories = Truth((0, "")), [Story("the harness", [Broke(str(error))], reads=False)]
    violations = tuple(judge(truth, stories, bound_s=_bound_s(plants)))
    if not violations:
        shutil.rmtree(directory)
    seen_by_all = [seen for story in stories for seen in story.observations]
    return Verdict(
        schedule,
        violations,
        took_s=time.monotonic() - begun_s,
        slowest_s=max((seen.within_s for seen in seen_by_all if isinstance(seen, Settled)), default=0.0),
        commits=len(truth.states),
        observations=Counter(type(seen).__name__ for seen in seen_by_all),
        directory=directory if violations else None,
    )


def _play(stage: Stage, schedule: Schedule, directory: Path, plants: tuple[str, ...]) -> tuple[Truth, list[Story]]:
    """From the first participant to the last; raises ``AssertionError`` where they do not come to an end."""
    board = Board(str(directory))
    with stage.fresh_database(), _overhearing(stage) as heard:
        parts = {part.name: part for part in _parts(stage, schedule, directory, plants)}
        performance = Performance(stage, schedule, parts, heard)
        try:
            for part in parts.values():
                stage.nursery.bear(part)
            names = [part.name for part in parts.values() if part.reads]
            eventually(lambda: all(_has(board, name, Bound) for name in names), _WITHIN_S, message="all are bound")
            performance.run()
            return _end(stage, board, performance, _bound_s(plants)), _stories(stage, board, parts)
        finally:
            stage.nursery.clear()
            _kill_orphans(board, parts)


def run_seeds(
    seeds: Iterable[int],
    report: Callable[[Verdict], bool],
    *,
    jobs: int = 1,
    duration_s: float = DURATION_S,
    plants: tuple[str, ...] = (),
) -> None:
    """Run seeds on ``jobs`` stages side by side. ``report`` hears each verdict, one at a time; True: that is enough."""
    waiting = iter(seeds)
    lock = threading.Lock()
    enough = threading.Event()

    def work() -> None:
        with Stage.set_up() as stage:
            while not enough.is_set():
                with lock:
                    seed = next(waiting, None)
                if seed is None:
                    return
                verdict = run_seed(stage, seed, duration_s=duration_s, plants=plants)
                with lock:
                    if report(verdict):
                        enough.set()

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in [pool.submit(work) for _ in range(jobs)]:
                future.result()
        finally:
            enough.set()


def _parts(stage: Stage, schedule: Schedule, directory: Path, plants: tuple[str, ...]) -> Iterator[Part]:
    def part(name: str, **differences: object) -> Part:
        common = {"redis_url": stage.redis_url, "plants": plants, "seed": schedule.seed}
        given = {"name": name, "directory": str(directory), "database_url": stage.database_url}
        return Part(**{**common, **given, **differences})  # type: ignore[arg-type]

    yield part("forking reader", forks_after_s=schedule.duration_s / 3, relays=schedule.relays)
    yield part("listening reader", redis_url=None)
    yield part("polling reader", redis_url=None, listens=False)
    yield part("writer", writes=True, relays=schedule.relays)
    announces = schedule.second_writer_announces
    yield part("bare writer", writes=True, reads=False, redis_url=stage.redis_url if announces else None)


@contextmanager
def _overhearing(stage: Stage) -> Iterator[list[tuple[bytes, bytes]]]:
    """What is published while the block runs, to be replayed and forged."""
    heard: list[tuple[bytes, bytes]] = []
    over = threading.Event()

    def listen() -> None:
        while not over.is_set():
            try:
                with stage.redis() as client, client.pubsub() as subscription:
                    subscription.psubscribe(service_pattern(SERVICE))
                    while not over.is_set():
                        message = subscription.get_message(timeout=0.1)
                        if message is not None and message["type"] == "pmessage":
                            heard.append((message["channel"], message["data"]))
            except (redis.RedisError, OSError):
                over.wait(0.05)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()


def _bound_s(plants: tuple[str, ...]) -> float:
    return PLANTED_BOUND_S if plants else BOUND_S


def _end(stage: Stage, board: Board, performance: Performance, bound_s: float) -> Truth:
    """After healing: one last commit by hand, and everybody is told where the chain ends."""
    board.silence()
    parts = performance.parts
    # Who cannot bind, because of what PostgreSQL holds, will find that all is quiet when he can.
    writers = [
        name
        for name in stage.nursery.living
        if parts[name].writes and (_has(board, name, Bound) or not parts[name].reads)
    ]
    eventually(lambda: all(_has(board, name, Quiet) for name in writers), _WITHIN_S, message="writers are quiet")
    with stage.desk() as connection:
        eventually(lambda: _nobody_writes(connection), _WITHIN_S, message="no write is under way")
        connection.execute(
            "INSERT INTO hotconfig.service_configs (service, key, value) "
            "SELECT %s, * FROM unnest(%s::text[], %s::text[]) "
            "ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE SET value = excluded.value",
            [SERVICE, list(_LAST), list(_LAST.values())],
        )
        rows = history(connection, SERVICE)
    board.keep_history([*performance.lost, rows])
    truth = Truth((rows[-1].revision, rows[-1].digest), rewinds=len(performance.lost))
    truth.begin((0, genesis(SERVICE).digest.hex()))
    for lost in [*performance.lost, rows]:
        truth.add(lost, expected)
    board.end(Ending(truth.head, truth.states[truth.head] or {}, bound_s))
    return truth


def _nobody_writes(connection: psycopg.Connection[Any]) -> bool:
    """A writer that was killed may have left a statement that waits for a lock."""
    row = connection.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend' AND state <> 'idle' "
        "AND application_name NOT IN ('hotconfig reader', 'hotconfig listener')"
    ).fetchone()
    return row is None


def _stories(stage: Stage, board: Board, parts: Mapping[str, Part]) -> list[Story]:
    """What was written down, once all have come to their end; or have not, and that is a violation."""
    nursery = stage.nursery

    def ended() -> bool:
        nursery.reap()
        return not nursery.living and all(
            path.stem in parts or _contains(path, Settled) or _contains(path, Broke) for path in board.stories()
        )

    problems: dict[str, Broke] = {}
    try:
        eventually(ended, BOUND_S + _WITHIN_S)
    except AssertionError:
        problems = {name: Broke("did not end") for name in nursery.living}
    problems |= {name: Broke(f"exit code {code}") for name, code in nursery.codes.items() if code}
    return [
        Story(
            path.stem,
            [*read(path), *(problem for name, problem in problems.items() if name == path.stem)],
            killed=path.stem in nursery.killed,
            reads=path.stem not in parts or parts[path.stem].reads,
        )
        for path in board.stories()
    ]


def _kill_orphans(board: Board, parts: Mapping[str, Part]) -> None:
    """Forked children of participants, where something went wrong."""
    for path in board.stories():
        if path.stem not in parts and not _contains(path, Settled):
            for born in read(path):
                if isinstance(born, Born):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(born.pid, signal.SIGKILL)


def _has(board: Board, name: str, kind: type[Observation]) -> bool:
    return _contains(board.story_of(name), kind)


def _contains(path: Path, kind: type[Observation]) -> bool:
    return path.exists() and f'["{kind.__name__}"'.encode() in path.read_bytes()
