"""Settings of Kafka that must fit each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from thumbwheel.config.settings import Kafka


def test_an_acknowledgement_may_take_as_long_as_a_request() -> None:
    assert Kafka(request_timeout_s=5.0, ack_timeout_s=5.0).ack_timeout_s == 5.0
    with pytest.raises(ValidationError, match="ack_timeout_s must be at least request_timeout_s, 5"):
        Kafka(request_timeout_s=5.0, ack_timeout_s=4.9)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_logging_in_needs_a_name_and_a_password(protocol: str, tmp_path: Path) -> None:
    values = {"security_protocol": protocol, "sasl_user": "me", "sasl_password_file": str(tmp_path / "password")}
    assert Kafka.model_validate(values).sasl_user == "me"
    for missing in ("sasl_user", "sasl_password_file"):
        with pytest.raises(ValidationError, match=f"{protocol} needs sasl_user and sasl_password_file"):
            Kafka.model_validate(values | {missing: ""})


@pytest.mark.parametrize("prefix", ["with space.", "a/b", "x" * 201])
def test_a_prefix_is_what_a_topic_may_be_called(prefix: str) -> None:
    with pytest.raises(ValidationError):
        Kafka(topic_prefix=prefix)
