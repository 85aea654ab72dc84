"""Policies of random weights in a moment: real architectures, a token a byte, and if wanted replies that never end."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, PreTrainedModel

from thumbwheel.policy.loading import CausalPolicy, save_causal
from thumbwheel.pretrain.generate import FirstPolicySettings, build_model
from thumbwheel.pretrain.tokenizer import train_tokenizer

# The alphabet of bytes and the special tokens, without merges: a token a byte, so that any text goes in and characters
# can be cut in the middle.
A_TOKEN_A_BYTE = 256 + 6


def write_causal(folder: Path, seed: int, positions: int = 512, endless: bool = False) -> Path:
    tokenizer = train_tokenizer([], A_TOKEN_A_BYTE, positions, chat=True)
    torch.manual_seed(seed)
    size = FirstPolicySettings(
        width=32, layers=2, heads=2, feed_forward=64, max_tokens=positions, initializer_range=0.3
    )
    model = build_model(tokenizer, size).eval()
    if endless:
        never_end(model, int(tokenizer.eos_token_id))
    save_causal(CausalPolicy(model, tokenizer), folder)
    return folder


@torch.no_grad()
def never_end(model: PreTrainedModel, end_id: int) -> None:
    """Make the end token as good as impossible: one hidden feature is large in every token, and speaks against it."""
    model.config.tie_word_embeddings = False
    embeddings = model.get_input_embeddings()
    head = torch.nn.Linear(embeddings.embedding_dim, embeddings.num_embeddings, bias=False)
    head.weight.copy_(embeddings.weight)
    head.weight[:, 0] = 0.0
    head.weight[end_id, 0] = -20.0
    embeddings.weight[:, 0] = 10.0
    model.set_output_embeddings(head)


def write_classifier(folder: Path, seed: int) -> Path:
    return _write_encoder(folder, seed, BertForSequenceClassification, ("refund", "delivery", "other"))


def write_tagger(folder: Path, seed: int) -> Path:
    return _write_encoder(folder, seed, BertForTokenClassification, ("O", "B-city", "I-city"))


def _write_encoder(folder: Path, seed: int, head: type[PreTrainedModel], labels: tuple[str, ...]) -> Path:
    tokenizer = train_tokenizer([], A_TOKEN_A_BYTE, 64, chat=False)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    head(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
