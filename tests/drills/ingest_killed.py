"""Two ingest workers between Kafka and PostgreSQL are killed again and again, the broker with them now and then.

300,000 events, 1 % of them poison, 5 % sent twice. Once a worker is frozen past its session and wakes as a zombie.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from answered import answer_and_vote
from balance_sheet import Sheet
from books import balance
from commands import RunningCommand
from foreign_records import send_foreign
from kafka.errors import KafkaError
from kafka_server import KafkaBroker
from sqlalchemy import func, select
from uuid_utils import uuid7
from voting import Ledger
from yard import PARTITIONS, Yard, kafka_settings

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.port import FEEDBACK, EventLog, NewRecord
from thumbwheel.bus.source import places
from thumbwheel.config.settings import Kafka
from thumbwheel.database.engine import connect
from thumbwheel.database.schema import consumer_offsets
from thumbwheel.database.transactions import reading
from thumbwheel.errors import Unavailable

EVENTS = 300_000
POISON = 0.01
TWICE = 0.05
WORKER_KILLS = 20
BROKER_KILLS = 5
SESSION_S = 6
_BATCH = 500
_FOREIGN_EVERY = 9  # batches
_LOOK_S = 0.1
_PATIENCE_S = 300.0


def drill(yard: Yard) -> Sheet:
    broker, url, ledger = yard.broker(), yard.database(yard.postgres()), Ledger(asked={"text"})
    kafka = kafka_settings(broker)
    config = yard.config(kafka, url, probes={"ingest_port": 0}, ingest={"session_timeout_s": SESSION_S})
    events = yard.times(EVENTS)
    with ExitStack() as stack, ThreadPoolExecutor(1) as sender, closing(Progress(url)) as progress:
        workers = [_start(stack, config, at) for at in range(2)]
        sending = sender.submit(_send, kafka, _batches(events, yard.seed, ledger))
        kills, broker_kills = _kill(yard, broker, workers, partial(_start, stack, config), progress, events)
        sending.result()
        poison = _wait_until_through(kafka, progress)
    sheet = balance(Sheet("ingest-killed", yard.seed), url, ledger, poison=poison)
    sheet.facts["events sent"] = (
        f"{len(ledger.answers) + len(ledger.votes):,}; poison that Kafka has of them: {poison:,}"
    )
    sheet.facts["killed"] = f"workers {kills} times, the broker {broker_kills} times; one worker frozen and woken"
    return sheet


def _kill(
    yard: Yard,
    broker: KafkaBroker,
    workers: list[RunningCommand],
    start: Callable[[int], RunningCommand],
    progress: Progress,
    events: int,
) -> tuple[int, int]:
    """Kill workers and broker, evenly over what there is to do; return how often each."""
    kills, broker_kills = yard.times(WORKER_KILLS, 3), 0
    every = max(1, kills // BROKER_KILLS)
    for kill in range(kills):
        progress.wait_for(round(events * (kill + 1) / (kills + 2)))
        at = yard.chance.randrange(len(workers))
        if kill == kills // 2:
            _freeze(workers[at], progress)
        if kill % every == 0:
            broker.kill()
            broker_kills += 1
        workers[at].kill()
        broker.start()
        workers[at] = start(at)
        yard.say(f"kill {kill + 1} of {kills}: {progress.records():,} of more than {events:,} records are through")
    return kills, broker_kills


def _start(stack: ExitStack, config: Path, at: int) -> RunningCommand:
    return stack.enter_context(RunningCommand(config, "--set", f"ingest.instance=worker-{at}", "ingest"))


def _freeze(worker: RunningCommand, progress: Progress) -> None:
    """Stop a worker until its session is over and the others have gone on without it; then let it go on."""
    worker.suspend()
    time.sleep(2 * SESSION_S)
    progress.wait_for(progress.records() + 1)
    worker.resume()
    time.sleep(SESSION_S)


class Progress:
    """How many records the store has taken from Kafka, poison and what came twice among them."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)

    def records(self) -> int:
        with reading(self._engine) as connection:
            return int(connection.scalar(select(func.sum(consumer_offsets.c.next_offset))) or 0)

    def wait_for(self, records: int) -> None:
        """Return when so many are through."""
        ends = time.monotonic() + _PATIENCE_S
        while self.records() < records:
            if time.monotonic() > ends:
                raise RuntimeError(f"ingest stands still at {self.records():,} records, short of {records:,}")
            time.sleep(_LOOK_S)

    def close(self) -> None:
        self._engine.dispose()


def _batches(events: int, seed: int, ledger: Ledger) -> Iterator[list[NewRecord]]:
    """Answers and their votes, `events` in all, with poison and repeated ones among them; in the ledger before."""
    chance, half = Random(f"events {seed}"), _BATCH // 2
    for first in range(0, events // 2, half):
        batch: list[NewRecord] = []
        for number in range(first, min(first + half, events // 2)):
            answer, vote = answer_and_vote(number, str(uuid7()))
            ledger.answers.add(answer.response_id)
            ledger.sent.add(f"vote {number}")
            ledger.votes.add(f"vote {number}")
            batch += [to_log(answer), to_log(replace(vote, comment=f"vote {number}"))]
        twice = chance.sample(batch, round(len(batch) * TWICE))
        poison = [NewRecord(FEEDBACK, f"{first}-{nth}", b"poison") for nth in range(round(len(batch) * POISON))]
        yield [*batch, *twice, *poison]


def _send(kafka: Kafka, batches: Iterator[list[NewRecord]]) -> None:
    """Append every batch until Kafka has acknowledged it: what it had before it was killed is then there twice.

    After some of them comes poison that only others than the service write.
    """
    with closing(open_kafka_log(kafka)) as log:
        for number, batch in enumerate(batches):
            while not _appended(log, batch):
                time.sleep(_LOOK_S)
            while number % _FOREIGN_EVERY == 0 and not _sent_foreign(kafka, number % PARTITIONS):
                time.sleep(_LOOK_S)


def _sent_foreign(kafka: Kafka, partition: int) -> bool:
    try:
        send_foreign(kafka, b"poison", FEEDBACK, partition)
    except KafkaError:
        return False
    return True


def _appended(log: EventLog, batch: list[NewRecord]) -> bool:
    try:
        log.append(batch)
    except Unavailable:
        return False
    return True


def _wait_until_through(kafka: Kafka, progress: Progress) -> int:
    """Return once the store has taken all that Kafka has: how many records of it are poison."""
    poison = 0
    with closing(open_kafka_log(kafka)) as log:
        ends = {place: log.end_offset(*place) for place in places(log)}
        progress.wait_for(sum(ends.values()))
        for topic, partition in ends:
            at = 0
            while found := log.read(topic, partition, at, _BATCH * 10):
                poison += sum(one.payload == b"poison" for one in found)
                at = found[-1].offset + 1
    return poison
