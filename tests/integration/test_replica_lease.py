"""A replica whose database goes away: it serves on while nothing can have moved, and stops when something has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from postgres_server import PASSWORD, PostgresServer
from random_policies import write_classifier

from thumbwheel.app.replica import replica
from thumbwheel.app.storage import open_registry
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig, Unavailable
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.inference.torch_runtime import prepare_torch
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.telemetry.metrics import Metrics

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")]


class Told:
    """A witness that says what it is told to."""

    def __init__(self) -> None:
        self.answer: int | None = None
        self.asked = 0

    async def generation(self) -> int | None:
        self.asked += 1
        return self.answer


@pytest.fixture
def settings(tmp_path: Path, postgres_url: str) -> Settings:
    """A home with a policy; no broker is there, and serving does without."""
    prepare_torch(1)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    made = Settings.model_validate(
        {
            "home": tmp_path / "home",
            "database": {"url": postgres_url.replace(f":{PASSWORD}", ""), "password_file": password},
            "log": {"kind": "kafka"},
            "kafka": {"bootstrap_servers": "127.0.0.1:9", "request_timeout_s": 1.0, "ack_timeout_s": 2.0},
            "serve": {"reconcile_s": 0.1},
            "ray": {"lease_s": 1.0},
        }
    )
    registry = open_registry(made)
    version = registry.publish(
        NewVersion("topics", PolicyKind.CLASSIFY), write_classifier(tmp_path / "made", 1)
    ).version
    registry.move("topics", Channel.CHAMPION, version, actor="test", reason="test")
    registry.close()
    return made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_it_serves_on_while_nobody_can_read_the_registry_and_stops_when_a_channel_has_moved(
    settings: Settings, postgres: PostgresServer
) -> None:
    witness = Told()
    keys = tuple(key.key_id for key in load_or_make_keys(settings.keys_path, 1).token_keys)
    async with replica(settings, Metrics(), witness, keys, lambda inference: None) as running:
        policies = running.inference.policies
        assert policies.choose("topics", "").ref.version == "v1"
        postgres.stop("immediate")
        try:
            await until(lambda: witness.asked > 10)  # two leases long
            assert policies.choose("topics", "").ref.version == "v1"
            followed = running.inference.reconciler.generation
            assert followed is not None
            witness.answer = followed + 1
            await until(lambda: running.lease.lapsed)
            with pytest.raises(Unavailable, match="lost sight of the registry"):
                policies.choose("topics", "")
            assert not policies.serving
            witness.answer = followed
            await until(lambda: not running.lease.lapsed)
        finally:
            postgres.start()
        witness.answer = followed + 1
        await until(lambda: not running.lease.lapsed and policies.serving)
        assert policies.choose("topics", "").ref.version == "v1"


async def test_a_late_one_serves_no_earlier_version_for_a_damaged_champion(settings: Settings, tmp_path: Path) -> None:
    registry = open_registry(settings)
    new = NewVersion("topics", PolicyKind.CLASSIFY)
    version = registry.publish(new, write_classifier(tmp_path / "made-2", 2)).version
    registry.move("topics", Channel.CHAMPION, version, actor="test", reason="test")
    weights = registry.fetch("topics", version) / "model.safetensors"
    registry.close()
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    keys = tuple(key.key_id for key in load_or_make_keys(settings.keys_path, 1).token_keys)
    async with replica(settings, Metrics(), Told(), keys, lambda inference: None) as running:
        assert running.inference.policies.served("topics") == []
        assert "v2" in running.inference.reconciler.explain("topics")


async def test_with_other_keys_than_the_service_has_it_does_not_start(settings: Settings) -> None:
    load_or_make_keys(settings.keys_path, 1)
    with pytest.raises(InvalidConfig, match="another key file"):
        async with replica(settings, Metrics(), Told(), ("0badcafe",), lambda inference: None):
            raise AssertionError("it started")
