"""From a version's folder to a warm engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import assert_never

from thumbwheel.config.settings import Settings
from thumbwheel.errors import DamagedArtifact
from thumbwheel.inference.classify_engine import BatchedClassifyEngine
from thumbwheel.inference.engine import Engine
from thumbwheel.inference.generate_engine import BatchedGenerateEngine
from thumbwheel.inference.torch_runtime import spare_the_collector
from thumbwheel.policy.classify import load_classifier
from thumbwheel.policy.loading import load_causal
from thumbwheel.records import PolicyKind
from thumbwheel.telemetry.metrics import QueueMetrics


class EngineLoader:
    """Makes engines. Owns the one thread on which all classifiers compute."""

    def __init__(self, settings: Settings, metrics: QueueMetrics) -> None:
        """Load with the limits of `settings`; `metrics` are of the queues before the engines."""
        self._settings = settings
        self._metrics = metrics
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="classify")
        self._collector_spared = False
        metrics.limit.set(settings.classify.queue_limit, queue="classify")
        metrics.limit.set(settings.generate.queue_limit, queue="generate")

    async def load(self, kind: PolicyKind, folder: Path) -> Engine:
        """Load and warm the version in `folder`, without holding up the event loop.

        Raises DamagedArtifact when it can't be loaded or can't compute.
        """
        if not self._collector_spared:
            self._collector_spared = True
            spare_the_collector()
        match kind:
            case PolicyKind.GENERATE:
                return await self._generate(folder)
            case PolicyKind.CLASSIFY:
                return await self._classify(folder)
            case PolicyKind.TAG:
                raise DamagedArtifact(f"a policy of kind {kind} can't be served by this version of the service")
            case _:
                assert_never(kind)

    def close(self) -> None:
        """Let go of the computing thread."""
        self._computing.shutdown(wait=True, cancel_futures=True)

    async def _generate(self, folder: Path) -> Engine:
        loop = asyncio.get_running_loop()
        settings = self._settings.generate
        engine = await _built(lambda: BatchedGenerateEngine(load_causal(folder), settings, loop))
        try:
            await engine.warm()
        except BaseException:
            await engine.close()
            raise
        return engine

    async def _classify(self, folder: Path) -> Engine:
        classifier = await asyncio.to_thread(load_classifier, folder)
        engine = BatchedClassifyEngine(classifier, self._settings.classify, self._computing, self._metrics)
        try:
            await engine.warm()
        except BaseException:
            await engine.close()
            raise
        return engine


async def _built(build: Callable[[], BatchedGenerateEngine]) -> BatchedGenerateEngine:
    """Build an engine in a thread. A thread can't be cancelled: what it makes for a caller who left is closed again.

    (Else the engine's batching thread would go on for ever, and the process could not end.)
    """
    building = asyncio.create_task(asyncio.to_thread(build))
    try:
        return await asyncio.shield(building)
    except asyncio.CancelledError:
        await asyncio.wait([building])
        if building.exception() is None:
            await building.result().close()
        raise
