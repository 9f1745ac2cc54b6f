"""The benchmark suite's arithmetic and tables. Nothing is timed here."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import benchmarks
from benchmarks.__main__ import main
from benchmarks.figures import FIGURES, Figure, commit_figure, load
from benchmarks.places import Place
from benchmarks.report import HEADINGS, as_cells, as_text, number
from benchmarks.results import Judged, Row, Run, Summary, UnavailableError, missed, percentile
from benchmarks.stored import as_json
from benchmarks.turns import in_blocks, in_turns
from hotconfig.cli import benchmarking

SAMPLES = st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=300)


def row(measured: list[float], floor: list[float] | None = None, **given: object) -> Row:
    return Row(
        figure="set",
        name="one key",
        unit="µs",
        measured=Summary.of(measured),
        how="so.",
        floor=None if floor is None else Summary.of(floor),
        **given,  # type: ignore[arg-type]
    )


@given(SAMPLES, st.floats(min_value=0.001, max_value=1))
def test_a_percentile_is_the_least_measured_number_that_covers_its_share(sample: list[float], share: float) -> None:
    found = percentile(sorted(sample), share)
    assert found in sample
    assert sum(value <= found for value in sample) >= share * len(sample)
    assert sum(value < found for value in sample) < share * len(sample)


def test_percentiles_of_a_thousand_numbers_are_their_ranks() -> None:
    summary = Summary.of(range(1000, 0, -1))
    assert summary == Summary(n=1000, minimum=1, p50=500, p99=990, p999=999, maximum=1000)


def test_the_tail_of_a_small_sample_is_its_maximum() -> None:
    assert Summary.of([3.0, 9.0, 1.0]).p999 == 9.0


def test_an_empty_sample_is_an_error_and_no_zero() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Summary.of([])


@pytest.mark.parametrize(("bound", "held"), [(2.0, True), (1.99, False), (None, None)])
def test_a_ratio_compares_medians_and_may_touch_its_bound(bound: float | None, held: bool | None) -> None:
    made = row([1, 4, 900], [1, 2, 3], bound=bound)
    assert (made.ratio, made.value, made.held) == (2.0, 2.0, held)


def test_a_bound_to_stay_below_must_not_be_touched() -> None:
    assert row([100.0], judged=Judged.P999, bound=100, below=True).held is False
    assert row([99.9], judged=Judged.P999, bound=100, below=True).held is True


def test_a_maximum_is_judged_by_the_worst_case() -> None:
    assert row([1, 1, 3], judged=Judged.MAXIMUM, bound=2).held is False


def test_rows_without_a_bound_are_never_missed() -> None:
    late = row([5.0], [1.0], bound=2)
    assert missed([row([5.0], [1.0]), late, row([1.0], [1.0], bound=2)]) == [late]


def test_arms_take_turns_and_the_warm_up_is_not_kept() -> None:
    numbers = itertools.count()
    samples = in_turns({"a": lambda: next(numbers), "b": lambda: next(numbers)}, 50, warm_up=3)
    rounds = list(zip(samples["a"], samples["b"], strict=True))
    assert [sorted(pair) for pair in rounds] == [[6 + 2 * turn, 7 + 2 * turn] for turn in range(50)]
    assert len({a < b for a, b in rounds}) == 2, "the order within a round changes"


def test_blocks_take_turns_too() -> None:
    numbers = itertools.count()

    def arm(size: int) -> list[float]:
        return [next(numbers)] * size

    samples = in_blocks({"a": arm, "b": arm}, 4, blocks=2, warm_up=1)
    assert sorted(samples["a"] + samples["b"]) == [n for n in (2, 3, 4, 5) for _ in range(4)]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_a_commit_counts_as_seen_when_a_value_at_least_as_new_is_shown(steps: list[int]) -> None:
    shown = list(itertools.accumulate(steps))
    seen = [(value * 1_000_000, float(value)) for value in shown]
    delays = commit_figure.delays_ms([0] * shown[-1], seen)
    assert delays == [next(value for value in shown if value >= number) for number in range(1, shown[-1] + 1)]


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.123, "0.12"), (12.34, "12.3"), (1234.5, "1234")])
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_shows_every_cell_below_its_heading() -> None:
    rows = [row([4.0], [2.0], bound=1.6), row([1.0])]
    assert as_cells(rows[0])[-3:] == ("2.00", "≤ 1.6 ratio", "NO")
    assert as_cells(rows[1])[-4:] == ("", "", "", "")
    first, *others = as_text(rows).splitlines()
    assert first.split() == " ".join(HEADINGS).split()
    assert len(others) == 2
    assert {len(line) for line in (first, *others)} == {len(first)}


def test_json_tells_what_was_judged_and_where() -> None:
    made = row([4.0, 4.0], [2.0], bound=1.6)
    told = json.loads(as_json(Run(environment={"python": "CPython 3.11.7"}, rows=[made], took_s={})))
    (only,) = told["rows"]
    assert told["environment"] == {"python": "CPython 3.11.7"}
    assert (only["ratio"], only["value"], only["held"]) == (2.0, 2.0, False)
    assert only["judged"] == "ratio"
    assert (only["measured"]["n"], only["floor"]["p50"]) == (2, 2.0)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_that_is_named_can_be_loaded(name: str) -> None:
    assert callable(load(name))


def test_an_unknown_figure_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["raed"]) == 2
    assert "there is no figure 'raed'; did you mean 'read'?" in capsys.readouterr().err


@pytest.mark.parametrize(("gate", "status"), [([], 0), (["--gate"], 1)])
def test_only_the_gate_makes_a_missed_bound_a_failure(
    gate: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.running.load", lambda _: lambda _: [row([math.inf], [1.0], bound=1)])
    assert main(["read", *gate]) == status
    assert "missed: set: one key" in capsys.readouterr().out


def test_the_figures_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FIGURES)


def test_a_figure_that_cannot_be_measured_or_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(name: str) -> Figure:
        def measure(_: Place) -> list[Row]:
            if name == "read":
                raise UnavailableError("needs a quiet machine")
            if name == "set":
                raise OSError("no such luck")
            return [row([1.0])]

        return measure

    monkeypatch.setattr("benchmarks.running.load", load)
    assert main(["read", "set", "commit"]) == 1
    told = capsys.readouterr().out
    assert "not measured: read: needs a quiet machine" in told
    assert "failed: set: OSError: no such luck" in told
    assert "set: one key [µs]" in told


def test_the_suite_is_found_in_an_installed_wheel_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {Path(benchmarks.__file__).parents[1], Path(benchmarking.__file__).parents[1] / "_suite"}
    assert benchmarking.suite_home() in here, "the checkout, or what the wheel carries where that is installed"
    (tmp_path / "_suite" / "benchmarks" / "figures").mkdir(parents=True)
    monkeypatch.setattr(benchmarking, "_HOMES", (tmp_path / "_suite", tmp_path))
    assert benchmarking.suite_home() == tmp_path / "_suite"


def test_an_installation_without_the_suite_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarking, "_HOMES", (tmp_path,))
    assert main(["--list"]) == 3
    assert "came without its benchmarks" in capsys.readouterr().err


def test_one_url_alone_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "--redis-url", "redis://127.0.0.1:1/0"]) == 2
    assert "--database-url" in capsys.readouterr().err


def test_a_figure_that_lacks_a_library_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(_: str) -> Figure:
        raise ModuleNotFoundError("No module named 'etcd'", name="etcd")

    monkeypatch.setattr("benchmarks.running.load", load)
    assert main(["read"]) == 0
    assert "not measured: read: No module named 'etcd'" in capsys.readouterr().out


def test_ctrl_c_ends_the_run_and_keeps_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(name: str) -> Figure:
        def measure(_: Place) -> list[Row]:
            if name == "set":
                raise KeyboardInterrupt
            return [row([1.0])]

        return measure

    monkeypatch.setattr("benchmarks.running.load", load)
    assert main(["read", "set", "commit", "--json", str(tmp_path / "a.json")]) == 1
    assert "failed: set: stopped by Ctrl-C" in capsys.readouterr().out
    kept = json.loads((tmp_path / "a.json").read_text())
    assert len(kept["rows"]) == 1
    assert list(kept["took_s"]) == ["read", "set"]
