"""What becomes of a run of the benchmarks: files, reports, pictures, comparisons. Nothing is timed here."""

from __future__ import annotations

import json
import random
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.documents import as_html, as_markdown
from benchmarks.fits import Fit
from benchmarks.intervals import interval_of_median, interval_of_ratio, paired
from benchmarks.pictures import pictures
from benchmarks.results import BLOCKS, KEPT, Judged, Row, Run, Summary
from benchmarks.stored import FORM, as_json, load_run

POSITIVE = st.floats(min_value=1e-3, max_value=1e6)


def sample(median: float, *, n: int = 2000, seed: int = 0) -> list[float]:
    chance = random.Random(seed)
    return [median * chance.lognormvariate(0, 0.3) for _ in range(n)]


def run(slowness: float = 1.0, *, seed: int = 0) -> Run:
    floor, seen = Summary.of(sample(100, seed=seed)), Summary.of(sample(130 * slowness, seed=seed + 1))
    rows = [
        Row("publish", "seen", "µs", seen, "so.", floor, "a bare <loop>", bound=1.5),
        Row("set", "one key", "µs", Summary.of(sample(300, seed=seed + 2)), "so.", floor, "an INSERT", bound=1.6),
        Row("bind", "round trips", "count", Summary.of([2.0] * 10), "so.", judged=Judged.MAXIMUM, bound=2),
        *(
            Row(
                "scale", "all have it", "ms", Summary.of(sample(count)), "so.",
                judged=Judged.P999, bound=100, also={"bytes per change": 600.0 * count}, along="readers", at=count,
            )
            for count in (1, 10, 100)
        ),
    ]  # fmt: skip
    environment = {"python": "CPython 3.11.7", "servers": {"redis": "valkey 9"}}
    return Run(environment, rows, {"publish": 1.0}, absent={"etcd": "needs etcd-server"}, failed={"x": "OSError: no"})


def kept(made: Run, file: Path) -> str:
    file.write_text(as_json(made), encoding="utf-8")
    return str(file)


def test_a_run_survives_being_written_and_read(tmp_path: Path) -> None:
    made = run()
    kept(made, tmp_path / "a.json")
    assert load_run(tmp_path / "a.json") == made
    blocks = load_run(tmp_path / "a.json").rows[0].measured.blocks
    assert blocks == pytest.approx(made.rows[0].measured.blocks, rel=1e-5)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "no JSON", '{"form": "hotconfig-bench/0"}', '{"form": "hotconfig-bench/1"}']
)
def test_what_is_no_run_is_refused_by_its_name(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(text)
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 2
    assert "a.json" in capsys.readouterr().err


def test_a_file_names_its_form(tmp_path: Path) -> None:
    kept(run(), tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["form"] == FORM


@given(st.lists(POSITIVE, min_size=1, max_size=3 * KEPT))
def test_a_thinned_sample_keeps_its_ends_and_stays_small(numbers: list[float]) -> None:
    summary = Summary.of(numbers)
    assert len(summary.kept) == min(len(numbers), KEPT)
    assert list(summary.kept) == sorted(summary.kept)
    assert (summary.kept[0], summary.kept[-1]) == (min(numbers), max(numbers))
    assert len(summary.blocks) == min(len(numbers), BLOCKS)


def test_the_interval_of_a_median_holds_it_and_is_narrower_with_less_noise() -> None:
    calm = interval_of_median([10 + number % 3 / 10 for number in range(30)])
    wild = interval_of_median([10 + number % 3 * 2 for number in range(30)])
    assert calm is not None
    assert wild is not None
    assert calm[0] <= 10.1 <= calm[1]
    assert calm[1] - calm[0] < wild[1] - wild[0]


def test_a_few_stretches_say_nothing() -> None:
    assert interval_of_median([1.0] * 7) is None
    assert interval_of_ratio([1.0] * 30, [1.0] * 7) is None


def test_arms_that_were_not_cut_alike_are_not_paired() -> None:
    assert paired([2, 4], [1, 2]) == [2, 2]
    assert paired([2, 4], [1]) == []
    assert paired([2], [0]) == []


@pytest.mark.parametrize(("slowness", "verdict"), [(1.5, "slower"), (1 / 1.5, "faster"), (1.0, "no difference shown")])
def test_a_comparison_tells_faster_from_slower_from_neither(
    slowness: float, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [kept(run(), tmp_path / "a.json"), kept(run(slowness), tmp_path / "b.json")]
    assert main(["compare", *files, "--json"]) == 0
    verdicts = {row["label"]: row["verdict"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert verdicts["publish: seen"] == verdict
    assert verdicts["set: one key"] == "no difference shown"


def test_what_is_compared_is_how_many_times_its_own_floor_each_took(tmp_path: Path) -> None:
    """A machine that is twice as slow for both arms is no regression."""
    slow_floor, slow = Summary.of(sample(200)), Summary.of(sample(260, seed=1))
    then = Row("publish", "seen", "µs", Summary.of(sample(130, seed=1)), "so.", Summary.of(sample(100)))
    now = Row("publish", "seen", "µs", slow, "so.", slow_floor)
    files = [kept(Run({}, [row], {}), tmp_path / f"{number}.json") for number, row in enumerate((then, now))]
    assert main(["compare", *files, "--fail-above", "1.05"]) == 0


@pytest.mark.parametrize(("above", "code"), [("1.1", 1), ("3", 0)])
def test_only_what_is_surely_slower_than_allowed_fails(above: str, code: int, tmp_path: Path) -> None:
    files = [kept(run(), tmp_path / "a.json"), kept(run(2.0), tmp_path / "b.json")]
    assert main(["compare", *files, "--fail-above", above]) == code


def test_a_comparison_names_what_only_one_run_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = run()
    less = Run({**more.environment, "python": "CPython 3.13.0"}, more.rows[1:], {})
    assert main(["compare", kept(more, tmp_path / "a.json"), kept(less, tmp_path / "b.json")]) == 0
    told = capsys.readouterr().out
    assert "only in the first run: publish: seen" in told
    assert "python: CPython 3.11.7 → CPython 3.13.0" in told


def test_reports_keep_what_was_missed_and_what_was_not_measured() -> None:
    for report in (as_markdown(run(), "pictures"), as_html(run())):
        assert "set: one key" in report
        assert "NO" in report
        assert "was not measured: needs etcd-server" in report
        assert "failed: OSError: no" in report


def test_the_html_report_loads_nothing_and_takes_no_name_for_markup() -> None:
    report = as_html(run())
    assert "<loop>" not in report
    assert " src=" not in report
    assert "http://" not in report.replace("http://www.w3.org/2000/svg", "")


def test_there_is_a_well_formed_picture_for_bounds_distributions_and_growth() -> None:
    drawn = pictures(run())
    for svg in drawn.values():
        ET.fromstring(svg)  # noqa: S314 - our own
    assert "bounds.svg" in drawn
    assert "publish-seen-us.svg" in drawn
    assert {name for name in drawn if name.startswith("scale")} == {
        "scale-all-have-it-along-readers-ms.svg",
        "scale-bytes-per-change-along-readers.svg",
    }


def test_a_report_of_an_unknown_kind_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "--report", "out.pdf"]) == 2
    assert "out.pdf" in capsys.readouterr().err


@given(st.floats(0, 100), st.floats(0, 10))
def test_a_line_through_points_of_a_line_foretells_the_largest(base: float, slope: float) -> None:
    fit = Fit.through({x: base + slope * x for x in (1.0, 10.0, 100.0, 1000.0)})
    assert fit.at(10_000) == pytest.approx(base + slope * 10_000, rel=1e-6, abs=1e-6)
    assert fit.foretold == pytest.approx(fit.found, rel=1e-6, abs=1e-6)


def test_a_line_needs_a_point_to_be_checked_by() -> None:
    with pytest.raises(ValueError, match="three points"):
        Fit.through({1.0: 1.0, 2.0: 2.0})
