"""A shadow: a version that answers what users ask without anybody seeing it, so that it is known how it would do.

It has the requests that the champion has just answered, a few at a time; under load the rest is left out. Its answers
are neither logged nor kept: only how they went is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import cast

from thumbwheel.errors import ThumbwheelError
from thumbwheel.inference.engine import ClassifyEngine, GenerateEngine, TagEngine
from thumbwheel.inference.swap import Served, ServedPolicies
from thumbwheel.inference.validate import ClassifyQuery, GenerateQuery, TagQuery
from thumbwheel.records import Channel
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.trial_metrics import ShadowMetrics

logger = get_logger(__name__)

_Work = Callable[[Served], Coroutine[object, object, str]]


class Shadows:
    """Gives requests to the shadows of policies. Lives on the event loop; `close` stops what is under way."""

    def __init__(self, policies: ServedPolicies, limit: int, metrics: ShadowMetrics) -> None:
        """At most `limit` requests are with shadows at once."""
        self._policies = policies
        self._limit = limit
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    def classified(self, policy: str, query: ClassifyQuery, label_index: int) -> None:
        """Let the shadow label what the champion gave a label."""

        async def label(shadow: Served) -> str:
            labelled = await cast(ClassifyEngine, shadow.engine).classify(query.text, query.greedy)
            return "same" if labelled.label_index == label_index else "other"

        self._follow(policy, label)

    def tagged(self, policy: str, query: TagQuery, tag_indices: Sequence[int]) -> None:
        """Let the shadow tag the words that the champion gave these tags."""

        async def tag(shadow: Served) -> str:
            tagged = await cast(TagEngine, shadow.engine).tag([word.text for word in query.words], query.greedy)
            return "same" if tuple(tagged.tag_indices) == tuple(tag_indices) else "other"

        self._follow(policy, tag)

    def generated(self, policy: str, query: GenerateQuery) -> None:
        """Let the shadow reply, once, to what was replied to."""

        async def reply(shadow: Served) -> str:
            engine = cast(GenerateEngine, shadow.engine)
            prompt_ids = engine.encode(query.messages)
            async with engine.generate(prompt_ids, query.sampling, 1, stream=False) as progress:
                texts = [step.finished.text async for step in progress if step.finished is not None]
            return "written" if any(text.strip() for text in texts) else "empty"

        self._follow(policy, reply)

    async def close(self) -> None:
        """Stop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _follow(self, policy: str, work: _Work) -> None:
        shadow = self._policies.current(policy, Channel.SHADOW)
        if shadow is None:
            return
        if len(self._tasks) >= self._limit:
            self._count(shadow, "left out")
            return
        task = asyncio.create_task(self._work(shadow, work), name=f"shadow-{policy}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, shadow: Served, work: _Work) -> None:
        started = monotonic()
        try:
            with shadow.lease():
                outcome = await work(shadow)
        except ThumbwheelError as error:
            logger.debug("a shadow could not answer", policy=shadow.ref.policy, problem=str(error))
            self._count(shadow, "failed")
            return
        except Exception:
            # A shadow is tried out: whatever it breaks must not reach those who are answered meanwhile.
            logger.exception("a shadow failed", policy=shadow.ref.policy, policy_version=shadow.ref.version)
            self._count(shadow, "failed")
            return
        self._count(shadow, outcome)
        self._metrics.duration.observe(monotonic() - started, policy_version=shadow.ref.version)

    def _count(self, shadow: Served, outcome: str) -> None:
        self._metrics.requests.inc(policy=shadow.ref.policy, policy_version=shadow.ref.version, outcome=outcome)
