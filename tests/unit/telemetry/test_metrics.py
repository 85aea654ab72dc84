"""The catalogue of metrics: complete entries, bounded labels, and an exposition that Prometheus accepts."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from thumbwheel.telemetry.families import (
    MAX_LABEL_VALUES,
    OTHER,
    CounterFamily,
    GaugeFamily,
    HistogramFamily,
    MetricType,
)
from thumbwheel.telemetry.metrics import Metrics

_CURE = "promtool is not installed: `apt-get install prometheus` brings it"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def families(metrics: Metrics) -> list[CounterFamily | GaugeFamily | HistogramFamily]:
    groups = [group for group in vars(metrics).values() if type(group).__name__.endswith("Metrics")]
    return [family for group in groups for family in vars(group).values()]


def fill(metrics: Metrics) -> None:
    """Touch every metric once, so that its series are in the exposition."""
    for family in families(metrics):
        labels = {label: f"a {label}" for label in family.spec.labels}
        match family:
            case CounterFamily():
                family.inc(1.0, **labels)
            case GaugeFamily():
                family.set(3.0, **labels)
            case HistogramFamily():
                family.observe(0.5, **labels)


def test_every_entry_says_what_it_means_and_what_to_do(metrics: Metrics) -> None:
    assert len(metrics.catalogue) == len(families(metrics))
    for spec in metrics.catalogue:
        assert spec.name.startswith("thumbwheel_"), spec
        assert spec.meaning.endswith(".") and spec.cure.endswith("."), spec
        assert spec.unit, spec
        assert (spec.type is MetricType.HISTOGRAM) == bool(spec.buckets), spec


def test_units_stand_in_the_names(metrics: Metrics) -> None:
    for spec in metrics.catalogue:
        for unit in ("seconds", "bytes"):
            assert (spec.unit == unit) == spec.name.endswith(f"_{unit}"), spec


def test_promtool_finds_nothing_to_object_to(metrics: Metrics) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if "promtool" in os.environ.get("THUMBWHEEL_REQUIRE", ""):
            pytest.fail(_CURE)
        pytest.skip(_CURE)
    fill(metrics)
    check = subprocess.run([promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False)
    assert (check.returncode, check.stderr.decode(), check.stdout.decode()) == (0, "", "")


def test_the_exposition_parses_and_has_every_metric(metrics: Metrics) -> None:
    fill(metrics)
    names = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert {spec.name for spec in metrics.catalogue} <= names
    assert "process_resident_memory_bytes" in names


def test_counts_arrive_with_their_labels(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.rpc.finished.inc(method="Classify", policy="desk", policy_version="v2", code="OK")
    metrics.rpc.in_flight.add(3, method="Classify")
    metrics.rpc.in_flight.add(-1, method="Classify")
    metrics.log.append_duration.observe(0.003)
    value = metrics.registry.get_sample_value
    labels = {"method": "Classify", "policy": "desk", "policy_version": "v2", "code": "OK"}
    assert value("thumbwheel_rpcs_total", labels) == 2.0
    assert value("thumbwheel_rpcs_in_flight", {"method": "Classify"}) == 2.0
    assert value("thumbwheel_log_append_duration_seconds_bucket", {"le": "0.0025"}) == 0.0
    assert value("thumbwheel_log_append_duration_seconds_bucket", {"le": "0.005"}) == 1.0


def test_labels_are_bounded(metrics: Metrics) -> None:
    for version in range(MAX_LABEL_VALUES + 10):
        metrics.queue.tokens.inc(policy="desk", policy_version=f"v{version}")
    metrics.queue.tokens.inc(policy="desk", policy_version="v0")
    value = metrics.registry.get_sample_value
    assert value("thumbwheel_generated_tokens_total", {"policy": "desk", "policy_version": OTHER}) == 10.0
    assert value("thumbwheel_generated_tokens_total", {"policy": "desk", "policy_version": "v0"}) == 2.0
    assert metrics.render().count(b"thumbwheel_generated_tokens_total{") == MAX_LABEL_VALUES + 1


def test_an_unknown_or_missing_label_is_a_defect(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="Incorrect label"):
        metrics.run.running.set(1, polcy="desk")
    with pytest.raises(ValueError, match="Incorrect label"):
        metrics.run.running.set(1)


def test_a_gauge_forgets_what_is_gone(metrics: Metrics) -> None:
    metrics.version.serving.set(1, policy="desk", channel="champion", policy_version="v1")
    metrics.version.serving.clear()
    metrics.version.serving.set(1, policy="desk", channel="champion", policy_version="v2")
    assert metrics.render().count(b"thumbwheel_version_serving{") == 1


def test_a_cleared_gauge_has_room_for_new_label_values(metrics: Metrics) -> None:
    for version in range(2 * MAX_LABEL_VALUES):
        metrics.version.serving.clear()
        metrics.version.serving.set(1, policy="desk", channel="champion", policy_version=f"v{version}")
    labels = {"policy": "desk", "channel": "champion", "policy_version": f"v{2 * MAX_LABEL_VALUES - 1}"}
    assert metrics.registry.get_sample_value("thumbwheel_version_serving", labels) == 1.0


def test_two_processes_worth_of_metrics_live_side_by_side(metrics: Metrics) -> None:
    other = Metrics()
    metrics.feedback.received.inc(kind="thumb", outcome="accepted")
    labels = {"kind": "thumb", "outcome": "accepted"}
    assert other.registry.get_sample_value("thumbwheel_feedback_total", labels) is None
    assert all(not name.startswith("thumbwheel") for name in (family.name for family in REGISTRY.collect()))
