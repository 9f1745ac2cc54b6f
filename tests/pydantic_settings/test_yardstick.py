"""The comparison behind the session ``pydantic_settings``."""

from __future__ import annotations

from pathlib import Path

from tests.pydantic_settings.yardstick import Results, harmed, read_report

REPORT = """\
<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="no"/></testcase>
<testcase classname="a" name="broken"><error message="no"/></testcase>
<testcase classname="a" name="left_out"><skipped message="no"/></testcase>
</testsuite></testsuites>
"""


def test_a_report_is_read_test_by_test(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    found = read_report(path)
    assert found.outcomes == {
        "a::good": "passed",
        "a::bad": "failed",
        "a::broken": "error",
        "a::left_out": "skipped",
    }
    assert str(found) == "1 passed, 1 failed, 1 error, 1 skipped"


def test_whatever_passes_in_the_plain_run_alone_was_harmed() -> None:
    plain = Results({"same": "passed", "worse": "passed", "gone": "passed", "hidden": "passed", "bad": "failed"})
    marked = Results({"same": "passed", "worse": "failed", "hidden": "skipped", "bad": "failed", "new": "failed"})
    assert harmed(plain, marked) == ["gone", "hidden", "worse"]
