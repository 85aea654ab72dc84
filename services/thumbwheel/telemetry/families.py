"""The kinds of metrics the catalogue is made of, with bounded label values.

What keeps the values is `Instruments`: here `prometheus_client`, whose registry the process shows itself; a host whose
runtime shows metrics has its own. Beyond `MAX_LABEL_VALUES` different values of one label of one metric, further ones
count as "other".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MAX_LABEL_VALUES = 64
OTHER = "other"


class MetricType(StrEnum):
    """The types of Prometheus that are used."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of a histogram's buckets, in `unit`."""

    unit: str
    bounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """One entry of the catalogue. `unit` is of the value; a counter's full name ends in `_total`."""

    name: str
    type: MetricType
    labels: tuple[str, ...]
    unit: str
    meaning: str
    cure: str
    buckets: tuple[float, ...] = ()

    @property
    def help(self) -> str:
        """The line that stands in the exposition: meaning, then cure."""
        return f"{self.meaning} {self.cure}".strip()


class Instruments(Protocol):
    """Makes what keeps a metric's values: it acts like the metric of that type in `prometheus_client`."""

    def counter(self, spec: Spec) -> Any:
        """Return a counter: `labels(**values)` gives a series, `inc(amount)` adds to one."""

    def gauge(self, spec: Spec) -> Any:
        """Return a gauge: as a counter, with `set(value)`; `clear()` forgets every series."""

    def histogram(self, spec: Spec) -> Any:
        """Return a histogram: `labels(**values)` gives a series, `observe(value)` adds to one."""


class PrometheusInstruments:
    """Values in a registry of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register metrics in `registry`."""
        self._registry = registry

    def counter(self, spec: Spec) -> Counter:
        """Return a counter."""
        return Counter(spec.name, spec.help, spec.labels, registry=self._registry)

    def gauge(self, spec: Spec) -> Gauge:
        """Return a gauge."""
        return Gauge(spec.name, spec.help, spec.labels, registry=self._registry)

    def histogram(self, spec: Spec) -> Histogram:
        """Return a histogram."""
        return Histogram(spec.name, spec.help, spec.labels, registry=self._registry, buckets=spec.buckets)


class _Family:
    """A metric whose label values are bounded."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._seen: dict[str, set[str]] = {label: set() for label in spec.labels}
        # Looking a series up in the client costs as much as counting in it ten times.
        self._series: dict[tuple[tuple[str, str], ...], Any] = {}

    def _labelled(self, metric: Any, labels: dict[str, str]) -> Any:
        """The series of these label values."""
        key = tuple(labels.items())
        series = self._series.get(key)
        if series is None:
            bounded = self._bounded(labels)
            series = metric.labels(**bounded) if self.spec.labels else metric
            if bounded == labels:
                self._series[key] = series
        return series

    def _bounded(self, labels: dict[str, str]) -> dict[str, str]:
        return {label: self._value(label, value) for label, value in labels.items()}

    def _value(self, label: str, value: str) -> str:
        seen = self._seen.get(label)
        if seen is None or value in seen:
            return value
        if len(seen) >= MAX_LABEL_VALUES:
            return OTHER
        seen.add(value)
        return value


class CounterFamily(_Family):
    """Counts up."""

    def __init__(self, spec: Spec, instruments: Instruments) -> None:
        """Keep the counter of `spec` in one of `instruments`."""
        super().__init__(spec)
        self._metric = instruments.counter(spec)

    def inc(self, amount: float = 1.0, **labels: str) -> None:
        """Add `amount`, at least 0. Raises ValueError when `labels` are not the catalogue's."""
        self._labelled(self._metric, labels).inc(amount)


class GaugeFamily(_Family):
    """A value that goes up and down."""

    def __init__(self, spec: Spec, instruments: Instruments) -> None:
        """Keep the gauge of `spec` in one of `instruments`."""
        super().__init__(spec)
        self._metric = instruments.gauge(spec)

    def set(self, value: float, **labels: str) -> None:
        """Set the value. Raises ValueError when `labels` are not the catalogue's."""
        self._labelled(self._metric, labels).set(value)

    def add(self, amount: float, **labels: str) -> None:
        """Add `amount`, which may be negative. Raises ValueError when `labels` are not the catalogue's."""
        self._labelled(self._metric, labels).inc(amount)

    def clear(self) -> None:
        """Forget every labelled value, before those that still exist are set again."""
        self._metric.clear()
        self._series.clear()
        for seen in self._seen.values():
            seen.clear()


class HistogramFamily(_Family):
    """A distribution."""

    def __init__(self, spec: Spec, instruments: Instruments) -> None:
        """Keep the histogram of `spec` in one of `instruments`."""
        super().__init__(spec)
        self._metric = instruments.histogram(spec)

    def observe(self, value: float, **labels: str) -> None:
        """Add one observation. Raises ValueError when `labels` are not the catalogue's."""
        self._labelled(self._metric, labels).observe(value)


class Catalogue:
    """Makes metrics and remembers what each one is."""

    def __init__(self, instruments: Instruments) -> None:
        """Keep values in `instruments`."""
        self._instruments = instruments
        self.specs: list[Spec] = []

    def counter(self, name: str, labels: tuple[str, ...], unit: str, meaning: str, cure: str) -> CounterFamily:
        """Add a counter; its series are called `name` + `_total`."""
        return CounterFamily(
            self._entry(Spec(name, MetricType.COUNTER, labels, unit, meaning, cure)), self._instruments
        )

    def gauge(self, name: str, labels: tuple[str, ...], unit: str, meaning: str, cure: str) -> GaugeFamily:
        """Add a gauge."""
        return GaugeFamily(self._entry(Spec(name, MetricType.GAUGE, labels, unit, meaning, cure)), self._instruments)

    def histogram(
        self, name: str, labels: tuple[str, ...], buckets: Buckets, meaning: str, cure: str
    ) -> HistogramFamily:
        """Add a histogram; the unit is that of its buckets."""
        spec = Spec(name, MetricType.HISTOGRAM, labels, buckets.unit, meaning, cure, buckets.bounds)
        return HistogramFamily(self._entry(spec), self._instruments)

    def _entry(self, spec: Spec) -> Spec:
        self.specs.append(spec)
        return spec
