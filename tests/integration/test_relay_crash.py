"""An outbox and its relay to a real broker, both killed again and again: what was acknowledged arrives, in order."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from kafka_server import KafkaBroker

from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import TOPICS, EventLog
from thumbwheel.bus.relay import Relay
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Kafka
from thumbwheel.errors import LogUnavailable

CHILD = Path(__file__).with_name("relay_child.py")
LIVES = 5
BROKER_DIES_IN = (1, 3)

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")


def live(folder: Path, life: int, settings: Kafka, broker: KafkaBroker, chance: random.Random) -> None:
    """Let a process append and ship until it is killed; in some lives the broker dies meanwhile."""
    command = [sys.executable, str(CHILD), str(folder), str(life), settings.model_dump_json()]
    said = folder / f"said-{life}"
    with (
        said.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            read_lines(process, chance.randrange(2, 12), said)
            if life in BROKER_DIES_IN:
                broker.kill()
                read_lines(process, 10, said)  # callers go on without the broker
                broker.start()
                read_lines(process, chance.randrange(10, 40), said)
        finally:
            process.kill()


def read_lines(process: subprocess.Popen[bytes], count: int, said: Path) -> None:
    assert process.stdout is not None
    for _ in range(count):
        line = process.stdout.readline()
        assert line == b"acknowledged\n", f"{line!r}, status {process.poll()}: {said.read_text()[-4000:]}"


def ship_the_rest(folder: Path, log: EventLog) -> None:
    outbox = open_log(folder / "outbox.sqlite")
    relay = Relay(outbox, log)
    while any(one.records for one in relay.waiting().values()):
        try:
            relay.run_once()
        except LogUnavailable as error:
            time.sleep(error.retry_after_s)
    outbox.close()


@pytest.mark.slow
def test_every_acknowledged_record_arrives_in_its_order(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap,
        topic_prefix=f"{uuid.uuid4()}.",
        partitions=2,
        replication=1,
        request_timeout_s=2.0,
        ack_timeout_s=4.0,
    )
    create_topics(settings)
    chance = random.Random(11)
    for life in range(LIVES):
        live(tmp_path, life, settings, kafka_broker, chance)
    log = open_kafka_log(settings)
    ship_the_rest(tmp_path, log)
    ledger = [line.split() for line in (tmp_path / "ledger").read_text().splitlines()]
    for topic in TOPICS:
        found = [one for part in log.partitions(topic) for one in log.read(topic, part, 0, 10_000_000)]
        arrived = {one.payload.decode() for one in found}
        assert [name for of, name in ledger if of == topic and name not in arrived] == []
        # What was never acknowledged to its caller may have arrived: of each caller one record a life at most.
        assert len(arrived) <= sum(of == topic for of, _ in ledger) + 4 * LIVES
        for key in {one.key for one in found}:
            names = list(dict.fromkeys(one.payload.decode() for one in found if one.key == key))
            assert names == sorted(names, key=lambda name: [int(part) for part in name.split("-")])
    log.close()
