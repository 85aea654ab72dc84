"""Ingest from Kafka into SQLite and PostgreSQL, beside its two limits: reading Kafka alone, writing the rows alone.

    python benchmarks/ingest_rate.py [--records 40000] [--rounds 3]

Half of the records are answers, half thumbs on them, in a real broker with 8 partitions a topic. Limits:

- `kafka-python` alone: one consumer of all partitions polls every record and does nothing with it;
- the database alone: the same rows, ready made, in the same tables, as many records a transaction as ingest takes, and
  as the database takes them fastest: by COPY into PostgreSQL, many a statement into SQLite. Nothing is looked for.

Ingest's rate is held against the slower of the two. Everything in one run, in turns; the best of the rounds counts.
Needs the servers that tests drive (`make servers`, PostgreSQL).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from kafka import KafkaConsumer, TopicPartition
from kafka_server import libs, running_broker
from postgres_server import find_binaries, running_server
from sqlalchemy import Engine, Table

from record import record
from storage import answer, vote
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import TOPICS
from thumbwheel.bus.source import Source
from thumbwheel.config.settings import Ingest, Kafka
from thumbwheel.database.engine import connect
from thumbwheel.database.rows import Row, insert_rows
from thumbwheel.database.schema import current_votes, feedback_events, responses
from thumbwheel.database.transactions import writing
from thumbwheel.events.convert import encode
from thumbwheel.events.outline import outline
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.store.sql import open_store

GOAL = 0.6
TRIED = (
    "tried: outlines instead of whole records, batches of 2,000, COPY and long inserts (which the limit takes, too, "
    "and gains more by: 3.9 times on PostgreSQL), reading ahead, no garbage collection (.24 and .27), a shorter switch "
    "interval; what is left is a thread of Python that decodes, sorts and binds about 40 microseconds a record"
)
Rows = Sequence[Row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found, binaries = libs(), find_binaries()
    if found is None or binaries is None:
        sys.exit("this needs Kafka (make servers) and PostgreSQL")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_broker(found, Path(folder)) as broker,
        running_server(binaries) as postgres,
    ):
        settings = Kafka(bootstrap_servers=broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", replication=1)
        create_topics(settings)
        fill(settings, asked.records // 2)

        @contextmanager
        def sqlite() -> Iterator[str]:
            with tempfile.TemporaryDirectory() as name:
                yield f"sqlite:///{name}/store.sqlite"

        for database, fresh in (("SQLite", sqlite), ("PostgreSQL", postgres.database)):
            rates: dict[str, list[float]] = {"kafka": [], "rows": [], "ingest": []}
            for _ in range(asked.rounds):
                rates["kafka"].append(kafka_alone(settings, asked.records))
                with fresh() as url:
                    rates["rows"].append(rows_alone(url, asked.records // 2))
                with fresh() as url:
                    rates["ingest"].append(ingest(settings, url, asked.records))
            tell(database, {name: max(found) for name, found in rates.items()})


def fill(settings: Kafka, pairs: int) -> None:
    log = open_kafka_log(settings)
    for start in range(0, pairs, 1_000):
        numbers = range(start, min(start + 1_000, pairs))
        log.append([to_log(answer(number)) for number in numbers] + [to_log(vote(number)) for number in numbers])
    log.close()


def kafka_alone(settings: Kafka, count: int) -> float:
    consumer = KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    places = [
        TopicPartition(name, number)
        for name in (settings.topic_prefix + topic for topic in TOPICS)
        for number in sorted(consumer.partitions_for_topic(name))
    ]
    consumer.assign(places)
    started, seen = time.perf_counter(), 0
    while seen < count:
        seen += sum(map(len, consumer.poll(200, max_records=10_000).values()))
    rate = count / (time.perf_counter() - started)
    consumer.close()
    return rate


def rows_alone(url: str, pairs: int) -> float:
    open_store(url).close()
    size = Ingest().batch
    batches = [answer_rows(range(at, min(at + size, pairs))) for at in range(0, pairs, size)]
    batches += [vote_rows(range(at, min(at + size, pairs))) for at in range(0, pairs, size)]
    engine = connect(url)
    started = time.perf_counter()
    for batch in batches:
        write(engine, batch)
    rate = 2 * pairs / (time.perf_counter() - started)
    engine.dispose()
    return rate


def write(engine: Engine, batch: Sequence[tuple[Table, Rows]]) -> None:
    with writing(engine) as connection:
        for table, rows in batch:
            insert_rows(connection, table, rows)


def answer_rows(numbers: range) -> list[tuple[Table, Rows]]:
    return [(responses, [outline(encode(answer(number))) for number in numbers])]


def vote_rows(numbers: range) -> list[tuple[Table, Rows]]:
    made = [(number + 1, vote(number)) for number in numbers]
    events = [(one.response_id, seq, one.rater, one.feedback_id, one.policy, encode(one)) for seq, one in made]
    current = [
        (
            one.response_id,
            one.rater,
            one.kind.value,
            seq,
            one.policy,
            one.policy_version,
            one.time_us,
            one.feedback_id,
            False,
            one.thumb_up,
            one.rating,
        )
        for seq, one in made
    ]
    return [(feedback_events, events), (current_votes, current)]


def ingest(settings: Kafka, url: str, count: int) -> float:
    store, log = open_store(url), open_kafka_log(settings)
    worker = IngestWorker(Source(log, consumer="benchmark"), store, Ingest())
    assert worker.backlog() == count  # connects, as the plain consumer has before its clock starts
    started = time.perf_counter()
    moved = worker.drain()
    rate = count / (time.perf_counter() - started)
    assert moved == count, f"{moved} of {count}"
    log.close()
    store.close()
    return rate


def tell(database: str, rates: dict[str, float]) -> None:
    ratio = rates["ingest"] / min(rates["kafka"], rates["rows"])
    shown = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
    print(f"{database}: {shown}: {ratio:.2f}", flush=True)
    note = (
        f"records/s: ingest {rates['ingest']:,.0f}; kafka-python alone {rates['kafka']:,.0f}; the same rows into "
        f"{database} alone {rates['rows']:,.0f}"
    )
    if ratio < GOAL:
        note += f"; {TRIED}"
    figure = f"ingest Kafka -> {database} / the slower of its two limits"
    record(figure, ratio, "ratio", f">= {GOAL}", ratio >= GOAL, "python benchmarks/ingest_rate.py", note)


if __name__ == "__main__":
    main()
