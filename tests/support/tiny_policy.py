"""A causal policy small enough to make in a test: random weights, real architecture, real tokenizer."""

from __future__ import annotations

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.pretrain.generate import FirstPolicySettings, build_model
from thumbwheel.pretrain.tokenizer import train_tokenizer

TINY = FirstPolicySettings(
    steps=3,
    batch_rows=4,
    vocabulary=300,
    width=16,
    layers=1,
    heads=2,
    feed_forward=32,
    max_tokens=64,
    initializer_range=0.5,  # large, so that what a token attends to shows in the logits
)
WORDS = ("please cancel order 417", "order 417 is cancelled", "where is my parcel", "it is on its way")


def tiny_policy(seed: int = 0, *, chat: bool = True) -> CausalPolicy:
    tokenizer = train_tokenizer(WORDS * 5, TINY.vocabulary, TINY.max_tokens, chat=chat)
    torch.manual_seed(seed)
    return CausalPolicy(build_model(tokenizer, TINY).eval(), tokenizer)


def tiny_gpt2(seed: int = 0) -> PreTrainedModel:
    """Its positions are absolute: a wrong one under left padding shows, as it would not with rotary ones."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=300,
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        initializer_range=0.5,
        bos_token_id=1,
        eos_token_id=2,
    )
    return GPT2LMHeadModel(config).eval()
