"""docs/telemetry.md, the dashboard and the alerts speak of the metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hotconfig.runtime import records
from hotconfig.telemetry import conventions
from hotconfig.telemetry.conventions import METRICS, Kind, Metric

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = (DOCS / "telemetry.md").read_text(encoding="utf-8")
DASHBOARD: Final = json.loads((DOCS / "telemetry" / "dashboard.json").read_text(encoding="utf-8"))
ALERTS: Final = yaml.safe_load((DOCS / "telemetry" / "alerts.yml").read_text(encoding="utf-8"))
LABELS: Final = {"hotconfig.service", "hotconfig.stage", "hotconfig.state"}
SELECTOR: Final = re.compile(r"\{([^{}]*)\}")
NAME: Final = re.compile(r"\bhotconfig[._][a-z_.]+")


def in_prometheus(metric: Metric) -> set[str]:
    """The names of a metric's series: dots to underscores, the unit, ``_total`` for counters."""
    name = metric.name.replace(".", "_") + ("_seconds" if metric.unit == "s" else "")
    if metric.kind is Kind.COUNTER:
        return {f"{name}_total"}
    return {f"{name}_{part}" for part in ("bucket", "sum", "count")} if metric.kind is Kind.HISTOGRAM else {name}


SERIES: Final = {name: metric for metric in METRICS for name in in_prometheus(metric)}


def rules() -> Iterator[dict[str, Any]]:
    for group in ALERTS["groups"]:
        yield from group["rules"]


def dashboard_expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])


EXPRESSIONS: Final = [*(rule["expr"] for rule in rules()), *dashboard_expressions()]


def grouped_by(expression: str) -> set[str]:
    return {name.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for name in group.split(",")}


def test_the_page_lists_every_metric_as_it_is() -> None:
    row = re.compile(
        r"^\| `(hotconfig[a-z._]+)` \| (gauge|counter|histogram) \| `([^`]+)` \| (?:`([a-z._]+)`)? ?\|", re.MULTILINE
    )
    assert {match.groups() for match in row.finditer(PAGE)} == {
        (metric.name, metric.kind.value, metric.unit, metric.attribute) for metric in METRICS
    }


def test_the_page_names_every_span_attribute_and_log_field() -> None:
    names = {value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str)}
    fields = {value for name, value in vars(records).items() if name.isupper() and isinstance(value, str)}
    assert len(names) > 8
    assert len(fields) == 5
    assert [name for name in names | fields if name != conventions.SCOPE and f"`{name}`" not in PAGE] == []


def test_metrics_have_distinct_names_and_bounded_attributes() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) == 20
    assert len(SERIES) == len(METRICS) + 2
    assert {metric.attribute for metric in METRICS} - {None} == LABELS


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_there_are(expression: str) -> None:
    bare = re.sub(r"\bby \([^)]*\)", "", SELECTOR.sub("", expression))
    named = set(NAME.findall(bare))
    assert named
    assert named <= SERIES.keys()
    labels = {label.replace(".", "_") for label in LABELS} | {"instance", "le"}
    used = {label for selector in SELECTOR.findall(expression) for label in re.findall(r"(\w+)\s*(?:=~|=)", selector)}
    assert used | grouped_by(expression) <= labels


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_counter_is_never_read_raw_and_a_gauge_never_as_a_rate(expression: str) -> None:
    bare = SELECTOR.sub("", expression)
    for name, metric in SERIES.items():
        if re.search(rf"\b{name}\b", re.sub(r"\bby \([^)]*\)", "", bare)):
            rated = re.search(rf"\b(?:rate|increase) ?\({name}\[", bare) is not None
            assert rated is (metric.kind is not Kind.GAUGE), name


def test_alerts_are_complete_and_tell_where() -> None:
    made = list(rules())
    assert len({rule["alert"] for rule in made}) == len(made) >= 12
    for rule in made:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert "{{ $labels." in rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+m", rule.get("for", "1m"))


def test_every_metric_is_seen_somewhere() -> None:
    everything = " ".join(EXPRESSIONS)
    assert [metric.name for metric in METRICS if not any(name in everything for name in in_prometheus(metric))] == []


def test_the_states_and_stages_that_are_asked_for_exist() -> None:
    from hotconfig.core.outcomes import Stage
    from hotconfig.core.status import State

    everything = " ".join(EXPRESSIONS)
    assert set(re.findall(r'hotconfig_state="(\w+)"', everything)) <= {state.value for state in State}
    assert set(re.findall(r'hotconfig_stage="(\w+)"', everything)) <= {stage.value for stage in Stage}
