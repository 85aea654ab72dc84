"""A causal policy small enough to make in a test: random weights, real architecture, real tokenizer."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel

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


def tiny_causal(architecture: str, seed: int = 0, **sizes: Any) -> PreTrainedModel:
    """Any causal architecture of transformers by its name, of random weights. `sizes` in the words of its config."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(architecture, vocab_size=300, bos_token_id=1, eos_token_id=2, pad_token_id=0, **sizes)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model.eval()


def tiny_opt(projected: int = 16) -> PreTrainedModel:
    """Absolute positions that begin at 2. With `projected` < 16 its states are narrower at the end, like OPT-350m's."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 32}
    norm_first = projected == 16
    return tiny_causal(
        "opt",
        **sizes,
        max_position_embeddings=64,
        word_embed_proj_dim=projected,
        init_std=0.5,
        do_layer_norm_before=norm_first,
    )


def without_padding(model: PreTrainedModel) -> CausalPolicy:
    """As GPT-2 comes: no chat template, and no token for padding."""
    tokenizer = train_tokenizer(WORDS * 5, TINY.vocabulary, TINY.max_tokens, chat=False)
    tokenizer.pad_token = None
    return CausalPolicy(model, tokenizer)
