"""``hotconfig demo``: the real thing, in a process of its own, as somebody who tries it would run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import psycopg
import pytest
import redis

from hotconfig import HotConfig
from hotconfig.core.errors import EmbeddedServerError, UsageError
from hotconfig.demo import run_demo
from hotconfig.demo.places import Place, open_place
from hotconfig.demo.processes import Subscribers
from hotconfig.demo.rounds import Measured, Result, Round
from hotconfig.demo.services import STEPS
from hotconfig.demo.views import by_hand, started_as
from tests.support.waiting import eventually

# A shell without job control starts programs in the background with SIGINT ignored; so might whoever runs the tests.
RUN = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from hotconfig.demo import run_demo
sys.exit(run_demo(**json.loads(sys.argv[1])))
"""

CHANGES = [
    ("ai", "threshold", "0.75", "0.90"),
    ("ai", "model", "gpt-4", "gpt-4o"),
    ("email", "max_retries", "3", "5"),
    ("email", "timeout_seconds", "30", "60"),
    ("webhook", "url", "https://old.example", "https://new.example"),
    ("api", "rate_limit", None, "1000"),
    ("logging", "level", "INFO", "DEBUG"),
    ("features", "dark_mode", "false", "true"),
]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    process: subprocess.Popen[str]
    stdout: IO[str]
    stderr: IO[str]

    def family(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def subscribers(self) -> list[psutil.Process]:
        return [member for member in self.family() if "hotconfig.demo.subscriber" in member.cmdline()]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextmanager
def running(base: Path, **options: object) -> Iterator[Demo]:
    arguments = {"once": False, "as_json": False, "database_url": None, "redis_url": None, **options}
    with subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(base)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield Demo(process, process.stdout, process.stderr)
        finally:
            process.kill()


@pytest.fixture
def base() -> Generator[Path]:
    """A temporary directory that the account of an embedded PostgreSQL can pass through."""
    directory = Path(tempfile.mkdtemp(prefix="hotconfig-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


def read_until(stream: IO[str], wanted: str) -> str:
    for line in stream:
        if wanted in line:
            return line
    raise AssertionError(f"the output ended without {wanted!r}")


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def nothing_left(family: list[psutil.Process], base: Path) -> bool:
    return not any(map(runs, family)) and not list(base.rglob("run-*"))


def test_one_round_as_json_shows_the_eight_changes_in_order_and_its_status_says_what_the_figures_say(
    base: Path,
) -> None:
    with running(base, once=True, as_json=True) as demo:
        stdout, stderr = demo.process.communicate(timeout=90)

    told = json.loads(stdout)
    assert told.keys() == {"changes", "max_visible_ms", "processes"}
    assert [(c["service"], c["key"], c["old"], c["new"]) for c in told["changes"]] == CHANGES
    assert all(c.keys() == {"service", "key", "old", "new", "write_ms", "visible_ms"} for c in told["changes"])
    assert told["processes"] == 2
    assert all(c["write_ms"] > 0 and c["visible_ms"] is not None and c["visible_ms"] > 0 for c in told["changes"])
    assert told["max_visible_ms"] == max(c["visible_ms"] for c in told["changes"])
    slow = any(max(c["write_ms"], c["visible_ms"]) >= 100 for c in told["changes"])
    assert demo.process.returncode == (1 if slow else 0)
    assert "PostgreSQL 18 ready on port" in stderr
    assert "A at DEBUG, B at DEBUG" in stderr
    assert not list(base.rglob("run-*"))


def test_ctrl_c_after_the_round_leaves_no_process_and_no_directory(base: Path) -> None:
    with running(base) as demo:
        verdict = read_until(demo.stdout, "Slowest")
        read_until(demo.stdout, "redis-cli")
        family = demo.family()
        assert len(demo.subscribers()) == 2
        assert len(family) >= 6  # besides, two servers with a guard each
        assert len(list(base.rglob("run-*"))) == 2

        assert demo.interrupt() == (0 if "every change was visible" in verdict else 1)
        eventually(lambda: nothing_left(family, base), 10)


@pytest.mark.parametrize("moment", ["preparing PostgreSQL", "starting 2 subscriber processes"])
def test_ctrl_c_before_the_round_is_over_has_its_own_status_and_leaves_nothing(base: Path, moment: str) -> None:
    with running(base) as demo:
        read_until(demo.stderr, moment)
        family = demo.family()

        assert demo.interrupt() == 130
        assert "Traceback" not in demo.stderr.read()
        eventually(lambda: nothing_left(family, base), 10)


def test_a_demo_that_is_killed_takes_everything_with_it(base: Path) -> None:
    with running(base) as demo:
        read_until(demo.stdout, "redis-cli")
        family = demo.family()
        demo.process.kill()
        demo.process.wait()
        eventually(lambda: nothing_left(family, base), 20)


def test_servers_that_are_given_are_used_in_a_schema_of_its_own_and_hand_made_changes_are_shown(
    base: Path, database_url: str, redis_url: str
) -> None:
    with running(base, database_url=database_url, redis_url=redis_url) as demo:
        read_until(demo.stderr, "tables go into the schema 'hotconfig_demo'")
        read_until(demo.stdout, "redis-cli")
        commands = " ".join(part for member in demo.family() for part in member.cmdline())
        with psycopg.connect(database_url, autocommit=True) as database, redis.Redis.from_url(redis_url) as client:
            schemas = database.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^hotconfig'").fetchall()
            database.execute("UPDATE hotconfig_demo.service_configs SET value = '0.6' WHERE key = 'threshold'")
            client.publish("config:ai:threshold", "0.6")
        seen = {read_until(demo.stdout, "sees ai.threshold: 0.9 → 0.6").split()[1] for _ in range(2)}
        with psycopg.connect(database_url, autocommit=True) as database, redis.Redis.from_url(redis_url) as client:
            database.execute("UPDATE hotconfig_demo.service_configs SET value = 'false' WHERE key = 'dark_mode'")
            client.publish("config:features:dark_mode", "false")
        read_until(demo.stdout, "sees features.dark_mode: true → false")  # as texts, not as Python writes them

        assert seen == {"A", "B"}
        assert schemas == [("hotconfig_demo",)]
        assert redis_url not in commands  # anybody may read a command line
        assert database_url not in commands
        assert not list(base.rglob("run-*"))
        assert demo.interrupt() in (0, 1)


@pytest.mark.parametrize(
    ("given", "missing"), [("database_url", "--redis-url"), ("redis_url", "--database-url")], ids=str
)
def test_one_url_alone_is_refused_and_the_message_names_the_other(given: str, missing: str) -> None:
    urls: dict[str, str | None] = {"database_url": None, "redis_url": None, given: "x://secret"}
    with pytest.raises(UsageError, match=f"without {missing}") as refused:
        run_demo(once=True, as_json=True, **urls)
    assert "secret" not in str(refused.value)


def test_without_an_embedded_server_it_says_what_else_can_be_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_servers(**_options: object) -> None:
        raise EmbeddedServerError("there is none for this platform")

    monkeypatch.setattr("hotconfig.embedded.servers", no_servers)

    assert run_demo(once=True, as_json=True, database_url=None, redis_url=None) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is none for this platform" in captured.err
    assert "--database-url" in captured.err


def test_a_process_that_has_died_counts_as_one_that_sees_nothing(database_url: str, redis_url: str) -> None:
    with (
        open_place(database_url, redis_url, on_progress=lambda _line: None) as place,
        closing(Subscribers(place.environment)) as subscribers,
        HotConfig(place.database_url, place.redis_url, schema=place.schema) as client,
    ):
        subscribers.wait_ready()
        steps = Round(client, subscribers)
        steps.prepare()
        subscribers._processes["B"].kill()
        subscribers._processes["B"].wait()
        change = next(iter(steps.measure()))

    assert change.seen_ms["A"] is not None
    assert change.seen_ms["B"] is None
    assert change.visible_ms is None


def measured(write_ms: float, **seen_ms: float | None) -> Measured:
    return Measured(STEPS[0], write_ms, seen_ms)


def test_a_change_is_visible_when_the_last_process_sees_it() -> None:
    assert measured(3.0, A=7.0, B=5.0).visible_ms == 7.0
    assert Result((measured(3.0, A=4.0, B=5.0), measured(3.0, A=9.0, B=1.0))).max_visible_ms == 9.0


@pytest.mark.parametrize(
    ("change", "good"),
    [
        (measured(3.0, A=4.0, B=99.9), True),
        (measured(3.0, A=4.0, B=100.0), False),
        (measured(100.0, A=4.0, B=5.0), False),
        (measured(3.0, A=None, B=5.0), False),
    ],
    ids=["just in time", "seen late", "written late", "not seen"],
)
def test_a_round_is_good_when_every_figure_is_below_100_ms(change: Measured, good: bool) -> None:
    assert Result((measured(1.0, A=1.0, B=1.0), change)).good is good


def test_what_was_not_seen_is_null_and_so_is_the_slowest() -> None:
    told = Result((measured(3.0, A=4.0, B=5.0), measured(3.0, A=4.0, B=None))).as_json()
    assert [change["visible_ms"] for change in told["changes"]] == [5.0, None]
    assert told["max_visible_ms"] is None


def test_urls_that_were_given_are_not_repeated_on_the_screen() -> None:
    place = Place("postgresql://me:secret@there/db", "redis://:secret@there", "hotconfig_demo", own=False)
    said = "\n".join(by_hand(place))
    assert "secret" not in said + repr(place)
    assert "HOTCONFIG_SCHEMA=hotconfig_demo" in said


def test_the_hint_names_the_command_as_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "bin dir" / "hotconfig"
    command.parent.mkdir()
    command.touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    assert started_as(str(command)) == f"'{command}'"
    assert started_as("/x/hotconfig/__main__.py") == f"{sys.executable} -m hotconfig"
    assert started_as("-c") == "hotconfig"
    monkeypatch.setenv("PATH", str(command.parent))
    assert started_as(str(command)) == "hotconfig"
    place = Place("postgresql://there/db", "redis://there", "hotconfig", own=True)
    assert "  .venv/bin/hotconfig set ai threshold 0.80 --by you" in by_hand(place, ".venv/bin/hotconfig")
