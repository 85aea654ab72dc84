"""From the batching thread onto the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from transformers.generation.continuous_batching.continuous_api import OutputRouter


class LoopRouter(OutputRouter):  # type: ignore[misc]
    """Carries the batching thread's outputs onto the event loop. What nobody waits for is dropped.

    (The inherited one keeps such outputs in a queue without bound.)
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Carry outputs onto `loop`."""
        super().__init__()
        self._loop = loop
        self._sinks: dict[str, Callable[[Any], None]] = {}
        self._count = 0

    def register(self, sink: Callable[[Any], None]) -> str:
        """Return the id of a new sequence, whose outputs go to `sink`."""
        self._count += 1
        request_id = f"s{self._count}"
        self._sinks[request_id] = sink
        return request_id

    def forget(self, request_id: str) -> None:
        """Drop what still comes of a sequence."""
        self._sinks.pop(request_id, None)

    def deliver(self, output: Any) -> None:
        """Carry one output. Called on the batching thread."""
        self.deliver_batch([output])

    def deliver_batch(self, outputs: list[Any]) -> None:
        """Carry the outputs of a step. Called on the batching thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._dispatch, outputs)

    def _dispatch(self, outputs: list[Any]) -> None:
        for output in outputs:
            sink = self._sinks.get(output.request_id)
            if sink is not None:
                sink(output)
            if output.is_finished():
                self.forget(output.request_id)
