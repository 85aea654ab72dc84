"""The `generate` engine: transformers' continuous batching behind a bounded door.

The batching loop runs in a thread of its own and is the only one to touch the model: a plain forward on the served
model, or on one that shares its config object, would be computed with the wrong attention mask, without an error.
All else here runs on the event loop.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from transformers import GenerationConfig
from transformers.generation import LogitsProcessorList
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessorList
from transformers.generation.continuous_batching.continuous_api import OutputRouter
from transformers.generation.continuous_batching.requests import RequestStatus

from thumbwheel.config.settings import Generate
from thumbwheel.errors import DamagedArtifact, Overloaded, Unavailable
from thumbwheel.inference.engine import EngineLimits, Generated, Progress
from thumbwheel.inference.sampling import Finish, Sampling
from thumbwheel.inference.text_stream import TextStream
from thumbwheel.inference.token_sampler import PlanProcessor, SequencePlan
from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import decode_reply, encode_prompt, end_token_id
from thumbwheel.records import Message, PolicyKind

# Tokens of one sequence that a block of the key-value cache holds.
TOKENS_PER_BLOCK = 32
# Prompt tokens and decoded tokens of one step, at most; it also sizes the attention mask.
_STEP_TOKENS = 512
_STOP_TIMEOUT_S = 30.0
# With more sequences than this `generate.stream_interval_ms` grows in proportion.
_IN_FLIGHT_AT_THE_INTERVAL = 8


class BatchedGenerateEngine:
    """Serves one version of a causal policy. Implements `GenerateEngine`."""

    kind = PolicyKind.GENERATE

    def __init__(self, policy: CausalPolicy, settings: Generate, loop: asyncio.AbstractEventLoop) -> None:
        """Start the batching thread over `policy`, which nobody else may use from here on.

        Blocks for the allocation of the cache's bookkeeping; call it off the event loop `loop`.
        """
        self._policy: CausalPolicy | None = policy
        self._settings = settings
        self._end_id = end_token_id(policy.tokenizer)
        self._in_flight = 0
        self._mean_s = 1.0
        self.limits = _limits(policy, settings)
        self._router = _Router(loop)
        # Last: whatever fails before it leaves no thread behind.
        self._manager = _start(policy, settings, self._router)

    @property
    def healthy(self) -> bool:
        """Whether the batching thread is alive."""
        return self._manager is not None and bool(self._manager.is_running())

    @property
    def in_flight(self) -> int:
        """Sequences accepted and not yet finished or given up."""
        return self._in_flight

    @property
    def computing(self) -> int:
        """Sequences that the batching thread holds, decoding or waiting."""
        processor = self._manager.batch_processor if self._manager is not None else None
        if processor is None:
            return 0
        return len(processor.scheduler.active_requests) + len(processor.scheduler.waiting_requests)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt's token ids. Raises InvalidInput, also when the prompt is too long."""
        return encode_prompt(self._loaded.tokenizer, messages, self.limits.max_input_tokens)

    async def warm(self) -> None:
        """Draw a few tokens, so that the first user doesn't wait for lazy initialisation.

        Raises DamagedArtifact when the policy can't generate.
        """
        try:
            async with self.generate([self._end_id], Sampling(max_new_tokens=2), 1, stream=False) as progress:
                async for _ in progress:
                    pass
        except Unavailable as error:
            raise DamagedArtifact("the policy loads but can't generate: see the log, then roll back") from error

    @asynccontextmanager
    async def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, candidates: int, stream: bool
    ) -> AsyncIterator[AsyncIterator[Progress]]:
        """Draw `candidates` answers; leaving the context stops those that are not finished."""
        self._demand_room(candidates)
        self._in_flight += candidates
        request = _Request(self, candidates, sampling, stream, self._settings.stream_interval_ms / 1e3)
        started = monotonic()
        try:
            for candidate in range(candidates):
                self._submit(request, candidate, prompt_ids)
            yield request.progress()
        finally:
            self._in_flight -= candidates
            request.stop_rest()
            for request_id in request.unfinished():
                self._give_up(request_id)
        self._mean_s += 0.1 * (monotonic() - started - self._mean_s)

    async def close(self) -> None:
        """Stop the batching thread and free model and cache."""
        manager, self._manager, self._policy = self._manager, None, None
        if manager is not None:
            await asyncio.to_thread(_stop, manager)
            del manager
            # Model, manager and cache refer to each other in circles.
            await asyncio.to_thread(gc.collect)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a finished answer's tokens."""
        return decode_reply(self._loaded.tokenizer, token_ids)

    def decode_piece(self, token_ids: Sequence[int]) -> str:
        """Text of some tokens in the middle of an answer, blanks kept."""
        return str(self._loaded.tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def finish_of(self, token_ids: Sequence[int]) -> Finish:
        """Why the batching loop ended an answer."""
        return Finish.STOP if token_ids and token_ids[-1] == self._end_id else Finish.LENGTH

    def stop_early(self, request_id: str) -> None:
        """Stop computing a sequence."""
        self._give_up(request_id)

    @property
    def _loaded(self) -> CausalPolicy:
        if self._policy is None:
            raise Unavailable("the engine of this version is closed: try again", retry_after_s=0.1)
        return self._policy

    def _demand_room(self, candidates: int) -> None:
        limit = self._settings.queue_limit
        if self._in_flight + candidates > limit:
            rounds = limit / self._settings.concurrent
            raise Overloaded(
                f"{limit} sequences are waiting or being decoded, the most that is taken (generate.queue_limit): "
                "try again later",
                retry_after_s=round(min(30.0, max(0.05, self._mean_s * rounds / 2)), 3),
            )

    def _submit(self, request: _Request, candidate: int, prompt_ids: Sequence[int]) -> None:
        request_id = self._router.register(request.sink(candidate))
        request.ids[candidate] = request_id
        accepted = self._manager is not None and self._manager.add_request(
            list(prompt_ids),
            request_id=request_id,
            max_new_tokens=request.sampling.max_new_tokens,
            streaming=request.incremental,
            eos_token_id=self._end_id,
            plan=request.plans[candidate],
        )
        if not accepted:
            raise Unavailable("the engine of this version has stopped: try again", retry_after_s=1.0)

    def _give_up(self, request_id: str) -> None:
        self._router.forget(request_id)
        if self._manager is not None:
            self._manager.cancel_request(request_id)


class _Request:
    """The candidates of one request. Only the newest state of each is kept: slow readers get longer pieces.

    A piece of its own for every token would cost the service half of what the token itself does, so a stream rests for
    a moment after each piece, and longer the more sequences there are: what pieces cost together stays the same. The
    first piece and the end of a candidate don't wait.
    """

    def __init__(
        self, engine: BatchedGenerateEngine, candidates: int, sampling: Sampling, stream: bool, rest_s: float
    ) -> None:
        self.sampling = sampling
        self.stream = stream
        # Stop strings have to be looked for as the text grows.
        self.incremental = stream or bool(sampling.stop)
        self.plans = [SequencePlan(sampling) for _ in range(candidates)]
        self.ids: dict[int, str] = {}
        self._engine = engine
        self._texts = [TextStream(engine.decode_piece, sampling.stop) for _ in range(candidates)]
        self._seen = [0] * candidates
        self._news: dict[int, Any] = {}
        self._wake = asyncio.Event()
        self._rest_s = rest_s if stream else 0.0
        self._rest: asyncio.TimerHandle | None = None

    def sink(self, candidate: int) -> Callable[[Any], None]:
        """Where the loop's outputs for a candidate go."""

        def take(output: Any) -> None:
            self._news[candidate] = output
            if self._rest is None or output.is_finished():
                self._wake.set()

        return take

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
                    if step.finished is not None or (self.stream and step.delta):
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
        if not output.is_finished():
            self._engine.stop_early(request_id)
        delta = self._texts[candidate].finish()
        logprobs = self.plans[candidate].full_logprobs(output.logprobs)
        tokens = tuple(output.generated_tokens)
        text = self._texts[candidate].taken
        return Progress(candidate, delta, Generated(text, tokens[:count], logprobs[:count], finish))


class _Router(OutputRouter):  # type: ignore[misc]
    """Carries the batching thread's outputs onto the event loop. What nobody waits for is dropped.

    (The inherited one keeps such outputs in a queue without bound.)
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._sinks: dict[str, Callable[[Any], None]] = {}
        self._count = 0

    def register(self, sink: Callable[[Any], None]) -> str:
        self._count += 1
        request_id = f"s{self._count}"
        self._sinks[request_id] = sink
        return request_id

    def forget(self, request_id: str) -> None:
        self._sinks.pop(request_id, None)

    def deliver(self, output: Any) -> None:
        self.deliver_batch([output])

    def deliver_batch(self, outputs: list[Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._dispatch, outputs)

    def _dispatch(self, outputs: list[Any]) -> None:
        for output in outputs:
            sink = self._sinks.get(output.request_id)
            if sink is not None:
                sink(output)
            if output.is_finished():
                self.forget(output.request_id)


def _start(policy: CausalPolicy, settings: Generate, router: _Router) -> Any:
    """Make and start the manager: bounded cache, synchronous steps, our own sampling, log-probabilities."""
    generation = GenerationConfig(
        do_sample=True,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=end_token_id(policy.tokenizer),
        pad_token_id=policy.tokenizer.pad_token_id,
    )
    batching = ContinuousBatchingConfig(
        page_size=TOKENS_PER_BLOCK,
        num_blocks=settings.kv_blocks,
        max_batch_tokens=max(_STEP_TOKENS, settings.concurrent),
        max_requests_per_batch=settings.concurrent,
        use_async_batching=False,
        use_cuda_graph=False,
        return_logprobs=True,
        auto_switch_to_flash=False,
        # Without a seed of its own every process would draw the same answers.
        seed=secrets.randbits(31),
    )
    manager = policy.model.init_continuous_batching(generation, batching)
    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([PlanProcessor()]))
    processors.tensors_required = 1
    manager.logit_processor = processors
    manager.output_router = router
    manager.start()
    return manager


def _stop(manager: Any) -> None:
    manager.stop(block=True, timeout=_STOP_TIMEOUT_S, hard_stop=True)
    manager.destroy()


def _limits(policy: CausalPolicy, settings: Generate) -> EngineLimits:
    """Prompt and answer must fit the model's positions and, alone, half of the cache."""
    capacity = min(policy.max_tokens, settings.kv_blocks * TOKENS_PER_BLOCK // 2)
    new_tokens = max(1, min(settings.max_new_tokens, capacity // 2))
    return EngineLimits(max_input_tokens=capacity - new_tokens, max_new_tokens=new_tokens)
