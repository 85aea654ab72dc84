"""Adapters of the event log. A new adapter is one more entry of `ADAPTERS`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka_server import KafkaBroker
from sealed_logs import sealed

from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import EventLog
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Kafka

OpenLog = Callable[[], EventLog]
PARTITIONS = 4


def _sqlite(request: pytest.FixtureRequest) -> OpenLog:
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda: open_log(folder / "log.sqlite", max_bytes=16 << 20, partitions=PARTITIONS)


@pytest.fixture
def kafka(kafka_broker: KafkaBroker) -> Kafka:
    """Topics of this test's own."""
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", partitions=PARTITIONS, replication=1
    )
    create_topics(settings)
    return settings


def _kafka(request: pytest.FixtureRequest) -> OpenLog:
    settings: Kafka = request.getfixturevalue("kafka")
    return lambda: open_kafka_log(settings)


def _sealed_kafka(request: pytest.FixtureRequest) -> OpenLog:
    folder: Path = request.getfixturevalue("tmp_path")
    open_below = _kafka(request)
    return lambda: sealed(open_below(), f"sqlite:///{folder / 'store.sqlite'}")


ADAPTERS = {"kafka": _kafka, "sealed kafka": _sealed_kafka, "sqlite": _sqlite}


@pytest.fixture(params=sorted(ADAPTERS))
def reopen(request: pytest.FixtureRequest) -> Iterator[OpenLog]:
    """Open the same log again each time, as a restarted process would; all are closed in the end."""
    opened: list[EventLog] = []
    adapter = ADAPTERS[request.param](request)

    def open_one() -> EventLog:
        opened.append(adapter())
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


@pytest.fixture
def log(reopen: OpenLog) -> EventLog:
    return reopen()
