"""Per-request sampling inside of continuous batching, and the log-probabilities it owes to learning.

Shape suffixes: N sequences that get a token in this step, V vocabulary.

The batching loop draws from softmax(scores) and reports log softmax(scores)[token]. `PlanProcessor` makes those
scores: logits / temperature, and, for a request that truncates (greedy, top-k, top-p), the tokens outside of the
kept set at -inf. There the reported number is relative to the kept set, so the processor notes the log of the kept
probability mass; reported + noted is the log-probability under the full softmax at the served temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor

from thumbwheel.inference.sampling import Sampling


class SequencePlan:
    """The sampling of one sequence and, per token drawn so far, the log of the mass that had a chance."""

    __slots__ = ("log_mass", "sampling")

    def __init__(self, sampling: Sampling) -> None:
        """Start with no token drawn."""
        self.sampling = sampling
        self.log_mass: list[float] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> SequencePlan:
        """Return itself: the loop copies a request that it has to prefill again, and it is still the same one."""
        return self

    def full_logprobs(self, reported: Sequence[float]) -> tuple[float, ...]:
        """Turn the loop's log-probabilities into those of the full softmax, in nats."""
        if not self.sampling.truncates:
            return tuple(reported)
        # Not strict: an answer may be taken while the loop has drawn on, and noted more masses than were reported yet.
        return tuple(value + mass for value, mass in zip(reported, self.log_mass, strict=False))


class PlanProcessor(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]
    """Applies every sequence's own plan. Wants the synchronous loop: scores follow the arguments they belong to."""

    supported_kwargs = {"plan": SequencePlan}
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._plans: list[SequencePlan] = []

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """Clear the loop's argument storage, which is not used."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> Tensor:
        """Remember the plans of the sequences in this step, in the order of the scores' rows."""
        self._plans = [request.state.logit_processor_kwargs["plan"] for request in requests_with_new_token]
        return torch.zeros(len(self._plans), dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        """Return the scores to draw from: (N', V) to (N', V), fp32.

        The rows of sequences that get a token come first, in the order of the plans. A prompt that is not read to
        its end in this step has a row too, N' > N; nobody looks at what is drawn from it.
        """
        temperatures_N = torch.tensor([plan.sampling.temperature for plan in self._plans], dtype=torch.float32)
        scores_NV = scores.clone()
        scores_NV[: len(self._plans)] /= temperatures_N.to(scores.device).unsqueeze(-1)
        for row, plan in enumerate(self._plans):
            if plan.sampling.truncates:
                scores_NV[row], log_mass = truncate(scores_NV[row], plan.sampling)
                plan.log_mass.append(log_mass)
        return scores_NV


def truncate(scores_V: Tensor, sampling: Sampling) -> tuple[Tensor, float]:
    """Keep the likeliest tokens only: the others get -inf. Also return the log of the kept mass, <= 0.

    Top-k first, then top-p on what top-k left, renormalised; at least one token stays. Greedy keeps one.
    """
    logprobs_V = torch.log_softmax(scores_V, dim=-1)
    sorted_V, order_V = logprobs_V.sort(descending=True, stable=True)
    count = _kept(sorted_V, sampling)
    kept_V = torch.full_like(scores_V, float("-inf"))
    kept_V[order_V[:count]] = scores_V[order_V[:count]]
    return kept_V, min(0.0, float(sorted_V[:count].logsumexp(-1)))


def _kept(sorted_V: Tensor, sampling: Sampling) -> int:
    """How many of the tokens, likeliest first, have a chance."""
    if sampling.greedy:
        return 1
    count = min(sampling.top_k or len(sorted_V), len(sorted_V))
    if sampling.top_p >= 1.0:
        return count
    # The smallest set whose mass reaches top_p (Holtzman et al. 2020, eq. 2): those before which it is not reached.
    probs_V = torch.softmax(sorted_V[:count], dim=-1)
    before_V = probs_V.cumsum(-1) - probs_V
    return max(1, int((before_V < sampling.top_p).sum()))
