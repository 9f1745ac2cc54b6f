"""The parts of the benchmarks beside other ways and libraries that can be told without measuring."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.comparing import compare
from benchmarks.documents import as_html, as_markdown
from benchmarks.peers import __main__ as peer_process
from benchmarks.peers.asking import PYTHON, asking
from benchmarks.peers.using import DATABASE, PEERS, REDIS, Peer, Servers
from benchmarks.report import as_cells
from benchmarks.results import Run, UnavailableError
from benchmarks.stored import as_json, load_run
from benchmarks.ways.arms import Trial, Way
from benchmarks.ways.clocks import cpu_s
from benchmarks.ways.mount import Mount
from benchmarks.ways.skipping import skipped
from benchmarks.wrk import Served, parse

SERVERS = Servers("redis://127.0.0.1:1/0", "postgresql://127.0.0.1:1/x")
TOLD = """Running 1s test @ http://127.0.0.1:8000/
  1 threads and 8 connections
  3512 requests in 1.00s, 533.83KB read
{more}Requests/sec:   3509.61
Transfer/sec:    533.47KB
"""


def test_a_mounted_file_shows_the_new_value_by_one_swap_of_a_link(tmp_path: Path) -> None:
    mount = Mount(tmp_path, "threshold", "0.75")
    shown = tmp_path / "threshold"
    assert shown.read_text(encoding="utf-8") == "0.75"
    first = (tmp_path / "..data").resolve()
    mount.swap("0.9")
    assert shown.read_text(encoding="utf-8") == "0.9"
    assert not first.exists(), "the kubelet removes what the link pointed to"
    assert shown.is_symlink()
    assert sorted(entry.name for entry in tmp_path.iterdir() if not entry.is_symlink()) == [
        (tmp_path / "..data").resolve().name
    ]


@pytest.mark.parametrize(
    ("more", "failed"),
    [
        ("", 0),
        ("  Non-2xx or 3xx responses: 7\n", 7),
        ("  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n", 15),
    ],
)
def test_every_request_that_wrk_saw_fail_is_counted(more: str, failed: int) -> None:
    assert parse(TOLD.format(more=more)) == Served(3509.61, failed)


def test_a_report_of_wrk_without_a_rate_is_no_report() -> None:
    with pytest.raises(ValueError, match="no rate"):
        parse("unable to connect")


def test_the_cpu_time_of_a_process_is_what_the_process_says_itself() -> None:
    while (own_s := time.process_time()) < 0.05:
        pass
    assert own_s <= cpu_s(os.getpid()) <= time.process_time() + 0.02


def test_what_is_missing_stays_a_row_in_every_report_and_is_no_missed_bound(tmp_path: Path) -> None:
    row = skipped("ways", "etcd watch", "no etcd on PATH: apt-get install etcd-server")
    assert (row.held, row.measured.n) == (None, 0)
    assert as_cells(row)[0].startswith("ways: etcd watch: not measured")
    file = tmp_path / "a.json"
    file.write_text(as_json(Run({}, [row], {})), encoding="utf-8")
    made = load_run(file)
    assert made.rows == [row]
    assert "apt-get install etcd-server" in as_html(made)
    assert "apt-get install etcd-server" in as_markdown(made, "plots")
    assert [compared.interval for compared in compare(made, made)] == [None]


class ToldAt:
    """A reader that shows every value so many nanoseconds from now."""

    pid = 0

    def __init__(self, after_ns: int) -> None:
        self._after_ns = after_ns
        self.value = 0

    def seen(self, _within_s: float) -> tuple[int, float]:
        return time.monotonic_ns() + self._after_ns, self.value


@pytest.mark.parametrize(("after_ns", "early"), [(-1_000_000_000, 3), (1_000_000_000, 0)])
def test_a_change_that_is_seen_before_the_writer_had_its_answer_is_never_negative(after_ns: int, early: int) -> None:
    reader = ToldAt(after_ns)

    def write(text: str) -> int:
        reader.value = int(text)
        return time.monotonic_ns()

    trial = Trial(Way("told", "so.", print, (), write, pause_s=(0, 0)), reader)  # type: ignore[arg-type]
    delays = trial(3)
    assert all(delay > 0 for delay in delays)
    assert (trial.early, len(trial.called_ms)) == (early, 3)


def test_a_library_is_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    with asking("a plain attribute", SERVERS) as asked:
        assert asked.version == ""
        assert all(found > 0 for found in [*asked("read", 2), *asked("reload", 2)])


def peer(statement: str) -> Peer:
    return Peer("absent", "some-peer[redis]", statement, PEERS["a plain attribute"].use, "never")


def serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made: Peer, asked: str) -> list[object]:
    monkeypatch.setattr(peer_process, "PEERS", {"absent": made})
    monkeypatch.setenv(REDIS, SERVERS.redis_url)
    monkeypatch.setenv(DATABASE, SERVERS.database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO(asked))
    monkeypatch.setattr("sys.stdout", __import__("sys").stdout)  # put back what the process turns away
    peer_process.main("absent")
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_library_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (answer,) = serve(monkeypatch, capsys, peer("import no_such_peer"), "")
    assert answer == {"absent": "not installed: pip install 'some-peer[redis]' (no_such_peer is missing)"}


def test_a_library_whose_process_ends_is_unavailable_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON, "/bin/false")
    with pytest.raises(UnavailableError, match="ended by itself"), asking("hotconfig", SERVERS):
        pytest.fail("it answered")


@pytest.mark.parametrize("name", ["a plain attribute", "hotconfig", "pydantic-settings"])
def test_a_library_reads_the_new_value_after_its_reload(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRESHOLD", "0.75")  # put back what pydantic-settings is given
    use = PEERS[name].use(SERVERS)
    read: Callable[[], object] = lambda: eval(use.read, {"given": use.given})  # noqa: E731, S307
    for number in (1, 2):
        use.bring(number)
        use.reload(number)
        assert read() == float(number)
