"""Every part in a process of its own, with a home of its own or none: Kafka and PostgreSQL are all they share.

And a folder that stands for a shared volume, and the key file.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import httpx
import pytest
from commands import COMMAND, RunningCommand, write_config
from desk import SETTINGS, USERS, first_desk, texts
from kafka_server import KafkaBroker
from postgres_server import PASSWORD
from service_ledger import Acknowledged, ask_and_vote, demand_balance, wait_until_ingested, wait_until_serving
from sqlalchemy import Engine

from thumbwheel.app.storage import open_registry
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.config.load import load_settings
from thumbwheel.config.settings import Kafka
from thumbwheel.database.engine import connect
from thumbwheel.errors import RunInProgress
from thumbwheel.records import Channel, PolicyKind, RunState
from thumbwheel.registry.port import NewVersion

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")]

VOTES = 500
BURSTS = 4
SEED = 9


@pytest.fixture(scope="module")
def first_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_desk(tmp_path_factory.mktemp("policy") / "v1")


@pytest.fixture
def config(kafka_broker: KafkaBroker, postgres_url: str, first_policy: Path, tmp_path: Path) -> Path:
    """The one configuration of all processes, with the topics, the keys and two policies made."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "password").write_text(PASSWORD)
    kafka = Kafka(
        bootstrap_servers=kafka_broker.bootstrap,
        topic_prefix=f"{uuid.uuid4()}.",
        partitions=3,
        replication=1,
        request_timeout_s=2.0,
    )
    create_topics(kafka)
    sections: dict[str, Mapping[str, object]] = {
        "log": {"kind": "kafka", "feedback_durability": "broker"},
        "kafka": kafka.model_dump(exclude_defaults=True),
        "database": {
            "url": postgres_url.replace(f":{PASSWORD}@", "@"),
            "password_file": tmp_path / "password",
        },
        "artifacts": {"url": f"file://{tmp_path}/shared"},
        "feedback": {"keys_file": tmp_path / "keys.json", "max_per_rater_per_minute": 100_000},
        "serve": {"port": 0, "admin_port": 0, "web_port": 0},
        "probes": {"serve_port": 0, "ingest_port": 0, "retrain_port": 0, "web_port": 0},
        **SETTINGS,
    }
    made = write_config(tmp_path / "thumbwheel.toml", sections)
    once(made, tmp_path / "anywhere", "keys", "create")
    settings = load_settings(made, {"home": str(tmp_path / "anywhere")}).settings
    with closing(open_registry(settings)) as registry:
        for policy in ("desk", "topics"):
            registry.publish(NewVersion(policy, PolicyKind.CLASSIFY), first_policy)
            registry.move(policy, Channel.CHAMPION, "v1", actor="test", reason="first")
    return made


@pytest.fixture
def books(postgres_url: str) -> Iterator[Engine]:
    engine = connect(postgres_url)
    yield engine
    engine.dispose()


def once(config: Path, home: Path, *arguments: str) -> str:
    """Run a command that ends; return what it said. Its exit status is 0."""
    command = [*COMMAND, "--config", str(config), "--home", str(home), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def serving(config: Path, home: Path) -> Iterator[RunningCommand]:
    with RunningCommand(config, "--home", str(home), "serve") as serve:
        asyncio.run(wait_until_serving(serve.address("gRPC")))
        yield serve


async def teach(target: str) -> None:
    """Ask the desk, each user a few times, and rate each answer by the truth."""
    async with AsyncClient(target) as client:

        async def ask(number: int, text: str, label: str) -> None:
            answer = await client.classify(text, "desk", user=f"u{number % USERS}")
            await (answer.thumbs_up() if answer.label == label else answer.thumbs_down())

        asked = [ask(number, row.text, row.label) for number, row in enumerate(texts(VOTES, 2))]
        for at in range(0, VOTES, 50):
            await asyncio.gather(*asked[at : at + 50])


async def version_that_answers(target: str) -> str:
    async with AsyncClient(target) as client:
        return (await client.classify("where is my parcel", "desk", user="u0")).version


def until(reached: Callable[[], bool]) -> None:
    while not reached():
        time.sleep(0.2)


@pytest.mark.timeout(900)
def test_a_vote_goes_the_whole_way_through_processes_that_share_nothing_but_the_ports(
    config: Path, tmp_path: Path
) -> None:
    with serving(config, tmp_path / "a") as serve, RunningCommand(config, "--home", str(tmp_path / "b"), "ingest"):
        target, operators = serve.address("gRPC"), serve.address("operators")
        asyncio.run(teach(target))
        assert wait_until_ingested(operators) == 0

        with AdminClient(operators) as admin:
            run_id = admin.start_run("desk", actor="ann")
            queued = admin.run(run_id)
            assert (queued.state, queued.policy) == (RunState.QUEUED, "desk")
            with pytest.raises(RunInProgress, match=f"{run_id} waits already"):
                admin.start_run("desk", actor="bob")
            (desk, _) = admin.status().policies
            assert (desk.running_run_id, desk.running_step) == (run_id, "queued")

            said = once(config, tmp_path / "c", "retrain", "--once")
            assert run_id in said and "promoted" in said, said
            assert "topics" not in said  # nobody voted on it
            run = admin.run(run_id)
            assert (run.state, run.candidate_version) == (RunState.PROMOTED, "v2"), run
            assert run.report_path == f"file://{tmp_path}/shared/.reports/{run_id}.html"
            until(lambda: asyncio.run(version_that_answers(target)) == "v2")
            assert once(config, tmp_path / "c", "retrain", "--once") == "nothing was due\n"
        shutil.rmtree(tmp_path / "c")

        doors = ("--address", target, "--admin-address", operators)
        with RunningCommand(config, "--home", str(tmp_path / "d"), *doors, "web") as web:
            pages = web.address("pages").rstrip("/")
            assert "desk" in httpx.get(pages).text
            assert run_id in httpx.get(f"{pages}/operate?policy=desk").text
            assert "<html" in httpx.get(f"{pages}/operate/runs/{run_id}/report.html").text
            until(lambda: web.health()["status"] == "serving")


@pytest.mark.timeout(900)
def test_what_was_acknowledged_outlives_a_serve_that_is_killed_and_its_home(
    config: Path, tmp_path: Path, books: Engine
) -> None:
    told, chance, home = Acknowledged(), Random(SEED), tmp_path / "a"
    with RunningCommand(config, "--home", str(tmp_path / "b"), "ingest"):
        for _ in range(BURSTS):
            with serving(config, home) as serve:
                asyncio.run(ask_and_vote(serve.address("gRPC"), told, chance.randint(20, 80), serve.kill))
            shutil.rmtree(home)
        with serving(config, home) as serve:
            assert wait_until_ingested(serve.address("operators")) == 0
    told.answers.clear()  # of those that nobody has voted on the last may have gone with the home
    assert len(told.votes) >= 20 * BURSTS
    demand_balance(books, told)
