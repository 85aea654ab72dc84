"""The store of versions goes away while a service runs on it, or before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import grpc
import pytest
from artifact_stores import kept_remotely, s3_settings
from s3_server import S3Gateway

from thumbwheel.config.settings import Artifacts as ArtifactSettings
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.registry.artifacts.port import Artifacts
from thumbwheel.registry.sql import SqlRegistry


@pytest.fixture
def section(s3_gateway: S3Gateway) -> ArtifactSettings:
    return s3_settings(s3_gateway, timeout_s=0.5)


@pytest.fixture
def artifacts(section: ArtifactSettings, tmp_path: Path) -> Artifacts:
    return kept_remotely(open_store(section), tmp_path).artifacts


def promote_elsewhere(home: Any, section: ArtifactSettings, version: str) -> None:
    """By another process, with a cache of its own."""
    registry = SqlRegistry(home.database, kept_remotely(open_store(section), home.path / "elsewhere").artifacts)
    registry.move("intent", Channel.CHAMPION, version, actor="ann", reason="better")


async def version_of_an_answer(service: Any) -> str:
    answer = await service.stub.Classify(pb.ClassifyRequest(text="x"))
    return str(answer.stamp.policy_version)


async def test_at_a_swap_the_old_version_goes_on_and_it_is_tried_again(
    home: Any, serve: Any, section: ArtifactSettings, s3_gateway: S3Gateway
) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)
    home.publish("intent", PolicyKind.CLASSIFY, seed=2, promote=False)
    async with serve(serve={"reconcile_s": 60}) as service:
        promote_elsewhere(home, section, "v2")
        s3_gateway.kill()
        await service.inference.reconciler.reconcile()
        assert await version_of_an_answer(service) == "v1"
        assert "the artifact store s3://" in service.inference.reconciler.problems()["intent"]
        assert "roll back" not in service.inference.reconciler.problems()["intent"]
        assert service.metric("thumbwheel_swaps_total", policy="intent", outcome="failed") == 1
        assert service.metric("thumbwheel_damaged_versions_total", policy="intent") == 0

        s3_gateway.start()
        service.inference.reconciler.retry_now()
        await service.inference.reconciler.reconcile()
        assert await version_of_an_answer(service) == "v2"
        assert service.inference.reconciler.problems() == {}


async def test_a_start_without_the_store_serves_what_is_at_hand(home: Any, serve: Any, s3_gateway: S3Gateway) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)  # and promotes, which fetches
    s3_gateway.kill()
    async with serve() as service:
        assert await version_of_an_answer(service) == "v1"


async def test_a_start_with_nothing_at_hand_is_unavailable_until_the_store_is_back(
    home: Any, serve: Any, s3_gateway: S3Gateway
) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)
    shutil.rmtree(home.path / "cache")
    s3_gateway.kill()
    async with serve(wait=False, serve={"reconcile_s": 60}) as service:
        await service.inference.reconciler.reconcile()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await version_of_an_answer(service)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the artifact store s3://" in (refused.value.details() or "")
        s3_gateway.start()
        service.inference.reconciler.retry_now()
        await service.inference.reconciler.reconcile()
        assert await version_of_an_answer(service) == "v1"
