"""A real service on a free port, with tiny random policies, the real registry and the real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from random_policies import write_causal, write_classifier, write_tagger

from thumbwheel.app.doors import inference_door, request_log_of
from thumbwheel.app.identity import Identity
from thumbwheel.app.inference import Inference
from thumbwheel.bus.codec import from_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import REQUESTS
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.hosts.local import LocalHost
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.torch_runtime import prepare_torch
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.records import Channel, LoggedResponse, Manifest, PolicyKind
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.artifacts.port import Artifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.telemetry.metrics import Metrics


@pytest.fixture(scope="session", autouse=True)
def quiet_torch() -> None:
    prepare_torch(1)


_WRITE: dict[PolicyKind, Callable[..., Path]] = {
    PolicyKind.GENERATE: write_causal,
    PolicyKind.CLASSIFY: write_classifier,
    PolicyKind.TAG: write_tagger,
}


class Home:
    """A folder with registry, log and keys, as a process has it."""

    def __init__(self, path: Path, artifacts: Artifacts) -> None:
        self.path = path
        self.database = connect(f"sqlite:///{path / 'store.sqlite'}")
        migrate(self.database)
        self.registry = SqlRegistry(self.database, artifacts)
        self.identity = Identity.of(load_or_make_keys(path / "keys.json", 1), Settings(home=path))
        self.tokens, self.raters = self.identity.signer, self.identity.raters
        self.log = open_log(path / "log.sqlite")
        self._folders = 0

    def publish(self, policy: str, kind: PolicyKind, seed: int, promote: bool = True, **extra: Any) -> Manifest:
        self._folders += 1
        folder = self.path / f"made-{self._folders}"
        manifest = self.registry.publish(NewVersion(policy, kind), _WRITE[kind](folder, seed, **extra))
        if promote:
            self.promote(policy, manifest.version)
        return manifest

    def promote(self, policy: str, version: str) -> None:
        self.registry.move(policy, Channel.CHAMPION, version, actor="test", reason="test")

    def logged(self) -> list[LoggedResponse]:
        stored = [
            one for partition in self.log.partitions(REQUESTS) for one in self.log.read(REQUESTS, partition, 0, 100_000)
        ]
        records = [from_log(one) for one in stored]
        return [record for record in records if isinstance(record, LoggedResponse)]

    def close(self) -> None:
        self.log.close()
        self.database.dispose()


@dataclass
class Service:
    home: Home
    inference: Inference
    host: LocalHost
    metrics: Metrics
    request_log: RequestLog
    channel: grpc.aio.Channel
    stub: Any

    async def swap_to(self, policy: str, version: str) -> None:
        """Promote and wait until it serves."""
        moved = asyncio.Event()
        self.inference.policies.watch(moved.set)
        self.home.promote(policy, version)
        while self.inference.policies.served(policy)[0].ref.version != version:
            moved.clear()
            self.inference.reconciler.nudge()
            await moved.wait()

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Where versions live; a test of another store overrides it."""
    return LocalArtifacts(tmp_path / "versions")


@pytest.fixture
def home(tmp_path: Path, artifacts: Artifacts) -> Any:
    made = Home(tmp_path, artifacts)
    yield made
    made.close()


Serve = Callable[..., Any]


@pytest.fixture
def serve(home: Home) -> Serve:
    @asynccontextmanager
    async def started(wait: bool = True, appender: Any = None, **sections: dict[str, Any]) -> AsyncIterator[Service]:
        serve_section = {"port": 0, "admin_port": 0, "reconcile_s": 0.05, "drain_s": 5.0, **sections.pop("serve", {})}
        settings = Settings.model_validate({"home": home.path, "serve": serve_section, **sections})
        metrics = Metrics()
        committer = GroupCommitter(home.log, 64)
        inference = Inference(settings, home.registry, metrics)
        request_log = request_log_of(appender or committer, home.identity, metrics)
        door = inference_door(settings, request_log, inference.policies, metrics, inference.beside)
        host = LocalHost(settings.serve, [door], metrics.rpc)
        await host.start()
        try:
            inference.follow()
            inference.tell(host)
            if wait:
                await inference.ready()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{host.ports['public']}") as channel:
                yield Service(home, inference, host, metrics, request_log, channel, InferenceServiceStub(channel))
        finally:
            await host.drain()
            await inference.close()
            committer.close()

    return started
