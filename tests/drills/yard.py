"""Where a drill takes place: real servers, a home with a policy, a service on it that can be killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest import mock

import kafka_server
import postgres_server
import s3_server
from commands import write_config
from live_service import make_policies
from loopback import free_port
from service_ledger import wait_until_ingested, wait_until_serving

from thumbwheel.bus.kafka_topics import create_topics
from thumbwheel.config.settings import Artifacts, Kafka, Settings
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.simulate.service import ServiceProcess

PARTITIONS = 3


class Missing(Exception):
    """A server that a drill needs can not be had here; says how to get it."""


@dataclass(slots=True)
class Yard:
    """What a drill is given. `share` is how much of the whole drill to do, in (0, 1]."""

    folder: Path
    seed: int = 0
    share: float = 1.0
    say: Callable[[str], None] = lambda sentence: None
    chance: Random = field(init=False)
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.chance = Random(f"drill {self.seed}")

    def __enter__(self) -> Yard:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def times(self, whole: int, least: int = 1) -> int:
        """How often to do what the whole drill does `whole` times."""
        return max(least, round(whole * self.share))

    def broker(self) -> kafka_server.KafkaBroker:
        """Start a Kafka broker of this drill's own."""
        libs = kafka_server.libs()
        if libs is None:
            raise Missing(kafka_server.CURE)
        folder = self.folder / "kafka"
        folder.mkdir()
        return self._open.enter_context(kafka_server.running_broker(libs, folder))

    def postgres(self) -> postgres_server.PostgresServer:
        """Start a PostgreSQL server of this drill's own."""
        binaries = postgres_server.find_binaries()
        if binaries is None:
            raise Missing(postgres_server.CURE)
        return self._open.enter_context(postgres_server.running_server(binaries))

    def database(self, server: postgres_server.PostgresServer) -> str:
        """Make a database with all tables; return its URL, with the password."""
        return self._open.enter_context(server.database())

    def s3(self) -> s3_server.S3Gateway:
        """Start a gateway for S3 of this drill's own; what this process starts is let in."""
        libs = s3_server.libs()
        if libs is None:
            raise Missing(s3_server.CURE)
        folder = self.folder / "s3"
        folder.mkdir()
        self._open.enter_context(mock.patch.dict(os.environ, s3_server.environment()))
        return self._open.enter_context(s3_server.running_gateway(libs, folder))

    def home(self, url: str = "", artifacts: Artifacts | None = None) -> Path:
        """Make a home with keys and two small policies, registered in the database at `url`, else in the home's own."""
        home = self.folder / "home"
        home.mkdir(mode=0o700)
        load_or_make_keys(home / "keys.json", 1)
        make_policies(self.settings(home, url, artifacts))
        return home

    def settings(self, home: Path, url: str = "", artifacts: Artifacts | None = None) -> Settings:
        """Settings of a home whose rows and versions are elsewhere."""
        sections = {"database": self._database(url), "artifacts": _changed(artifacts)}
        return Settings.model_validate({"home": home, **sections})

    def flags(
        self, kafka: Kafka | None = None, url: str = "", artifacts: Artifacts | None = None, **log: object
    ) -> dict[str, object]:
        """Settings of a service that no limit of votes keeps from being loaded."""
        flags: dict[str, object] = {"feedback.max_per_rater_per_minute": 100_000}
        sections = {"log": log, "database": self._database(url), "artifacts": _changed(artifacts)}
        if kafka is not None:
            sections["kafka"] = kafka.model_dump(exclude_defaults=True)
            sections["log"] = {"kind": "kafka", **log}
        for section, values in sections.items():
            flags |= {f"{section}.{name}": value for name, value in values.items()}
        return flags

    def config(self, kafka: Kafka, url: str, **sections: Mapping[str, object]) -> Path:
        """Write a configuration for processes that stand alone, and their keys; return its path."""
        home = self.folder / "processes"
        load_or_make_keys(home / "keys.json", 1)
        given = {
            "log": {"kind": "kafka"},
            "kafka": kafka.model_dump(exclude_defaults=True),
            "database": self._database(url),
        }
        return write_config(self.folder / "thumbwheel.toml", {**given, **sections}, home=home)

    def _database(self, url: str) -> dict[str, object]:
        if not url:
            return {}
        password = self.folder / "password"
        password.write_text(postgres_server.PASSWORD)
        password.chmod(0o600)
        return {"url": url.replace(f":{postgres_server.PASSWORD}@", "@"), "password_file": password}


@dataclass(slots=True)
class Service:
    """`thumbwheel up` on a home. Its doors stay the same over kills and restarts, so clients find it again."""

    home: Path
    settings: Mapping[str, object]
    ports: Mapping[str, int] = field(
        default_factory=lambda: {f"serve.{door}": free_port() for door in ("port", "admin_port", "web_port")}
    )

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.ports['serve.port']}"

    @property
    def admin(self) -> str:
        return f"127.0.0.1:{self.ports['serve.admin_port']}"

    @contextmanager
    def running(self) -> Iterator[ServiceProcess]:
        """Run it, serving, while the block runs."""
        with ServiceProcess(self.home, {**self.settings, **self.ports}) as process:
            asyncio.run(wait_until_serving(self.target))
            yield process

    def settle(self) -> None:
        """Return once everything acknowledged is in the store. The service has to run."""
        wait_until_ingested(self.admin)


def kafka_settings(broker: kafka_server.KafkaBroker) -> Kafka:
    """Topics of their own on the broker, made."""
    settings = Kafka(
        bootstrap_servers=broker.bootstrap,
        topic_prefix=f"{uuid.uuid4()}.",
        partitions=PARTITIONS,
        replication=1,
        request_timeout_s=1.0,
        ack_timeout_s=2.0,
    )
    create_topics(settings)
    return settings


def _changed(section: Artifacts | None) -> dict[str, object]:
    """What of a section is not as it is by default."""
    return section.model_dump(exclude_defaults=True) if section is not None else {}


@contextmanager
def yard(seed: int, share: float, say: Callable[[str], None]) -> Iterator[Yard]:
    """A yard in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="thumbwheel-drill-"))
    try:
        with Yard(folder, seed, share, say) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
