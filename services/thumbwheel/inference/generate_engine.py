"""The `generate` engine: continuous batching, on a thread of its own, behind a bounded door on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from transformers.generation.continuous_batching.requests import RequestStatus

from thumbwheel.config.settings import Generate
from thumbwheel.errors import DamagedArtifact, Overloaded, Unavailable
from thumbwheel.inference.batching_thread import BatchingThread
from thumbwheel.inference.engine import Drawing, EngineLimits
from thumbwheel.inference.generated_request import GeneratedRequest
from thumbwheel.inference.sampling import Finish, Sampling
from thumbwheel.inference.self_check import NEW_TOKENS, Foretold, SelfCheck
from thumbwheel.inference.token_sampler import SequencePlan
from thumbwheel.policy.batching import TOKENS_PER_BLOCK
from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import decode_reply, encode_prompt, end_token_id
from thumbwheel.records import Message, PolicyKind


class BatchedGenerateEngine:
    """Serves one version of a causal policy. Implements `GenerateEngine`."""

    kind = PolicyKind.GENERATE

    def __init__(
        self, policy: CausalPolicy, check: SelfCheck, settings: Generate, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Start the batching thread over `policy`, which nobody else may use from here on.

        Blocks for the allocation of the cache's bookkeeping; call it off the event loop `loop`. Raises
        UnservableVersion for a model that can't be decoded in batches.
        """
        self._policy: CausalPolicy | None = policy
        self._check = check
        self._settings = settings
        self._end_id = end_token_id(policy.tokenizer)
        self._in_flight = 0
        self._mean_s = 1.0
        self.limits = _limits(policy, settings)
        # Last: whatever fails before it leaves no thread behind.
        self._thread = BatchingThread(policy, settings, loop)

    @property
    def healthy(self) -> bool:
        """Whether the batching thread is alive."""
        return self._thread.alive

    @property
    def in_flight(self) -> int:
        """Sequences accepted and not yet finished or given up."""
        return self._in_flight

    @property
    def computing(self) -> int:
        """Sequences that the batching thread holds, decoding or waiting."""
        return self._thread.sequences

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt's token ids. Raises InvalidInput, also when the prompt is too long."""
        return encode_prompt(self._loaded.tokenizer, messages, self.limits.max_input_tokens)

    async def warm(self) -> None:
        """Draw a few tokens: the first user doesn't wait for lazy initialisation, and they are compared.

        Raises DamagedArtifact when the policy can't generate, UnservableVersion when it draws by other probabilities
        than a plain forward pass gives.
        """
        drawn = await asyncio.gather(*map(self._draw_greedily, self._check.prompts))
        for prompt, (output, plan) in zip(self._check.prompts, drawn, strict=True):
            if output.status == RequestStatus.FAILED:
                raise DamagedArtifact(
                    f"this {self._check.model_type} loads but can't generate: see the log, then roll back, or begin "
                    "with a model of another type"
                )
            self._check.demand_same(prompt, output.generated_tokens, plan.full_logprobs(output.logprobs))

    async def _draw_greedily(self, prompt: Foretold) -> tuple[Any, SequencePlan]:
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        plan = SequencePlan(Sampling(greedy=True, max_new_tokens=NEW_TOKENS))
        self._thread.submit(prompt.prompt_ids, plan, False, told.set_result, to_the_end=True)
        return await told, plan

    @asynccontextmanager
    async def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, candidates: int, stream: bool
    ) -> AsyncIterator[Drawing]:
        """Draw `candidates` answers; leaving the context stops those that are not finished."""
        self._demand_room(candidates)
        self._in_flight += candidates
        request = GeneratedRequest(self, candidates, sampling, stream, self._settings.stream_interval_ms / 1e3)
        started = monotonic()
        try:
            for candidate in range(candidates):
                request.ids[candidate] = self._thread.submit(
                    prompt_ids, request.plans[candidate], request.incremental, request.sink(candidate)
                )
            yield request
        finally:
            self._in_flight -= candidates
            request.stop_rest()
            for request_id in request.unfinished():
                self._thread.cancel(request_id)
        self._mean_s += 0.1 * (monotonic() - started - self._mean_s)

    async def close(self) -> None:
        """Stop the batching thread and free model and cache."""
        self._policy = None
        await self._thread.stop()

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
        self._thread.cancel(request_id)

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


def _limits(policy: CausalPolicy, settings: Generate) -> EngineLimits:
    """Prompt and answer must fit the model's positions and, alone, half of the cache."""
    capacity = min(policy.max_tokens, settings.kv_blocks * TOKENS_PER_BLOCK // 2)
    new_tokens = max(1, min(settings.max_new_tokens, capacity // 2))
    return EngineLimits(max_input_tokens=capacity - new_tokens, max_new_tokens=new_tokens)
