"""A causal policy small enough to make in a test: random weights, real architecture, real tokenizer."""

from __future__ import annotations

import torch

from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.pretrain.generate import FirstPolicySettings, build_model
from thumbwheel.pretrain.tokenizer import train_tokenizer

TINY = FirstPolicySettings(
    steps=3, batch_rows=4, vocabulary=300, width=16, layers=1, heads=2, feed_forward=32, max_tokens=64
)
WORDS = ("please cancel order 417", "order 417 is cancelled", "where is my parcel", "it is on its way")


def tiny_policy(seed: int = 0, *, chat: bool = True) -> CausalPolicy:
    tokenizer = train_tokenizer(WORDS * 5, TINY.vocabulary, TINY.max_tokens, chat=chat)
    torch.manual_seed(seed)
    return CausalPolicy(build_model(tokenizer, TINY).eval(), tokenizer)
