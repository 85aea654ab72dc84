"""Replies sampled by the batching loop that serves, on a model of its own that takes over the learner's weights.

Shapes: B prompts, R most tokens of a reply, V vocabulary, N sequences that get a token in a step.

The draws decide: the token where the cumulative probabilities pass a sequence's draw is the only one that the loop may
choose. So the replies are those of `rollout.replies_by`, save where sums round otherwise and a draw lies within that.
All prompts wait in the queue before the loop begins, so that the same ones are computed together in every run.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor
from transformers.generation.continuous_batching.continuous_api import OutputRouter

from thumbwheel.errors import UnservableVersion
from thumbwheel.policy.batching import TOKENS_PER_BLOCK, Batching, batching_manager
from thumbwheel.policy.loading import load_causal
from thumbwheel.ppo.generate.rollout import Sampling, choose

_CONCURRENT: Final = 64
# How often it is looked whether the loop has died.
_LOOK_S: Final = 1.0


class EngineSampler:
    """Samples replies to prompts from given weights. Its model is nobody else's: see `policy/batching.py`."""

    def __init__(self, champion: Path) -> None:
        """Load the model in whose shape the weights come. Raises DamagedArtifact when it can not be read."""
        self._policy = load_causal(champion)

    def replies(
        self, weights: Mapping[str, Tensor], prompts: Sequence[Sequence[int]], sampling: Sampling, uniform_BR: Tensor
    ) -> list[list[int]]:
        """Return the reply to each prompt that the `draws` uniform_BR lead to.

        Raises:
            UnservableVersion: the model can't be decoded in batches, or failed to.
        """
        if not prompts:
            return []
        self._policy.model.load_state_dict(weights)
        longest = max(map(len, prompts)) + sampling.max_new_tokens
        concurrent = min(_CONCURRENT, len(prompts))
        blocks = (longest // TOKENS_PER_BLOCK + 1) * concurrent
        batching = Batching(max(16, blocks), concurrent, sampling.max_new_tokens, seed=0)
        outputs = _Outputs(len(prompts))
        manager = batching_manager(self._policy, batching, _DrawnTokens(sampling.temperature))
        manager.output_router = outputs
        for row, prompt in enumerate(prompts):
            manager.add_request(list(prompt), request_id=str(row), eos_token_id=sampling.end_id, draws=uniform_BR[row])
        manager.start()
        while not outputs.complete.wait(_LOOK_S) and manager.is_running():
            pass
        manager.stop(block=True)
        manager.destroy()
        return [outputs.reply(str(row)) for row in range(len(prompts))]


class _Outputs(OutputRouter):  # type: ignore[misc]
    """Keeps the sequences that ended; `complete` is set when as many have as are awaited."""

    def __init__(self, awaited: int) -> None:
        super().__init__()
        self.complete = threading.Event()
        self._awaited = awaited
        self._ended: dict[str, Any] = {}

    def deliver(self, output: Any) -> None:
        self._ended[output.request_id] = output
        if len(self._ended) == self._awaited:
            self.complete.set()

    def deliver_batch(self, outputs: list[Any]) -> None:
        for output in outputs:
            self.deliver(output)

    def reply(self, request_id: str) -> list[int]:
        output = self._ended.get(request_id)
        if output is None or output.error is not None:
            raise UnservableVersion(
                'the champion can\'t be decoded in batches: see the log, or set learn.rollouts = "generate"'
            )
        return list(output.generated_tokens)


class _DrawnTokens(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]
    """Leaves each sequence the one token that its draw leads to. Wants the synchronous loop."""

    supported_kwargs = {"draws": Tensor}
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._uniform_N = torch.zeros(0, dtype=torch.float64)

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> Tensor:
        """Look up each sequence's draw for the token it gets now, in the order of the scores' rows."""
        states = [request.state for request in requests_with_new_token]
        drawn = [state.logit_processor_kwargs["draws"][len(state.generated_tokens)] for state in states]
        self._uniform_N = torch.stack(drawn) if drawn else self._uniform_N[:0]
        return torch.zeros(len(drawn), dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        """Return the scores to draw from, (N', V): rows beyond the first N are of prompts not read to their end."""
        N = len(self._uniform_N)
        probs_NV = torch.softmax(scores[:N].float() / self._temperature, dim=-1)
        kept_NV = scores.clone()
        kept_NV[:N] = float("-inf")
        kept_NV[:N].scatter_(-1, choose(probs_NV, self._uniform_N), 0.0)
        return kept_NV
