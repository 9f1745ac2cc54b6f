"""The instruments, made once per process however many clients there are, and read when metrics are collected.

Made through the API's proxies, they also serve a provider that the application installs later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

from hotconfig.telemetry.census import census
from hotconfig.telemetry.conventions import METRICS, PROPAGATION, PROPAGATION_BUCKETS_S, SCOPE, Kind, Metric

Callback = Callable[[CallbackOptions], Iterable[Observation]]


@cache
def scope_version() -> str:
    """The version of hotconfig that is installed; empty where it is not."""
    try:
        return version(SCOPE)
    except PackageNotFoundError:
        return ""


@cache
def propagation() -> Histogram:
    """Make all instruments, if they are not made yet, and return the only one that is written to.

    Two threads that start their first client at once may both make them; the SDK then keeps one of each name.
    """
    meter = metrics.get_meter(SCOPE, scope_version())
    for metric in METRICS:
        if metric.kind is Kind.GAUGE:
            meter.create_observable_gauge(metric.name, [_gauge(metric)], metric.unit, metric.description)
        elif metric.kind is Kind.COUNTER:
            meter.create_observable_counter(metric.name, [_counter(metric)], metric.unit, metric.description)
    return meter.create_histogram(
        PROPAGATION.name,
        PROPAGATION.unit,
        PROPAGATION.description,
        explicit_bucket_boundaries_advisory=PROPAGATION_BUCKETS_S,
    )


def _gauge(metric: Metric) -> Callback:
    return lambda _: [
        Observation(number, _attributes(metric, value))
        for (of, value), number in census().gauges().items()
        if of is metric
    ]


def _counter(metric: Metric) -> Callback:
    return lambda _: [
        Observation(number, _attributes(metric, value))
        for (of, value), number in census().counts().items()
        if of is metric
    ]


def _attributes(metric: Metric, value: str | None) -> dict[str, str]:
    return {} if metric.attribute is None or value is None else {metric.attribute: value}
