"""The catalogue's metrics where Ray shows metrics: on the port of each node's agent, `ray_` before every name.

They carry one label more, `replica`. Of a series that is cleared the last value would stay, so it becomes 0.
"""

from __future__ import annotations

from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from thumbwheel.telemetry.families import Spec

_REPLICA = "replica"


class _Series:
    """One metric's values under one set of labels."""

    def __init__(self, metric: Any, labels: dict[str, str]) -> None:
        self._metric = metric
        self._labels = labels
        self._value = 0.0

    def set(self, value: float) -> None:
        """Set a gauge."""
        self._value = value
        self._metric.set(value, self._labels)

    def observe(self, value: float) -> None:
        """Add an observation to a histogram."""
        self._metric.observe(value, self._labels)


class _CounterSeries(_Series):
    def inc(self, amount: float = 1.0) -> None:
        """Count up; Ray refuses to add nothing."""
        if amount:
            self._metric.inc(amount, self._labels)


class _GaugeSeries(_Series):
    def inc(self, amount: float = 1.0) -> None:
        """Add to what was set last."""
        self.set(self._value + amount)


class _Labelled(_Series):
    """A metric: the series without labels, and the way to those with."""

    def __init__(self, metric: Any, series: type[_Series]) -> None:
        super().__init__(metric, {})
        self._series = series
        self._known: dict[tuple[tuple[str, str], ...], _Series] = {}
        self._bare = series(metric, {})

    def labels(self, **values: str) -> Any:
        """Return the series of these labels."""
        key = tuple(sorted(values.items()))
        if key not in self._known:
            self._known[key] = self._series(self._metric, values)
        return self._known[key]

    def clear(self) -> None:
        """Set every known series of a gauge to 0."""
        for series in self._known.values():
            series.set(0.0)

    def inc(self, amount: float = 1.0) -> None:
        """Count in the series without labels."""
        bare: Any = self._bare
        bare.inc(amount)


class RayInstruments:
    """Keeps values in Ray's metrics. Implements `Instruments`; for a process that Ray started."""

    def __init__(self, replica: str) -> None:
        """Say of every value that it is of `replica`."""
        self._replica = {_REPLICA: replica}

    def counter(self, spec: Spec) -> Any:
        """Return a counter."""
        return _Labelled(self._own(Counter(spec.name, spec.help, self._keys(spec))), _CounterSeries)

    def gauge(self, spec: Spec) -> Any:
        """Return a gauge."""
        return _Labelled(self._own(Gauge(spec.name, spec.help, self._keys(spec))), _GaugeSeries)

    def histogram(self, spec: Spec) -> Any:
        """Return a histogram."""
        made = Histogram(spec.name, spec.help, boundaries=list(spec.buckets), tag_keys=self._keys(spec))
        return _Labelled(self._own(made), _Series)

    def _own(self, metric: Any) -> Any:
        return metric.set_default_tags(self._replica)

    def _keys(self, spec: Spec) -> tuple[str, ...]:
        return (*spec.labels, _REPLICA)
