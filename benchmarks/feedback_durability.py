"""Votes with Kafka behind the outbox: whether a broker that is away slows them, and what waiting for it costs.

    python benchmarks/feedback_durability.py [--phase-s 60] [--votes 4000] [--turns 3] [--others]

A service of its own with a `classify` policy, a real broker. First in `outbox` mode: callers ask and vote without pause
with the broker up, then with the broker killed for as long; only the votes are timed. The broker comes back, and the
outbox drains. Then turns of `outbox` and `broker` mode: 64 callers vote on answers that they have, votes/s of each.

`--others`, alone: what a replica on Ray adds to `broker` mode, looking for the votes' answers in the outboxes of the
other replicas: votes/s of 64 callers into Kafka, with three such outboxes and without. No service, no gRPC.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from answered import answer_and_vote
from kafka_server import KafkaBroker, libs, running_broker
from live_service import make_policies

from record import record
from thumbwheel.app.home import make_home
from thumbwheel.app.outboxes import OtherOutboxes, outbox_of
from thumbwheel.app.storage import open_outbox, open_storage
from thumbwheel.bus.answers_elsewhere import AnswersElsewhere
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import REQUESTS, NewRecord
from thumbwheel.client import AsyncClient
from thumbwheel.client.answers import Classification
from thumbwheel.config.settings import Kafka, Log, Settings
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.simulate.service import ServiceProcess

COMMAND = "python benchmarks/feedback_durability.py"
POLICY = "topics"
TEXT = "where is my parcel"
CALLERS = 64
FEW_CALLERS = 8
OTHERS = 3
AWAY_GOAL, BROKER_GOAL, OTHERS_GOAL = 1.2, 0.5, 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phase-s", type=float, default=60.0)
    parser.add_argument("--votes", type=int, default=4_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--others", action="store_true")
    asked = parser.parse_args()
    found = libs()
    if found is None:
        sys.exit("this needs Kafka (make servers)")
    with tempfile.TemporaryDirectory() as folder, running_broker(found, Path(folder)) as broker:
        if asked.others:
            others(Path(folder), broker, asked.votes, asked.turns)
            return
        policies = Path(folder) / "policies"
        policies.mkdir()
        make_policies(Settings(home=policies))
        away(Path(folder), policies, broker, asked.phase_s)
        modes(Path(folder), policies, broker, asked.votes, asked.turns)


def away(folder: Path, policies: Path, broker: KafkaBroker, phase_s: float) -> None:
    with service(folder / "away", policies, broker, "outbox") as running:
        up_s, away_s = asyncio.run(up_and_away(running.addresses["grpc"], broker, phase_s))
        held, began = waiting(running.home), time.perf_counter()
        broker.start()
        while waiting(running.home):
            time.sleep(0.05)
        drained = held / (time.perf_counter() - began)
    ratio = max(p99(up_s), p99(away_s)) / min(p99(up_s), p99(away_s))
    note = (
        f"{FEW_CALLERS} callers ask and vote; p99 {p99(up_s) * 1e3:.1f} ms of {len(up_s)} votes with the broker up, "
        f"{p99(away_s) * 1e3:.1f} ms of {len(away_s)} with it away for {phase_s:.0f} s"
    )
    print(f"{note}: {ratio:.2f}; {held} records shipped after at {drained:,.0f}/s, its start included", flush=True)
    figure = "outbox mode: vote p99, broker up and away, the larger / the smaller"
    record(figure, ratio, "ratio", f"<= {AWAY_GOAL}", ratio <= AWAY_GOAL, COMMAND, note)
    note = f"{held} records that waited when the broker was started again; its start is part of the time"
    record("outbox drain after the broker was away", drained, "records/s", "stated", True, COMMAND, note)


async def up_and_away(target: str, broker: KafkaBroker, phase_s: float) -> tuple[list[float], list[float]]:
    async with AsyncClient(target) as client:
        await served(client)
        await timed_votes(client, 5.0)
        up_s = await timed_votes(client, phase_s)
        await asyncio.to_thread(broker.kill)
        return up_s, await timed_votes(client, phase_s)


async def timed_votes(client: AsyncClient, for_s: float) -> list[float]:
    """Seconds that each vote took."""
    took_s: list[float] = []
    ends = time.perf_counter() + for_s

    async def caller(user: str) -> None:
        while time.perf_counter() < ends:
            answer = await client.classify(TEXT, POLICY, user=user)
            started = time.perf_counter()
            await answer.thumbs_up()
            took_s.append(time.perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for number in range(FEW_CALLERS):
            group.create_task(caller(f"user-{number}"))
    return took_s


def modes(folder: Path, policies: Path, broker: KafkaBroker, votes: int, turns: int) -> None:
    rates: dict[str, list[float]] = {"outbox": [], "broker": []}
    for turn in range(turns):
        for mode, found in rates.items():
            with service(folder / f"{mode}-{turn}", policies, broker, mode) as running:
                found.append(asyncio.run(votes_per_s(running.addresses["grpc"], votes)))
                print(f"  {mode}: {found[-1]:,.0f} votes/s", flush=True)
    outbox, acknowledged = (median(found) for found in rates.values())
    note = f"{CALLERS} callers; votes/s: {acknowledged:,.0f} in broker mode, {outbox:,.0f} in outbox mode"
    ratio = acknowledged / outbox
    figure = "votes/s of 64 callers, broker mode / outbox mode"
    record(figure, ratio, "ratio", f">= {BROKER_GOAL}", ratio >= BROKER_GOAL, COMMAND, note)
    print(f"{note}: {ratio:.2f}", flush=True)


def others(folder: Path, broker: KafkaBroker, votes: int, turns: int) -> None:
    rates: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(turns):
        for looks, found in rates.items():
            home = folder / f"{looks}-{turn}"
            found.append(asyncio.run(appended_per_s(home, own_topics(broker), votes, looks)))
            print(f"  {'looking' if looks else 'not looking'}: {found[-1]:,.0f} votes/s", flush=True)
    plain, looking = (median(found) for found in rates.values())
    note = f"{CALLERS} callers, no gRPC; votes/s: {looking:,.0f} looking into {OTHERS} other outboxes, {plain:,.0f} not"
    figure = "votes/s in broker mode, looking into other replicas' outboxes / not"
    record(figure, looking / plain, "ratio", f">= {OTHERS_GOAL}", looking / plain >= OTHERS_GOAL, COMMAND, note)
    print(f"{note}: {looking / plain:.2f}", flush=True)


async def appended_per_s(home: Path, kafka: Kafka, votes: int, looks: bool) -> float:
    log = Log(kind="kafka", feedback_durability="broker")
    settings = Settings(home=home, kafka=kafka, log=log)
    make_home(home)
    load_or_make_keys(settings.keys_path, 1)
    with open_storage(settings, lambda _: None) as storage, ExitStack() as stack:
        for number in range(OTHERS):
            (home / "replicas" / str(number)).mkdir(parents=True)
            outbox = stack.enter_context(closing(open_outbox(settings, outbox_of(home / "replicas" / str(number)))))
            outbox.append([NewRecord(REQUESTS, f"waits-{number}", bytes(1_000))])
        elsewhere = stack.enter_context(closing(OtherOutboxes(settings.log_path, home / "replicas")))
        appender = AnswersElsewhere(storage.votes, elsewhere.held, 10.0) if looks else storage.votes
        given = iter([to_log(answer_and_vote(number)[1]) for number in range(votes)])

        async def vote(_user: str) -> None:
            for one in given:
                await appender.append([one])

        started = time.perf_counter()
        await from_all(vote)
        return votes / (time.perf_counter() - started)


async def votes_per_s(target: str, votes: int) -> float:
    async with AsyncClient(target) as client:
        await served(client)
        answers: list[Classification[Awaitable[str]]] = []

        async def ask(user: str) -> None:
            for _ in range(votes // CALLERS):
                answers.append(await client.classify(TEXT, POLICY, user=user))

        await from_all(ask)
        left = iter(answers)

        async def vote(_user: str) -> None:
            for answer in left:
                await answer.thumbs_up()

        started = time.perf_counter()
        await from_all(vote)
        return len(answers) / (time.perf_counter() - started)


async def from_all(work: Callable[[str], Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(work(f"user-{number}"))


async def served(client: AsyncClient) -> None:
    while not all(one.served for one in await client.describe()):
        await asyncio.sleep(0.1)


@contextmanager
def service(home: Path, policies: Path, broker: KafkaBroker, durability: str) -> Iterator[ServiceProcess]:
    """A service on a home and on topics of its own."""
    shutil.copytree(policies, home)
    kafka = own_topics(broker)
    settings = {
        **{f"serve.{door}": 0 for door in ("port", "admin_port", "web_port")},
        "feedback.max_per_rater_per_minute": 100_000,
        "log.kind": "kafka",
        "log.feedback_durability": durability,
        **{f"kafka.{name}": value for name, value in kafka.model_dump(exclude_defaults=True).items()},
    }
    with ServiceProcess(home, settings) as running:
        yield running


def own_topics(broker: KafkaBroker) -> Kafka:
    """Make topics that nobody else has."""
    kafka = Kafka(bootstrap_servers=broker.bootstrap, topic_prefix=f"{uuid.uuid4()}.", replication=1)
    create_topics(kafka)
    return kafka


def waiting(home: Path) -> int:
    """How many records the outbox holds."""
    with sqlite3.connect(f"file:{home / 'log.sqlite'}?mode=ro", uri=True) as outbox:
        return int(outbox.execute("SELECT count(*) FROM records").fetchone()[0])


def p99(took_s: list[float]) -> float:
    return sorted(took_s)[int(len(took_s) * 0.99)]


if __name__ == "__main__":
    main()
