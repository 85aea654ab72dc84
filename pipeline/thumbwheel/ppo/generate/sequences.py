"""Prompts and their replies as the updates read them: side by side with hardly any padding, real tokens picked out.

Shapes: B sequences, T tokens of the longest, U = T - 1 places that foretell the next token, V vocabulary, D hidden
width, N reply tokens of all rows together, M prompt tokens that another precedes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.policy.scoring import gather_logprobs

TokenIds = Sequence[int]

# Rows run together; what matters for speed is that they are of like length.
ROWS = 16


@dataclass(frozen=True, slots=True, eq=False)
class SequenceBatch:
    """Sequences padded on the right. The masks are True where the next token is one of the prompt, or the reply."""

    ids_BT: Tensor
    prompt_mask_BU: Tensor
    reply_mask_BU: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class TokenOutputs:
    """Real tokens only, row after row: log-probabilities in nats, and the state that foretells each reply token."""

    prompt_logprobs_M: Tensor
    reply_logprobs_N: Tensor
    hidden_ND: Tensor


def pack_right(prompts: Sequence[TokenIds], replies: Sequence[TokenIds]) -> SequenceBatch:
    """Put each prompt and its reply into one row. Prompts and replies have a token at least."""
    sequences = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    T = max(map(len, sequences))
    at_U = torch.arange(T - 1)
    starts_B1 = torch.tensor([[len(prompt) - 1] for prompt in prompts])
    ends_B1 = torch.tensor([[len(sequence) - 1] for sequence in sequences])
    return SequenceBatch(
        torch.tensor([sequence + [0] * (T - len(sequence)) for sequence in sequences]),
        at_U < starts_B1,
        (at_U >= starts_B1) & (at_U < ends_B1),
    )


def forward_tokens(model: PreTrainedModel, batch: SequenceBatch, temperature: float) -> TokenOutputs:
    """Run the model once, in float32 and over the full softmax; `temperature` > 0 is what replies are sampled at.

    Prompts were sampled from nothing: their log-probabilities are the model's own, at temperature 1.
    No attention mask: a causal model never looks ahead to padding on the right, and positions count from 0.
    """
    out = model(input_ids=batch.ids_BT, output_hidden_states=True, use_cache=False)
    temperature_BU = torch.where(batch.reply_mask_BU, temperature, 1.0)
    logprobs_BU = gather_logprobs(out.logits[:, :-1].float() / temperature_BU.unsqueeze(-1), batch.ids_BT[:, 1:])
    return TokenOutputs(
        logprobs_BU[batch.prompt_mask_BU],
        logprobs_BU[batch.reply_mask_BU],
        out.hidden_states[-1][:, :-1][batch.reply_mask_BU].float(),
    )


def of_like_length(
    rows: Sequence[int], prompts: Sequence[TokenIds], replies: Sequence[TokenIds], size: int
) -> list[list[int]]:
    """Deal `rows` into groups of at most `size` whose sequences are about as long, so that little is padded."""
    ordered = sorted(rows, key=lambda i: len(prompts[i]) + len(replies[i]))
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]
