"""Scoring against a plain loop: one row at a time, no padding, softmax by hand."""

import math

import pytest
import torch
from tiny_policy import tiny_gpt2, tiny_policy
from transformers import PreTrainedModel

from thumbwheel.policy.scoring import pack, perplexity, reply_logprobs, score_replies

POLICY = tiny_policy()
PROMPTS = [[1, 4, 40, 41, 42, 43, 2, 5], [1, 4, 50], [1, 4, 61, 62, 63]]
REPLIES = [[70, 71, 2], [80, 81, 82, 83, 2], [90]]


def by_hand(
    prompt: list[int], reply: list[int], temperature: float, model: PreTrainedModel = POLICY.model
) -> list[float]:
    logits = model(torch.tensor([prompt + reply])).logits[0] / temperature
    found = []
    for t, token in enumerate(reply):
        row = [math.exp(x) for x in logits[len(prompt) + t - 1].tolist()]
        found.append(math.log(row[token] / sum(row)))
    return found


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("model", [POLICY.model, tiny_gpt2()], ids=["rotary", "absolute"])
def test_batched_scores_equal_one_by_one(model: PreTrainedModel, temperature: float) -> None:
    scores = score_replies(model, PROMPTS, REPLIES, temperature, batch_size=2)
    for prompt, reply, score in zip(PROMPTS, REPLIES, scores, strict=True):
        assert score == pytest.approx(by_hand(prompt, reply, temperature, model), abs=1e-3)


def test_padding_scores_nothing() -> None:
    logprobs_BR = reply_logprobs(POLICY.model, pack(PROMPTS, REPLIES), 1.0)
    assert logprobs_BR.shape == (3, 5)
    assert logprobs_BR[2, 1:].tolist() == [0.0] * 4


def test_padding_with_the_end_token_changes_nothing() -> None:
    zero = reply_logprobs(POLICY.model, pack(PROMPTS, REPLIES, pad_id=0), 1.0)
    end = reply_logprobs(POLICY.model, pack(PROMPTS, REPLIES, pad_id=2), 1.0)
    assert torch.allclose(zero, end, atol=1e-5)


def test_perplexity_is_over_tokens_not_texts() -> None:
    scores = [x for p, r in zip(PROMPTS, REPLIES, strict=True) for x in by_hand(p, r, 1.0)]
    assert perplexity(POLICY.model, PROMPTS, REPLIES) == pytest.approx(math.exp(-sum(scores) / 9), rel=1e-4)
