"""An OpenTelemetry SDK for one test: its providers are the process's as long as the test runs, and never longer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from hotconfig.telemetry import census, instruments, observer

Point = NumberDataPoint | HistogramDataPoint


@contextmanager
def no_sdk() -> Generator[None]:
    """Within, and again afterwards, no provider was ever installed. The API lets one be installed only once."""
    _forget()
    try:
        yield
    finally:
        _forget()


def _forget() -> None:
    globals_of_traces: Any = trace
    globals_of_traces._TRACER_PROVIDER_SET_ONCE = Once()
    globals_of_traces._TRACER_PROVIDER = None
    globals_of_metrics: Any = metrics_api
    globals_of_metrics._METER_PROVIDER_SET_ONCE = Once()
    globals_of_metrics._METER_PROVIDER = None
    globals_of_metrics._PROXY_METER_PROVIDER = metrics_api._ProxyMeterProvider()
    instruments.propagation.cache_clear()
    census._censuses.clear()
    observer._raised.clear()


class Sdk:
    """Keeps spans and metrics in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._tracers = TracerProvider(shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def install(self) -> None:
        """Make it the process's."""
        trace.set_tracer_provider(self._tracers)
        metrics_api.set_meter_provider(MeterProvider([self._reader], shutdown_on_exit=False))

    def spans(self, name: str) -> list[ReadableSpan]:
        """Spans that have ended."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def points(self) -> Iterator[tuple[str, Point]]:
        """Everything that metrics show now, by the metric's name."""
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    yield from ((metric.name, point) for point in metric.data.data_points if _is_point(point))

    def numbers(self) -> dict[str, float]:
        """Gauges and counters by name and attribute: ``hotconfig.rejected/validate``."""
        return {
            "/".join([name, *map(str, (point.attributes or {}).values())]): point.value
            for name, point in self.points()
            if isinstance(point, NumberDataPoint)
        }

    def histogram(self) -> HistogramDataPoint | None:
        """The only one there is, if it was recorded to."""
        found = [point for _, point in self.points() if isinstance(point, HistogramDataPoint)]
        return found[0] if found else None


def _is_point(point: object) -> TypeGuard[Point]:
    return isinstance(point, NumberDataPoint | HistogramDataPoint)


@contextmanager
def installed() -> Generator[Sdk]:
    """An SDK, installed."""
    with no_sdk():
        sdk = Sdk()
        sdk.install()
        yield sdk
