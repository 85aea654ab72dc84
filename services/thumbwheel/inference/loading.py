"""From a version's folder to a warm engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import assert_never
from weakref import WeakSet

from thumbwheel.config.settings import Settings
from thumbwheel.inference.classify_engine import BatchedClassifyEngine
from thumbwheel.inference.engine import Engine
from thumbwheel.inference.generate_engine import BatchedGenerateEngine
from thumbwheel.inference.self_check import foretell
from thumbwheel.inference.tag_engine import BatchedTagEngine
from thumbwheel.inference.torch_runtime import spare_the_collector
from thumbwheel.policy.classify import load_classifier
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.tag import load_tagger
from thumbwheel.records import PolicyKind
from thumbwheel.telemetry.metrics import QueueMetrics

# Between two stages of a load, while other versions answer. A stage holds the interpreter for tens of milliseconds:
# one after the other at once they would all delay the same answers, apart they delay different ones, each a little.
_BREATH_S = 0.06


_Made = BatchedGenerateEngine | BatchedClassifyEngine | BatchedTagEngine


class EngineLoader:
    """Makes engines. Owns the one thread on which all classifiers and taggers compute."""

    def __init__(self, settings: Settings, metrics: QueueMetrics) -> None:
        """Load with the limits of `settings`; `metrics` are of the queues before the engines."""
        self._settings = settings
        self._metrics = metrics
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="classify")
        self._collector_spared = False
        self._made: WeakSet[Engine] = WeakSet()
        metrics.limit.set(settings.classify.queue_limit, queue="classify")
        metrics.limit.set(settings.tag.queue_limit, queue="tag")
        metrics.limit.set(settings.generate.queue_limit, queue="generate")

    async def load(self, kind: PolicyKind, folder: Path) -> Engine:
        """Load and warm the version in `folder`, without holding up the event loop.

        Raises DamagedArtifact when it can't be loaded or can't compute, UnservableVersion when it never will.
        """
        if not self._collector_spared:
            self._collector_spared = True
            spare_the_collector()
        engine = await self._made_of(kind, folder)
        try:
            await self._breathe()
            await engine.warm()
            await self._breathe()
        except BaseException:
            await engine.close()
            raise
        self._made.add(engine)
        return engine

    def close(self) -> None:
        """Let go of the computing thread."""
        self._computing.shutdown(wait=True, cancel_futures=True)

    async def _breathe(self) -> None:
        """Leave the interpreter to those who answer, if any do."""
        if any(engine.healthy for engine in self._made):
            await asyncio.sleep(_BREATH_S)

    async def _made_of(self, kind: PolicyKind, folder: Path) -> _Made:
        """Make the engine, not yet warm."""
        match kind:
            case PolicyKind.GENERATE:
                return await self._generate(folder)
            case PolicyKind.CLASSIFY:
                classifier = await asyncio.to_thread(load_classifier, folder)
                return BatchedClassifyEngine(classifier, self._settings.classify, self._computing, self._metrics)
            case PolicyKind.TAG:
                tagger = await asyncio.to_thread(load_tagger, folder)
                return BatchedTagEngine(tagger, self._settings.tag, self._computing, self._metrics)
            case _:
                assert_never(kind)

    async def _generate(self, folder: Path) -> BatchedGenerateEngine:
        loop = asyncio.get_running_loop()
        policy = await asyncio.to_thread(load_causal, folder)
        await self._breathe()
        # Before the engine has the model: then a plain pass would be a wrong one.
        check = await asyncio.to_thread(foretell, policy.model)
        await self._breathe()
        return await _built(lambda: BatchedGenerateEngine(policy, check, self._settings.generate, loop))


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
