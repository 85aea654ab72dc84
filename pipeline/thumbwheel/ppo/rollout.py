"""Replies sampled from a causal policy, in batches with a key-value cache.

Shapes: B prompts, P longest prompt, V vocabulary. Sampling is over the full softmax: no top-p, no top-k.
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


@torch.no_grad()
def sample_replies(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    generator: torch.Generator,
    batch_size: int = 128,
) -> list[list[int]]:
    """Return one reply for each prompt as token ids; one without the end token was cut at the limit.

    Prompts of like length are run together, so the draws depend on the whole list, its order included.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    replies: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        drawn = _sample_batch(model, [prompts[i] for i in rows], sampling, generator)
        for i, reply in zip(rows, drawn, strict=True):
            replies[i] = reply
    return replies


def _sample_batch(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], sampling: Sampling, generator: torch.Generator
) -> list[list[int]]:
    ids_BP, mask_BP = _left_pad(prompts)
    positions = position_ids(mask_BP)
    cache = DynamicCache(config=model.config)
    open_B = torch.ones(len(prompts), dtype=torch.bool)
    columns: list[Tensor] = []
    while open_B.any() and len(columns) < sampling.max_new_tokens:
        out = model(
            input_ids=ids_BP,
            attention_mask=mask_BP.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        probs_BV = torch.softmax(out.logits[:, -1].float() / sampling.temperature, dim=-1)
        drawn_B1 = torch.multinomial(probs_BV, 1, generator=generator)
        columns.append(drawn_B1)
        open_B = open_B & (drawn_B1.squeeze(1) != sampling.end_id)
        ids_BP, positions = drawn_B1, positions[:, -1:] + 1
        mask_BP = torch.cat([mask_BP, torch.ones_like(mask_BP[:, :1])], dim=1)
    return [_until_end(row, sampling.end_id) for row in torch.cat(columns, dim=1).tolist()]


def _left_pad(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    P = max(map(len, prompts))
    ids_BP = torch.tensor([[0] * (P - len(prompt)) + list(prompt) for prompt in prompts])
    mask_BP = torch.tensor([[False] * (P - len(prompt)) + [True] * len(prompt) for prompt in prompts])
    return ids_BP, mask_BP


def _until_end(row: list[int], end_id: int) -> list[int]:
    return row[: row.index(end_id) + 1] if end_id in row else row
