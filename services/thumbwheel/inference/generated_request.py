"""A request on its way through the engine: from the tokens of its candidates, as they come, to progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from transformers.generation.continuous_batching.requests import RequestStatus

from thumbwheel.errors import Unavailable
from thumbwheel.inference.engine import Generated, Progress
from thumbwheel.inference.sampling import Finish, Sampling
from thumbwheel.inference.text_stream import TextStream
from thumbwheel.inference.token_sampler import SequencePlan

# With more sequences than this `generate.stream_interval_ms` grows in proportion.
_IN_FLIGHT_AT_THE_INTERVAL = 8


class RequestEngine(Protocol):
    """What a request needs of the engine that draws its tokens."""

    @property
    def in_flight(self) -> int:
        """Sequences accepted and not yet finished or given up."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a finished answer's tokens."""

    def decode_piece(self, token_ids: Sequence[int]) -> str:
        """Text of some tokens in the middle of an answer, blanks kept."""

    def finish_of(self, token_ids: Sequence[int]) -> Finish:
        """Why the batching loop ended an answer."""

    def stop_early(self, request_id: str) -> None:
        """Stop computing a sequence."""


class GeneratedRequest:
    """One request's candidates, a `Drawing`. Only the newest state of each is kept: slow readers get longer pieces.

    A piece of its own for every token would cost the service half of what the token itself does, so a stream rests for
    a moment after each piece, and longer the more sequences there are: what pieces cost together stays the same. The
    first piece and the end of a candidate don't wait.
    """

    def __init__(self, engine: RequestEngine, candidates: int, sampling: Sampling, stream: bool, rest_s: float) -> None:
        """Read what `engine` draws; with `stream` as it grows, with at least `rest_s` seconds between two pieces."""
        self._stream = stream
        # Stop strings have to be looked for as the text grows.
        self.incremental = stream or bool(sampling.stop)
        self.plans = [SequencePlan(sampling) for _ in range(candidates)]
        self.ids: dict[int, str] = {}
        self._engine = engine
        self._texts = [TextStream(engine.decode_piece, sampling.stop) for _ in range(candidates)]
        self._seen = [0] * candidates
        self._drawn = [0] * candidates
        self._news: dict[int, Any] = {}
        self._wake = asyncio.Event()
        self._rest_s = rest_s if stream else 0.0
        self._rest: asyncio.TimerHandle | None = None

    def sink(self, candidate: int) -> Callable[[Any], None]:
        """Where the loop's outputs for a candidate go."""

        def take(output: Any) -> None:
            self._news[candidate] = output
            self._drawn[candidate] = len(output.generated_tokens)
            if self._rest is None or output.is_finished():
                self._wake.set()

        return take

    @property
    def tokens(self) -> int:
        """How many tokens were drawn so far, those after a stop string left out; unstreamed, of finished candidates."""
        return sum(self._drawn)

    def __aiter__(self) -> AsyncIterator[Progress]:
        """Read the progress."""
        return self.progress()

    def unfinished(self) -> list[str]:
        """Ids of the sequences that are still computed."""
        return list(self.ids.values())

    async def progress(self) -> AsyncIterator[Progress]:
        """Yield what is new until every candidate is finished."""
        while self.ids:
            await self._wake.wait()
            self._wake.clear()
            news, self._news = self._news, {}
            for candidate, output in news.items():
                if candidate in self.ids:
                    step = self._advance(candidate, output)
                    if step.finished is not None or (self._stream and step.delta):
                        self._start_rest()
                        yield step

    def stop_rest(self) -> None:
        """Let go of the timer."""
        if self._rest is not None:
            self._rest.cancel()

    def _start_rest(self) -> None:
        self.stop_rest()
        if self._rest_s:
            rest_s = self._rest_s * max(1.0, self._engine.in_flight / _IN_FLIGHT_AT_THE_INTERVAL)
            self._rest = asyncio.get_running_loop().call_later(rest_s, self._end_rest)

    def _end_rest(self) -> None:
        self._rest = None
        if self._news:
            self._wake.set()

    def _advance(self, candidate: int, output: Any) -> Progress:
        if output.status == RequestStatus.FAILED:
            raise Unavailable("the engine failed while it computed the answer: try again", retry_after_s=1.0)
        if not self.incremental:
            return self._whole(candidate, output)
        text = self._texts[candidate]
        tokens = output.generated_tokens
        seen, self._seen[candidate] = self._seen[candidate], len(tokens)
        cut = text.push(tokens[seen:])
        if cut is not None:
            return self._finish(candidate, output, seen + cut, Finish.STOP_STRING)
        if output.is_finished():
            return self._finish(candidate, output, len(tokens), self._engine.finish_of(tokens))
        return Progress(candidate, text.take())

    def _whole(self, candidate: int, output: Any) -> Progress:
        tokens = output.generated_tokens
        text = self._engine.decode(tokens)
        del self.ids[candidate]
        logprobs = self.plans[candidate].full_logprobs(output.logprobs)
        return Progress(candidate, text, Generated(text, tuple(tokens), logprobs, self._engine.finish_of(tokens)))

    def _finish(self, candidate: int, output: Any, count: int, finish: Finish) -> Progress:
        request_id = self.ids.pop(candidate)
        self._drawn[candidate] = count
        if not output.is_finished():
            self._engine.stop_early(request_id)
        delta = self._texts[candidate].finish()
        logprobs = self.plans[candidate].full_logprobs(output.logprobs)
        tokens = tuple(output.generated_tokens)
        text = self._texts[candidate].taken
        return Progress(candidate, delta, Generated(text, tokens[:count], logprobs[:count], finish))
