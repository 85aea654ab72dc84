"""Which log, and what OK means for a vote."""

from __future__ import annotations

import pytest

from thumbwheel.config.load import load_settings
from thumbwheel.errors import InvalidConfig


def test_by_default_the_log_is_embedded_and_a_vote_durable_on_this_disk() -> None:
    log = load_settings(None, {}).settings.log
    assert (log.kind, log.feedback_durability) == ("embedded", "auto")


def test_the_embedded_log_has_no_broker_to_wait_for() -> None:
    with pytest.raises(InvalidConfig, match='needs kind "kafka"'):
        load_settings(None, {"log.feedback_durability": "broker"})
    log = load_settings(None, {"log.kind": "kafka", "log.feedback_durability": "broker"}).settings.log
    assert log.feedback_durability == "broker"
