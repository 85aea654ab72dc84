"""/metrics and /healthz."""

from __future__ import annotations

from typing import Any

import pytest

from thumbwheel.web.deps import Health, HealthState


def test_metrics_come_from_the_registry_that_was_passed_in(browser: Any) -> None:
    response = browser.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "thumbwheel_votes_total 3.0" in response.text
    assert "python_info" not in response.text


def test_metrics_speak_open_metrics_to_those_who_ask(browser: Any) -> None:
    response = browser.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("state", "status", "word"),
    [
        (HealthState.SERVING, 200, "serving"),
        (HealthState.DEGRADED, 200, "degraded"),
        (HealthState.NOT_SERVING, 503, "not serving"),
    ],
)
def test_health_is_a_status_and_a_word_on_each_part(
    browser: Any, switch: Any, monkeypatch: pytest.MonkeyPatch, state: HealthState, status: int, word: str
) -> None:
    monkeypatch.setattr(switch, "health", Health(state, {"helpdesk": "loading"}))
    response = browser.http.get("/healthz")
    assert response.status_code == status
    assert response.json() == {"status": word, "parts": {"helpdesk": "loading"}}
