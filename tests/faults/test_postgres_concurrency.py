"""Many processes write to one service at once: no gap, no fork, no revision given twice, conflicts typed."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

import hotconfig
from hotconfig import HotConfig, Timing
from hotconfig.embedded import EmbeddedPostgres
from hotconfig.postgres.migrate import migrate
from tests.integration.settings import BY, AISettings
from tests.support.desks import Desk
from tests.support.pgbouncer import pooled
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
logger = logging.getLogger(__name__)


@pytest.fixture
def desk(migrated_url: str) -> Generator[Desk]:
    made = Desk(migrated_url)
    yield made
    made.close()


def hammer(desk: Desk, redis_url: str | None, *, processes: int, writes: int, url: str | None = None) -> int:
    """Let so many processes make so many commits each; check the outcome; return how many conflicts there were."""
    urls = [url or desk.url, *([redis_url] if redis_url else [])]
    program = [sys.executable, "-m", "tests.faults.postgres_writer"]
    with ExitStack() as stack:
        reader = stack.enter_context(HotConfig(desk.url, redis_url, timing=Timing(reconcile_s=2)))
        ai = reader.bind(AISettings)
        seen: list[int] = []
        reader.on_change(ai, lambda change: seen.append(change.revision))
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [*program, f"{number}", f"{writes}", *urls],
                    cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for number in range(processes)
        ]  # fmt: skip
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        begun_s = time.monotonic()
        said = []
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            assert process.stdout is not None
            said.append(json.loads(process.stdout.readline()))
        took_s = time.monotonic() - begun_s
        conflicts = sum(int(each["conflicts"]) for each in said)
        logger.info("%d commits in %.1f s, %d conflicts", processes * writes, took_s, conflicts)
        given = sorted(revision for each in said for revision in each["revisions"])
        assert given == list(range(1, processes * writes + 1))
        assert desk.revision() == processes * writes
        assert desk.broken() is None
        head = desk.archive.head("ai")
        eventually(lambda: reader.status().services["ai"].digest == head.digest.hex(), 60)
        assert ai.model == desk.archive.texts("ai")["model"]
        assert seen == sorted(set(seen))
        assert reader.status().counters["rewinds"] == 0
    return conflicts


def test_processes_that_write_at_once_leave_no_gap_and_no_fork(desk: Desk, redis_url: str) -> None:
    assert hammer(desk, redis_url, processes=4, writes=50) > 0


def test_nor_do_they_through_pgbouncer(desk: Desk) -> None:
    with pooled(desk.url) as url:
        hammer(desk, None, processes=3, writes=30, url=url)


def test_an_expected_revision_that_is_past_is_a_conflict_that_names_both(desk: Desk) -> None:
    with HotConfig(desk.url) as client:
        client.bind(AISettings)
        client.store.set(AISettings, threshold=0.8, by=BY)
        client.store.set(AISettings, threshold=0.9, by=BY)
        with pytest.raises(hotconfig.ConflictError, match=r"'?\"?ai.*expected revision 1, the head (is|was) 2"):
            client.store.set(AISettings, threshold=0.1, by=BY, expect=1)
        assert client.store.set(AISettings, threshold=0.1, by=BY, expect=2).revision == 3


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_sixteen_processes_make_eight_thousand_commits(own_postgres: EmbeddedPostgres, redis_url: str) -> None:
    migrate(own_postgres.url)
    desk = Desk(own_postgres.url)
    try:
        assert hammer(desk, redis_url, processes=16, writes=500) > 0
    finally:
        desk.close()
