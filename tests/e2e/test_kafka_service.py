"""The whole service with Kafka behind its outbox: asked, voted, broker killed, service killed; the books balance."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import httpx
import pytest
from kafka_server import KafkaBroker
from live_service import make_policies
from scaled_service import ingest_all
from service_ledger import (
    CALLERS,
    FREE_PORTS,
    Acknowledged,
    ask_and_vote,
    demand_home_balance,
    wait_until_ingested,
    wait_until_serving,
)

from thumbwheel.app.outboxes import unshipped
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.source import places
from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Kafka, Settings
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.simulate.service import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")]

PLENTY = {**FREE_PORTS, "feedback.max_per_rater_per_minute": 100_000}
BURSTS = 5


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made") / "home"
    made.mkdir()
    make_policies(Settings(home=made))
    load_or_make_keys(made / "keys.json", 1)  # a first start with the broker away makes none
    return made


@pytest.fixture
def home(policies: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(policies, tmp_path / "home"))


@pytest.fixture
def kafka(kafka_broker: KafkaBroker) -> Kafka:
    settings = Kafka(
        bootstrap_servers=kafka_broker.bootstrap,
        topic_prefix=f"{uuid.uuid4()}.",
        partitions=3,
        replication=1,
        request_timeout_s=1.0,
        ack_timeout_s=2.0,
    )
    create_topics(settings)
    return settings


def flags(kafka: Kafka, **log: object) -> Mapping[str, object]:
    """The service's settings, with Kafka as its log."""
    section = kafka.model_dump(exclude_defaults=True)
    return {
        **PLENTY,
        "log.kind": "kafka",
        **{f"log.{name}": value for name, value in log.items()},
        **{f"kafka.{name}": value for name, value in section.items()},
    }


@contextmanager
def serving(home: Path, settings: Mapping[str, object]) -> Iterator[ServiceProcess]:
    with ServiceProcess(home, settings) as service:
        asyncio.run(wait_until_serving(service.addresses["grpc"]))
        yield service


def metric(service: ServiceProcess, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = httpx.get(f"{service.addresses['web']}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def in_kafka(kafka: Kafka) -> int:
    log = open_kafka_log(kafka)
    try:
        return sum(log.end_offset(*place) for place in places(log))
    finally:
        log.close()


def in_outbox(home: Path) -> int:
    with sqlite3.connect(home / "log.sqlite") as outbox:
        count = int(outbox.execute("SELECT count(*) FROM records").fetchone()[0])
    outbox.close()
    return count


def test_answers_and_votes_go_on_while_the_broker_is_away_and_all_arrive(
    home: Path, kafka: Kafka, kafka_broker: KafkaBroker
) -> None:
    told = Acknowledged()
    with serving(home, flags(kafka)) as service:
        grpc, admin = service.addresses["grpc"], service.addresses["admin"]
        asyncio.run(ask_and_vote(grpc, told, 50))
        assert wait_until_ingested(admin) == 0
        demand_home_balance(home, told)
        assert in_kafka(kafka) == len(told.votes) + len(told.answers)
        assert in_outbox(home) == 0

        kafka_broker.kill()
        before = len(told.votes)
        asyncio.run(ask_and_vote(grpc, told, 50))
        assert told.refusals == []
        with AdminClient(admin) as operator:
            status = operator.status()
        assert "Kafka is unavailable" in status.log_problem
        assert status.log_backlog_events == in_outbox(home) >= 2 * (len(told.votes) - before)
        while not metric(service, "thumbwheel_outbox_age_seconds"):
            pass
        assert metric(service, "thumbwheel_outbox_records") == in_outbox(home)

        kafka_broker.start()
        assert wait_until_ingested(admin) == 0
        assert in_outbox(home) == 0
    demand_home_balance(home, told)


def test_a_service_killed_in_bursts_with_the_broker_away_loses_and_doubles_nothing(
    home: Path, kafka: Kafka, kafka_broker: KafkaBroker
) -> None:
    told, chance = Acknowledged(), Random(4)
    for burst in range(BURSTS):
        if burst % 2:
            kafka_broker.start()
        else:
            kafka_broker.kill()
        with serving(home, flags(kafka)) as service:
            asyncio.run(ask_and_vote(service.addresses["grpc"], told, chance.randint(20, 80), service.kill))
    kafka_broker.start()
    with serving(home, flags(kafka)) as service:
        assert wait_until_ingested(service.addresses["admin"]) == 0
    assert len(told.votes) >= 20 * BURSTS
    demand_home_balance(home, told)


def test_what_an_ended_service_leaves_in_its_outbox_goes_out_at_the_next_start(
    home: Path, kafka: Kafka, kafka_broker: KafkaBroker
) -> None:
    told = Acknowledged()
    kafka_broker.kill()
    with serving(home, flags(kafka)) as service:
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 20))
        assert service.stop() == 0
    left = in_outbox(home)
    assert left == len(told.votes) + len(told.answers)
    kafka_broker.start()
    with serving(home, flags(kafka)) as service:
        assert wait_until_ingested(service.addresses["admin"]) == 0
    demand_home_balance(home, told)
    assert in_kafka(kafka) == left


@pytest.mark.parametrize("command", ["up", "serve"])
def test_what_killed_replicas_on_ray_left_is_shipped_by_who_serves_without_ray(
    home: Path, kafka: Kafka, kafka_broker: KafkaBroker, command: str
) -> None:
    told = Acknowledged()
    kafka_broker.kill()
    with serving(home, flags(kafka)) as service:
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 40, service.kill))
    replica = home / "replicas" / "3"
    replica.mkdir(parents=True)
    for file in home.glob("log.sqlite*"):  # as a replica that was killed leaves its own
        file.rename(replica / file.name)
    left = unshipped(replica.parent)
    assert left >= len(told.votes) + len(told.answers) >= 80
    with ServiceProcess(home, {**flags(kafka), "probes.serve_port": 0}, command=(command,)) as service:
        with AdminClient(service.addresses["admin"]) as admin:
            assert admin.status().log_backlog_events >= left
        kafka_broker.start()
        if command == "serve":
            while unshipped(replica.parent):
                time.sleep(0.05)
            ingest_all(home, flags(kafka))
        assert wait_until_ingested(service.addresses["admin"]) == 0
        demand_home_balance(home, told)
        erase(service, "user-0")
        assert erase(service, "user-0") == 0
    assert in_kafka(kafka) == left


def test_an_embedded_home_changes_over_with_all_it_holds(home: Path, kafka: Kafka) -> None:
    told = Acknowledged()
    with serving(home, PLENTY) as service:
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 30))
        wait_until_ingested(service.addresses["admin"])
    with serving(home, flags(kafka)) as service:
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 30))
        wait_until_ingested(service.addresses["admin"])
        demand_home_balance(home, told)
    assert in_kafka(kafka) == len(told.votes) + len(told.answers)
    with serving(home, PLENTY) as service:
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 10))
        wait_until_ingested(service.addresses["admin"])
    demand_home_balance(home, told)


def in_store(home: Path) -> int:
    with closing(sqlite3.connect(home / "store.sqlite")) as store:
        return int(store.execute("SELECT count(*) FROM feedback_events").fetchone()[0])


def erase(service: ServiceProcess, user: str) -> int:
    """Erase a user, again while a part has just been away; return how much feedback there was the last time."""
    with AdminClient(service.addresses["admin"]) as admin:
        for _ in range(10):
            try:
                return admin.erase_user(user, reason="asked for", actor="test").feedback
            except Unavailable as error:
                time.sleep(error.retry_after_s)
        return admin.erase_user(user, reason="asked for", actor="test").feedback


def test_a_user_is_erased_and_others_go_on(home: Path, kafka: Kafka, kafka_broker: KafkaBroker) -> None:
    told = Acknowledged()
    with serving(home, flags(kafka)) as service:
        for _ in range(2):  # who was erased comes again
            asyncio.run(ask_and_vote(service.addresses["grpc"], told, 5 * CALLERS))
            wait_until_ingested(service.addresses["admin"])
            before = in_store(home)
            erase(service, "user-0")
            assert erase(service, "user-0") == 0
            assert 0 < in_store(home) < before
        kafka_broker.kill()
        with AdminClient(service.addresses["admin"]) as admin, pytest.raises(Unavailable):
            admin.erase_user("user-1", reason="asked for", actor="test")


async def vote_until_taken(service: ServiceProcess, broker: KafkaBroker) -> str:
    """Vote while the broker is away, from a client that tries again; start the broker once it was refused."""
    patient = RetryPolicy(attempts=100, most_s=1.0)
    async with AsyncClient(service.addresses["grpc"], retry=patient, timeout_s=120) as client:
        answer = await client.classify("where is my parcel", "topics", user="patient")
        voting = asyncio.ensure_future(answer.thumbs_up())
        while metric(service, "thumbwheel_feedback_total") < 1:
            await asyncio.sleep(0.05)
        assert not voting.done()
        broker.start()
        return await voting


def test_with_votes_durable_at_the_broker_its_absence_refuses_them_and_a_second_try_counts_once(
    home: Path, kafka: Kafka, kafka_broker: KafkaBroker
) -> None:
    told = Acknowledged()
    kafka_broker.kill()
    with serving(home, flags(kafka, feedback_durability="broker")) as service:
        told.votes.append(asyncio.run(vote_until_taken(service, kafka_broker)))
        # Just after its return the broker may still be slow, and a vote waits for the answers before it only so long.
        assert wait_until_ingested(service.addresses["admin"]) == 0
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 50))
        kafka_broker.kill()
        asyncio.run(ask_and_vote(service.addresses["grpc"], told, 1))
        refusal, *_ = told.refusals
        assert isinstance(refusal, Unavailable) and refusal.retry_after_s > 0
        assert len(told.refusals) == CALLERS
        kafka_broker.start()
        assert wait_until_ingested(service.addresses["admin"]) == 0
    demand_home_balance(home, told)


def test_with_votes_durable_at_the_broker_they_outlive_the_disk_of_the_outbox(home: Path, kafka: Kafka) -> None:
    told, chance = Acknowledged(), Random(5)
    settings = flags(kafka, feedback_durability="broker")
    for _ in range(BURSTS):
        with serving(home, settings) as service:
            asyncio.run(ask_and_vote(service.addresses["grpc"], told, chance.randint(20, 80), service.kill))
        for file in home.glob("log.sqlite*"):
            file.unlink()
    with serving(home, settings) as service:
        assert wait_until_ingested(service.addresses["admin"]) == 0
    told.answers.clear()  # of those that nobody has voted on the last may have gone with the disk
    demand_home_balance(home, told)
