"""Replies sampled from a causal policy, in batches with a key-value cache.

Shapes: B prompts, P longest prompt, R most tokens of a reply, V vocabulary. Sampling is over the full softmax: no
top-p, no top-k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from thumbwheel.policy.scoring import position_ids


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are drawn: `temperature` > 0, at most `max_new_tokens`, ended by `end_id`, which belongs to them."""

    end_id: int
    temperature: float = 1.0
    max_new_tokens: int = 64


def sample_replies(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    generator: torch.Generator,
    batch_size: int = 128,
) -> list[list[int]]:
    """Return one reply for each prompt as token ids; one without the end token was cut at the limit."""
    return replies_by(model, prompts, sampling, draws(len(prompts), sampling, generator), batch_size)


@torch.no_grad()
def replies_by(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    uniform_BR: Tensor,
    batch_size: int = 128,
) -> list[list[int]]:
    """Return the reply to each prompt that the `draws` uniform_BR lead to, a row for each prompt.

    So a reply depends on its own prompt and draws. What it is run together with (prompts of like length are) matters
    only where sums round otherwise and a draw lies within that of the border between two tokens.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    replies: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        drawn = _sample_batch(model, [prompts[i] for i in rows], sampling, uniform_BR[rows])
        for i, reply in zip(rows, drawn, strict=True):
            replies[i] = reply
    return replies


def draws(count: int, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Return the draws for `count` replies: uniform_BR, float64 in [0, 1)."""
    return torch.rand(count, sampling.max_new_tokens, generator=generator, dtype=torch.float64)


def choose(probs_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Return the token ids (B, 1) at which the cumulative probabilities pass the draws: by inversion, in float64."""
    cumulative_BV = probs_BV.double().cumsum(-1)
    reached_B1 = uniform_B.unsqueeze(-1) * cumulative_BV[:, -1:]
    return torch.searchsorted(cumulative_BV, reached_B1, right=True).clamp(max=probs_BV.shape[-1] - 1)


def _sample_batch(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], sampling: Sampling, uniform_BR: Tensor
) -> list[list[int]]:
    """Rows that have ended leave the batch once they are a quarter of it: what is left is all that is computed."""
    ids_BP, mask_BP = _left_pad(prompts)
    positions = position_ids(mask_BP)
    cache = DynamicCache(config=model.config)
    replies: list[list[int]] = [[] for _ in prompts]
    rows = torch.arange(len(prompts))
    for t in range(sampling.max_new_tokens):
        out = model(
            input_ids=ids_BP,
            attention_mask=mask_BP.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        probs_BV = torch.softmax(out.logits[:, -1].float() / sampling.temperature, dim=-1)
        ids_BP, positions = choose(probs_BV, uniform_BR[rows, t]), positions[:, -1:] + 1
        mask_BP = torch.cat([mask_BP, torch.ones_like(mask_BP[:, :1])], dim=1)
        for row, token in zip(rows.tolist(), ids_BP.squeeze(1).tolist(), strict=True):
            if not _ended(replies[row], sampling):
                replies[row].append(token)
        open_B = torch.tensor([not _ended(replies[row], sampling) for row in rows.tolist()])
        if not open_B.any():
            break
        if open_B.sum() <= 0.75 * len(rows):
            kept = open_B.nonzero().squeeze(1)
            cache.batch_select_indices(kept)
            rows, ids_BP, positions, mask_BP = rows[kept], ids_BP[kept], positions[kept], mask_BP[kept]
    return replies


def _ended(reply: Sequence[int], sampling: Sampling) -> bool:
    return bool(reply) and reply[-1] == sampling.end_id


def _left_pad(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    P = max(map(len, prompts))
    ids_BP = torch.tensor([[0] * (P - len(prompt)) + list(prompt) for prompt in prompts])
    mask_BP = torch.tensor([[False] * (P - len(prompt)) + [True] * len(prompt) for prompt in prompts])
    return ids_BP, mask_BP
