"""Log-probabilities of replies under a causal policy, in float32 and over the full softmax.

Shapes: B sequences, P longest prompt, R longest reply, T = P + R tokens, V vocabulary, D hidden width.
Prompts are padded on the left and replies on the right, so every reply begins in column P.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class ReplyBatch:
    """Prompts and replies packed side by side; masks are True on real tokens.

    Lengths decide what is real, not a padding id: a policy whose padding equals its end token is scored right too.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    prompt_width: int

    @property
    def reply_ids_BR(self) -> Tensor:
        """Token ids of the replies, right-padded."""
        return self.ids_BT[:, self.prompt_width :]

    @property
    def reply_mask_BR(self) -> Tensor:
        """True where a reply has a token."""
        return self.mask_BT[:, self.prompt_width :]


def pack(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], pad_id: int = 0) -> ReplyBatch:
    """Pad prompts on the left and replies on the right into one batch of B rows."""
    P = max(map(len, prompts))
    R = max(map(len, replies))
    ids_BT = torch.full((len(prompts), P + R), pad_id, dtype=torch.long)
    mask_BT = torch.zeros((len(prompts), P + R), dtype=torch.bool)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        span = slice(P - len(prompt), P + len(reply))
        ids_BT[row, span] = torch.tensor([*prompt, *reply], dtype=torch.long)
        mask_BT[row, span] = True
    return ReplyBatch(ids_BT, mask_BT, P)


def state_width(model: PreTrainedModel) -> int:
    """Return D, the width of the last hidden states: what the head over the vocabulary reads.

    Mostly `hidden_size`, but OPT-350m projects its states down before that head.
    """
    return int(model.get_output_embeddings().weight.shape[-1])


def position_ids(mask_BT: Tensor) -> Tensor:
    """Return positions that count real tokens only, 0 under left padding. (B, T) -> (B, T)."""
    return (mask_BT.long().cumsum(-1) - 1).clamp(min=0)


@dataclass(frozen=True, slots=True)
class ReplyOutputs:
    """What a forward pass says at the position before each reply token (`R` of them) and after the last one.

    Logits are float32 and already divided by the temperature. `hidden_BSD` has S = R + 1 columns: column t is the
    state that predicts reply token t, column t + 1 the state that has read it.
    """

    logits_BRV: Tensor
    hidden_BSD: Tensor


def forward_replies(model: PreTrainedModel, batch: ReplyBatch, temperature: float) -> ReplyOutputs:
    """Run the model once over a batch. `temperature` > 0 is the one the replies were sampled at."""
    S = batch.reply_ids_BR.shape[1] + 1
    out = model(
        input_ids=batch.ids_BT,
        attention_mask=batch.mask_BT.long(),
        position_ids=position_ids(batch.mask_BT),
        output_hidden_states=True,
        use_cache=False,
        logits_to_keep=S,
    )
    logits = out.logits.float() / temperature
    return ReplyOutputs(logits[:, :-1], out.hidden_states[-1][:, -S:].float())


def gather_logprobs(logits_BRV: Tensor, ids_BR: Tensor) -> Tensor:
    """Return log softmax(logits)[id] of each token, float32, over the whole vocabulary. (B, R)."""
    chosen_BR = logits_BRV.gather(-1, ids_BR.unsqueeze(-1)).squeeze(-1)
    return chosen_BR - logits_BRV.logsumexp(-1)


def reply_logprobs(model: PreTrainedModel, batch: ReplyBatch, temperature: float) -> Tensor:
    """Return the log-probability in nats of each reply token, 0 on padding. (B, R)."""
    outputs = forward_replies(model, batch, temperature)
    logprobs_BR = gather_logprobs(outputs.logits_BRV, batch.reply_ids_BR)
    return logprobs_BR.masked_fill(~batch.reply_mask_BR, 0.0)


@torch.no_grad()
def score_replies(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    temperature: float = 1.0,
    batch_size: int = 64,
) -> list[list[float]]:
    """Return, for each reply, the log-probability in nats of each of its tokens. Every reply has a token."""
    scores: list[list[float]] = []
    for batch in packed(prompts, replies, batch_size):
        logprobs_BR = reply_logprobs(model, batch, temperature)
        lengths = batch.reply_mask_BR.sum(-1).tolist()
        scores += [row[:n] for row, n in zip(logprobs_BR.tolist(), lengths, strict=True)]
    return scores


def packed(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], batch_size: int) -> Iterator[ReplyBatch]:
    """Yield the rows in order as batches of at most `batch_size`."""
    for start in range(0, len(prompts), batch_size):
        yield pack(prompts[start : start + batch_size], replies[start : start + batch_size])


def perplexity(model: PreTrainedModel, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]) -> float:
    """Return exp of the mean negative log-probability a token of `texts`, each after its prompt; >= 1."""
    scores = score_replies(model, prompts, texts)
    tokens = sum(map(len, scores))
    return exp(-sum(map(sum, scores)) / tokens)
