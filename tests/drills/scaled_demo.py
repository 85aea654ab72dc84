"""The demonstration on the parts that carry it past one machine, all of them real, all of them here.

    make scaled-demo                  leaves everything up until Ctrl-C
    make scaled-demo ARGS=--exit      ends after the tables

Kafka, PostgreSQL and a gateway for S3 are started in a temporary folder. Before them, each in a process of its own:
`serve --on ray` with two replicas, two `ingest`, `retrain --watch`, and `web`. Users are those of `thumbwheel demo`. In
the end a table holds what was acknowledged against what is in Kafka and in the store. Status 0 only if they balance,
nothing was dropped, and a better version of every policy was promoted.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
import kafka_server
import postgres_server
import s3_server
from balance_sheet import Sheet
from commands import RunningCommand, write_config
from rich.console import Console

from thumbwheel.app.storage import open_between
from thumbwheel.bus.codec import from_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.source import places
from thumbwheel.cli.context import Context
from thumbwheel.cli.demo import faults, report
from thumbwheel.cli.first_policies import first_policies
from thumbwheel.cli.show import Bars
from thumbwheel.config.load import load_settings
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.schema import dead_letters, feedback_events, responses
from thumbwheel.database.transactions import reading
from thumbwheel.events.convert import EventRecord
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.records import Feedback, LoggedResponse
from thumbwheel.simulate.demo import INTENT, REPLY, DemoOutcome, DemoPlan, run_loop, write_first_data

from sqlalchemy import func, select  # isort: skip

PARTITIONS = 6
INGEST_WORKERS = 2
_READ = 1_000


@dataclass(frozen=True, slots=True)
class Servers:
    """What runs beside Thumbwheel."""

    kafka: kafka_server.KafkaBroker
    database_url: str
    s3: s3_server.S3Gateway


@click.command(help=__doc__)
@click.option("--exit", "leave", is_flag=True, help="End after the tables; status 0 only if all went well.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--asks", type=click.IntRange(1), default=3_000, show_default=True, help="Questions for replies.")
def main(leave: bool, seed: int, asks: int) -> None:
    plan = DemoPlan(seed=seed, asks={INTENT: asks * 4 // 3, REPLY: asks})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thumbwheel-scaled-")))
        bars = stack.enter_context(Bars())
        bars.say(f"folder: {folder}")
        servers = _servers(stack, folder, bars)
        config = _configure(folder, servers, plan)
        trained = stack.enter_context(_policies(folder, config, plan, bars))
        trained[INTENT].result()
        addresses = _processes(stack, folder, config, bars)
        outcome = asyncio.run(run_loop(plan, addresses, trained, bars))
        sheet = _balance(seed, _settings(config, folder), outcome)
        bars.stop()
        report(Context(), outcome)
        Console(width=120).print(sheet.table())
        for fault in faults(outcome):
            click.secho(fault, fg="red", err=True)
        if not leave:
            _stay(addresses)
    sys.exit(0 if outcome.good and sheet.holds else 1)


def _servers(stack: ExitStack, folder: Path, bars: Bars) -> Servers:
    jars, binaries, gateway = kafka_server.libs(), postgres_server.find_binaries(), s3_server.libs()
    for found, cure in ((jars, kafka_server.CURE), (binaries, postgres_server.CURE), (gateway, s3_server.CURE)):
        if found is None:
            raise click.ClickException(cure)
    assert jars is not None and binaries is not None and gateway is not None
    for name in ("kafka", "s3"):
        (folder / name).mkdir()
    bars.say("starting Kafka, PostgreSQL and S3")
    broker = stack.enter_context(kafka_server.running_broker(jars, folder / "kafka"))
    server = stack.enter_context(postgres_server.running_server(binaries))
    url = stack.enter_context(server.database())
    return Servers(broker, url, stack.enter_context(s3_server.running_gateway(gateway, folder / "s3")))


def _configure(folder: Path, servers: Servers, plan: DemoPlan) -> Path:
    """Write the one configuration of all processes; make the topics and the keys."""
    password, keys = folder / "password", folder / "keys.json"
    password.write_text(postgres_server.PASSWORD)
    password.chmod(0o600)
    load_or_make_keys(keys, 1)
    kafka = {
        "bootstrap_servers": servers.kafka.bootstrap,
        "topic_prefix": f"{uuid.uuid4()}.",
        "partitions": PARTITIONS,
        "replication": 1,
    }
    planned: dict[str, dict[str, object]] = {}
    for name, value in plan.settings.items():
        section, _, field = name.partition(".")
        planned.setdefault(section, {})[field] = value
    sections: Mapping[str, Mapping[str, object]] = {
        "log": {"kind": "kafka"},
        "kafka": kafka,
        "database": {
            "url": servers.database_url.replace(f":{postgres_server.PASSWORD}@", "@"),
            "password_file": password,
        },
        "artifacts": {"url": f"s3://{servers.s3.new_bucket()}/versions", "endpoint_url": servers.s3.endpoint_url},
        "feedback": {"keys_file": keys},
        "probes": {"serve_port": 0, "ingest_port": 0, "retrain_port": 0, "web_port": 0},
        "ray": {"min_replicas": 2, "max_replicas": 2, "cpus": 0.5, "metrics_port": 0},
        **planned,
        "serve": {"port": 0, "admin_port": 0, "web_port": 0, **planned.get("serve", {})},
    }
    os.environ.update(s3_server.environment())
    config = write_config(folder / "service.toml", sections)
    create_topics(_settings(config, folder).kafka)
    return config


def _settings(config: Path, folder: Path) -> Settings:
    return load_settings(config, {"home": str(folder / "demo")}).settings


@contextmanager
def _policies(folder: Path, config: Path, plan: DemoPlan, bars: Bars) -> Iterator[Mapping[str, Future[None]]]:
    os.environ["THUMBWHEEL_CONFIG"] = str(config)
    with first_policies(folder / "demo", write_first_data(plan, folder / "data"), bars) as trained:
        yield trained
    os.environ.pop("THUMBWHEEL_CONFIG")


def _processes(stack: ExitStack, folder: Path, config: Path, bars: Bars) -> Mapping[str, str]:
    """Start every part in a home of its own; return where users and operators find them."""

    def start(name: str, *arguments: str) -> RunningCommand:
        command = RunningCommand(config, "--home", str(folder / name), *arguments)
        bars.say(f"{name}: {command.said.strip()}")
        return stack.enter_context(command)

    for number in range(INGEST_WORKERS):
        start(f"ingest-{number + 1}", "ingest")
    start("retrain", "retrain", "--watch")
    serve = start("serve", "serve", "--on", "ray")
    grpc, admin = serve.address("gRPC"), serve.address("operators")
    web = start("web", "--address", grpc, "--admin-address", admin, "web")
    return {"grpc": grpc, "admin": admin, "web": web.address("pages").rstrip("/")}


def _balance(seed: int, settings: Settings, outcome: DemoOutcome) -> Sheet:
    """Hold what was acknowledged against Kafka and the store."""
    sheet = Sheet("scaled demo", seed)
    answers, votes = _in_kafka(settings)
    engine = connect(settings.database_url)
    try:
        with reading(engine) as connection:
            stored = [
                int(connection.scalar(select(func.count()).select_from(table)) or 0)
                for table in (responses, feedback_events, dead_letters)
            ]
    finally:
        engine.dispose()
    answered = outcome.asked - len(outcome.dropped)
    sheet.expect("answers served, that are in Kafka", answered, len(answers))
    sheet.expect("answers served, that are in the store", answered, stored[0])
    sheet.expect("votes acknowledged, that are in Kafka", outcome.acknowledged, len(votes))
    sheet.expect("votes acknowledged, that are in the store", outcome.acknowledged, stored[1])
    sheet.expect("dead letters", 0, stored[2])
    return sheet


def _in_kafka(settings: Settings) -> tuple[set[str], set[str]]:
    """The ids of the answers and votes there: what was shipped twice is one."""
    answers, votes = set(), set()
    for record in _records(settings):
        if isinstance(record, LoggedResponse):
            answers.add(record.response_id)
        if isinstance(record, Feedback):
            votes.add(record.feedback_id)
    return answers, votes


def _records(settings: Settings) -> Iterator[EventRecord]:
    with open_between(settings) as (source, _):
        for place in places(source.log):
            at = 0
            while found := source.log.read(*place, at, _READ):
                yield from map(from_log, found)
                at = found[-1].offset + 1


def _stay(addresses: Mapping[str, str]) -> None:
    click.echo(f"\nAll parts go on: gRPC {addresses['grpc']}, operators {addresses['admin']}")
    click.echo(f"  ask and vote   {addresses['web']}/")
    click.echo(f"  operate        {addresses['web']}/operate")
    click.echo("Ctrl-C stops them.")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


if __name__ == "__main__":
    main()
