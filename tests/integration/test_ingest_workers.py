"""Several workers share the partitions in Kafka; one dies, one is frozen and wakes as a zombie: the books balance."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from answered import answer_and_vote
from commands import RunningCommand, write_config
from kafka_server import KafkaBroker
from postgres_server import PASSWORD
from sqlalchemy import Engine, func, select

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.group import Group
from thumbwheel.bus.kafka_cluster import group_members
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_membership import KafkaMembership
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import FEEDBACK, TOPICS, EventLog, NewRecord
from thumbwheel.config.settings import Kafka
from thumbwheel.database import schema
from thumbwheel.database.engine import connect
from thumbwheel.errors import LogUnavailable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

PARTITIONS = 4
PLACES = PARTITIONS * len(TOPICS)
SESSION_S = 6
LONG_S = 60  # no busy machine takes that long to start a worker again
SEED = 7


@pytest.fixture
def kafka(kafka_broker: KafkaBroker) -> Kafka:
    made = Kafka(
        bootstrap_servers=kafka_broker.bootstrap,
        topic_prefix=f"{uuid.uuid4()}.",
        partitions=PARTITIONS,
        replication=1,
        request_timeout_s=2.0,
    )
    create_topics(made)
    return made


@pytest.fixture
def config(kafka: Kafka, postgres_url: str, tmp_path: Path) -> Path:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    sections = {
        "log": {"kind": "kafka"},
        "kafka": kafka.model_dump(exclude_defaults=True),
        "database": {"url": postgres_url.replace(f":{PASSWORD}@", "@"), "password_file": password},
        "ingest": {"batch": 50},
        "probes": {"ingest_port": 0},
    }
    return write_config(tmp_path / "thumbwheel.toml", sections, home=tmp_path / "home")


@dataclass
class Sent:
    """What was acknowledged by Kafka: the answers by number, and how many records were poison."""

    log: EventLog
    answers: list[int] = field(default_factory=list)
    poison: int = 0
    chance: Random = field(default_factory=lambda: Random(SEED))

    def send(self, count: int) -> None:
        """Send answers with their votes, some of them twice, and now and then poison."""
        first = len(self.answers)
        for number in range(first, first + count, 25):
            fresh = [to_log(one) for at in range(number, number + 25) for one in answer_and_vote(at)]
            again = self.chance.sample(fresh, 3)
            self.log.append([*fresh, *again, NewRecord(FEEDBACK, f"poison-{number}", b"poison")])
            self.answers += range(number, number + 25)
            self.poison += 1


@pytest.fixture
def sent(kafka: Kafka) -> Iterator[Sent]:
    log = open_kafka_log(kafka)
    yield Sent(log)
    log.close()


@contextmanager
def sending(sent: Sent) -> Iterator[None]:
    """Send without a pause while the block runs."""
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            sent.send(25)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def worker(config: Path, instance: str = "", session_s: int = SESSION_S) -> RunningCommand:
    given = ("--set", f"ingest.instance={instance}", "--set", f"ingest.session_timeout_s={session_s}")
    return RunningCommand(config, *given, "ingest")


def until(reached: Callable[[], bool]) -> None:
    while not reached():
        time.sleep(0.1)


def held(one: RunningCommand) -> str:
    """What the worker says that it works on."""
    parts = one.health()["parts"]
    assert isinstance(parts, dict)
    return str(parts["ingest"])


def until_shared(*workers: RunningCommand) -> None:
    share = f"works on {PLACES // len(workers)} partitions"
    until(lambda: all(held(one) == share for one in workers))


def rows(one: RunningCommand) -> float:
    return one.metric("thumbwheel_ingest_rows_total")


def until_rows(one: RunningCommand, more: int) -> None:
    wanted = rows(one) + more
    until(lambda: rows(one) >= wanted)


@pytest.fixture
def books(postgres_url: str) -> Iterator[Engine]:
    engine = connect(postgres_url)
    yield engine
    engine.dispose()


def demand_balance(sent: Sent, books: Engine, left: RunningCommand) -> None:
    """Everything that was sent is in the store, each once, and nothing else; dead letters are exactly the poison."""
    tables = schema.responses, schema.feedback_events, schema.current_votes, schema.dead_letters, schema.orphans

    def counted() -> list[int]:
        with books.connect() as store:
            return [store.scalar(select(func.count()).select_from(table)) or 0 for table in tables]

    number = len(sent.answers)
    until(lambda: sum(counted()[:4]) >= 3 * number + sent.poison and counted()[4] == 0)
    until_idle(left)
    assert counted() == [number, number, number, sent.poison, 0]
    with books.connect() as store:
        votes = Counter(store.scalars(select(schema.feedback_events.c.response_id)))
    assert votes == Counter(f"r{at}" for at in sent.answers)


def until_idle(one: RunningCommand) -> None:
    """Return when nothing has come in for a while; what might be doubled would be by then."""
    before = -1.0
    while before != (before := rows(one)):
        time.sleep(1.5)


def test_two_workers_share_the_partitions_and_one_killed_is_followed_by_the_other(
    config: Path, kafka: Kafka, sent: Sent, books: Engine
) -> None:
    with worker(config) as first:
        until_shared(first)
        with worker(config) as second, sending(sent):
            until_shared(first, second)
            assert group_members(kafka, first.address("group")) == 2
            until_rows(first, 200)
            until_rows(second, 200)
            first.kill()
            until_shared(second)
            until_rows(second, 400)
        with worker(config) as third:
            until_shared(third)  # the second one has left the group at once
            demand_balance(sent, books, third)


def test_a_frozen_worker_that_wakes_after_its_session_is_fenced(config: Path, sent: Sent, books: Engine) -> None:
    with worker(config, "a") as frozen, worker(config, "b") as other:
        until_shared(frozen, other)
        with sending(sent):
            until_rows(frozen, 200)
            frozen.suspend()
            until(lambda: held(other) == f"works on {PLACES} partitions")
            until_rows(other, 400)
            frozen.resume()
            until_rows(other, 400)
        until_shared(frozen, other)  # the zombie has joined again
        demand_balance(sent, books, other)


def test_a_worker_with_a_name_keeps_its_partitions_over_a_quick_restart(config: Path, sent: Sent) -> None:
    with worker(config, "a", LONG_S) as first, worker(config, "b", LONG_S) as second:
        until_shared(first, second)
        assert first.stop() == 0
        assert held(second) == f"works on {PLACES // 2} partitions"
        with worker(config, "a", LONG_S) as again, sending(sent):
            until_shared(again, second)
            until_rows(again, 100)


def test_of_two_with_one_name_the_earlier_works_on_nothing_and_says_what_to_do(kafka: Kafka) -> None:
    group = Group("one-name", "same", SESSION_S)
    with closing(KafkaMembership(kafka, group)) as earlier, closing(KafkaMembership(kafka, group)) as later:
        until(lambda: len(earlier.places()) == PLACES)
        until(lambda: len(later.places()) == PLACES)

        def put_out() -> bool:
            try:
                earlier.places()
            except LogUnavailable as error:
                assert "two workers have one ingest.instance" in str(error)
                return True
            return False

        until(put_out)
        assert earlier.held == ()
