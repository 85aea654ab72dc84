"""Small random policies of the demo's size, so that serving can be measured before anything was trained."""

from __future__ import annotations

from pathlib import Path

import torch

from thumbwheel.policy.loading import CausalPolicy, save_causal
from thumbwheel.pretrain.generate import FirstPolicySettings, build_model
from thumbwheel.pretrain.tokenizer import train_tokenizer

_TEXT = Path(__file__).resolve().parent.parent / "LICENSE"
_SIZE = FirstPolicySettings(feed_forward=384, max_tokens=512)


def write_small_causal(folder: Path, seed: int) -> Path:
    """A Llama of 2 layers, 128 wide, with about 900 tokens of byte-level BPE, random weights."""
    tokenizer = train_tokenizer([_TEXT.read_text()], _SIZE.vocabulary, _SIZE.max_tokens, chat=True)
    torch.manual_seed(seed)
    save_causal(CausalPolicy(build_model(tokenizer, _SIZE).eval(), tokenizer), folder)
    return folder
