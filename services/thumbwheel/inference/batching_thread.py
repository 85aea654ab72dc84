"""The thread that decodes: transformers' continuous batching over one model.

It is the only one to touch the model: a plain forward on the served model, or on one that shares its config object,
would be computed with the wrong attention mask, without an error.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from thumbwheel.config.settings import Generate
from thumbwheel.errors import Unavailable
from thumbwheel.inference.loop_router import LoopRouter
from thumbwheel.inference.token_sampler import PlanProcessor, SequencePlan
from thumbwheel.policy.batching import Batching, batching_manager
from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import end_token_id

_STOP_TIMEOUT_S = 30.0
# How the loop is told that no token ends a sequence.
_NO_END = -1


class BatchingThread:
    """Draws the tokens of many sequences at a time. Its methods are for the event loop."""

    def __init__(self, policy: CausalPolicy, settings: Generate, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread over the model of `policy`; what it draws is told on `loop`.

        Blocks for the allocation of the cache's bookkeeping; call it off the event loop. Raises UnservableVersion for a
        model that has layers without attention.
        """
        self._end_id = end_token_id(policy.tokenizer)
        self._router = LoopRouter(loop)
        # Last: whatever fails before it leaves no thread behind.
        self._manager = _start(policy, settings, self._router)

    @property
    def alive(self) -> bool:
        """Whether it computes or waits for work."""
        return self._manager is not None and bool(self._manager.is_running())

    @property
    def sequences(self) -> int:
        """Sequences that it holds, decoding or waiting."""
        processor = self._manager.batch_processor if self._manager is not None else None
        if processor is None:
            return 0
        return len(processor.scheduler.active_requests) + len(processor.scheduler.waiting_requests)

    def submit(
        self,
        prompt_ids: Sequence[int],
        plan: SequencePlan,
        streaming: bool,
        sink: Callable[[Any], None],
        to_the_end: bool = False,
    ) -> str:
        """Draw one sequence and return its id; with `streaming` `sink` hears of every token, else of the end only.

        With `to_the_end` the end token is one like any other: all `max_new_tokens` are drawn.

        Raises Unavailable when the thread has stopped.
        """
        request_id = self._router.register(sink)
        accepted = self._manager is not None and self._manager.add_request(
            list(prompt_ids),
            request_id=request_id,
            max_new_tokens=plan.sampling.max_new_tokens,
            streaming=streaming,
            eos_token_id=_NO_END if to_the_end else self._end_id,
            plan=plan,
        )
        if not accepted:
            self._router.forget(request_id)
            raise Unavailable("the engine of this version has stopped: try again", retry_after_s=1.0)
        return request_id

    def cancel(self, request_id: str) -> None:
        """Stop computing a sequence; nothing more is heard of it."""
        self._router.forget(request_id)
        if self._manager is not None:
            self._manager.cancel_request(request_id)

    async def stop(self) -> None:
        """End the thread and free model and cache. Sequences still in it fail."""
        manager, self._manager = self._manager, None
        if manager is not None:
            await asyncio.to_thread(_stop, manager)
            del manager
            # Model, manager and cache refer to each other in circles.
            await asyncio.to_thread(gc.collect)


def _start(policy: CausalPolicy, settings: Generate, router: LoopRouter) -> Any:
    """Make and start the manager."""
    # Without a seed of its own every process would draw the same answers.
    seed = secrets.randbits(31)
    batching = Batching(settings.kv_blocks, settings.concurrent, settings.max_new_tokens, seed)
    manager = batching_manager(policy, batching, PlanProcessor())
    manager.output_router = router
    manager.start()
    return manager


def _stop(manager: Any) -> None:
    manager.stop(block=True, timeout=_STOP_TIMEOUT_S, hard_stop=True)
    manager.destroy()
