"""What the champion, frozen, makes of each token of a reply: the inputs of the reward head.

Shapes: B replies, R longest reply, V vocabulary, D hidden width, C = 2 D + 3 features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import assert_never

import torch
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.policy.scoring import ReplyBatch, forward_replies, gather_logprobs, pack, state_width

SURPRISES = 3


class Readout(StrEnum):
    """What of a reply's tokens a head reads."""

    SURPRISE = "surprise"
    """States and surprise of every token."""
    POOLED = "pooled"
    """The mean of the states that have read a token, and nothing else."""


def feature_width(model: PreTrainedModel, readout: Readout = Readout.SURPRISE) -> int:
    """Return C of a readout for a policy."""
    match readout:
        case Readout.SURPRISE:
            return 2 * state_width(model) + SURPRISES
        case Readout.POOLED:
            return state_width(model)
        case _:
            assert_never(readout)


def read(features_RC: Tensor, readout: Readout) -> Tensor:
    """Return what a readout has of one reply's token features: (R, C), or one row (1, D)."""
    match readout:
        case Readout.SURPRISE:
            return features_RC
        case Readout.POOLED:
            width = (features_RC.shape[1] - SURPRISES) // 2
            return features_RC[:, width : 2 * width].float().mean(0, keepdim=True).to(features_RC.dtype)
        case _:
            assert_never(readout)


@torch.no_grad()
def token_features(model: PreTrainedModel, batch: ReplyBatch) -> Tensor:
    """Return features_BRC = [h(t-1), h(t), log p, log p - max log p, entropy] at each reply token t.

    A wrong number in a reply looks like any other to a pooled hidden state; to the policy that wrote it, it is a
    surprise. The last three features carry that surprise.
    """
    outputs = forward_replies(model, batch, temperature=1.0)
    logprobs_BRV = outputs.logits_BRV.log_softmax(-1)
    chosen_BR = gather_logprobs(outputs.logits_BRV, batch.reply_ids_BR)
    best_BR = logprobs_BRV.amax(-1)
    entropy_BR = -(logprobs_BRV.exp() * logprobs_BRV).sum(-1)
    surprise_BRS = torch.stack([chosen_BR, chosen_BR - best_BR, entropy_BR], dim=-1)
    return torch.cat([outputs.hidden_BSD[:, :-1], outputs.hidden_BSD[:, 1:], surprise_BRS], dim=-1)


def featurise(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    batch_size: int = 32,
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Yield (rows, features_BRC, mask_BR) in batches of like length: each row once, but not in order."""
    ordered = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), len(replies[i])))
    for start in range(0, len(ordered), batch_size):
        rows = ordered[start : start + batch_size]
        batch = pack([prompts[i] for i in rows], [replies[i] for i in rows])
        yield rows, token_features(model, batch), batch.reply_mask_BR
