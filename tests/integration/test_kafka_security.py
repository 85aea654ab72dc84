"""The Kafka log through TLS and passwords, right and wrong."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka_server import PASSWORD, USER, KafkaBroker

from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import REQUESTS, NewRecord
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import InvalidConfig, LogUnavailable

# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <(ssl.SSLSocket|socket.socket):ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def values(kafka_broker: KafkaBroker, tmp_path: Path) -> dict[str, Any]:
    password_file = tmp_path / "password"
    password_file.write_text(f"{PASSWORD}\n")
    return {
        "bootstrap_servers": kafka_broker.secure_bootstrap,
        "topic_prefix": f"{uuid.uuid4()}.",
        "partitions": 2,
        "replication": 1,
        "security_protocol": "SASL_SSL",
        "sasl_user": USER,
        "sasl_password_file": password_file,
        "ca_file": kafka_broker.ca_file,
        "request_timeout_s": 2.0,
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_who_logs_in_appends_and_reads(values: dict[str, Any], mechanism: str) -> None:
    settings = Kafka(**values, sasl_mechanism=mechanism)
    create_topics(settings)
    log = open_kafka_log(settings)
    log.append([NewRecord(REQUESTS, "k", b"secret")])
    found = [record.payload for part in log.partitions(REQUESTS) for record in log.read(REQUESTS, part, 0, 10)]
    assert found == [b"secret"]
    log.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_named_and_not_shown(values: dict[str, Any], mechanism: str) -> None:
    values["sasl_password_file"].write_text("wrong-horse")
    log = open_kafka_log(Kafka(**values, sasl_mechanism=mechanism))
    with pytest.raises(LogUnavailable, match=r"kafka\.sasl_user and the password are right") as refused:
        log.append([NewRecord(REQUESTS, "k", b"")])
    assert "horse" not in str(refused.value)
    log.close()


@pytest.mark.parametrize("change", [{"ca_file": None}, {"security_protocol": "PLAINTEXT"}])
def test_an_unknown_authority_and_a_plain_client_get_nowhere(values: dict[str, Any], change: dict[str, Any]) -> None:
    log = open_kafka_log(Kafka(**(values | change)))
    with pytest.raises(LogUnavailable, match=r"kafka\.security_protocol, kafka\.ca_file"):
        log.end_offset(REQUESTS, 0)
    log.close()


def test_a_password_that_can_not_be_read_is_said_at_the_start(values: dict[str, Any], tmp_path: Path) -> None:
    values["sasl_password_file"] = tmp_path / "nowhere"
    with pytest.raises(InvalidConfig, match=r"kafka\.sasl_password_file: can not be read: No such file"):
        open_kafka_log(Kafka(**values))
