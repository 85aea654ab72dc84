"""What first policies of `classify` and `tag` share: a small ModernBERT whose token vectors unlabelled text has placed.

Shape suffixes: V vocabulary, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import ModernBertConfig, PreTrainedModel, PreTrainedTokenizerFast

from thumbwheel.pretrain.word_vectors import token_vectors


class EncoderShape(Protocol):
    """The part of a recipe that shapes the encoder."""

    @property
    def width(self) -> int:
        """Dimensions of a token's vector."""

    @property
    def feed_forward(self) -> int:
        """Hidden units of each layer's feed-forward part."""

    @property
    def layers(self) -> int:
        """Layers."""

    @property
    def heads(self) -> int:
        """Attention heads of a layer."""

    @property
    def dropout(self) -> float:
        """Share dropped in the layers."""

    @property
    def max_tokens(self) -> int:
        """Longest text, in tokens."""

    @property
    def seed(self) -> int:
        """Of the vectors."""


def encoder_config(
    labels: Sequence[str], tokenizer: PreTrainedTokenizerFast, shape: EncoderShape, **head: Any
) -> ModernBertConfig:
    """The configuration of an encoder of that shape; `head` are the fields of what stands on top."""
    return ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.max_tokens,
        global_attn_every_n_layers=1,
        embedding_dropout=shape.dropout,
        attention_dropout=shape.dropout,
        mlp_dropout=shape.dropout,
        initializer_range=0.05,
        initializer_cutoff_factor=3.0,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=None,
        eos_token_id=None,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        **head,
    )


def place_vectors(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], shape: EncoderShape
) -> None:
    """Start the embeddings from what the unlabelled texts tell; tokens they don't tell of stay random.

    The scale (deviation 1) is large beside the learning rate: training bends the vectors, it does not replace them.
    """
    ids = tokenizer(list(texts), add_special_tokens=False, truncation=True)["input_ids"]
    vectors_VD = torch.from_numpy(token_vectors(ids, len(tokenizer), shape.width, shape.seed))
    told_V = vectors_VD.norm(dim=1) > 0
    if int(told_V.sum()) < 2:
        return
    embeddings_VD = model.get_input_embeddings().weight
    with torch.no_grad():
        embeddings_VD[told_V] = vectors_VD[told_V] / vectors_VD[told_V].std()


def warm_up_then_decay(step: int, updates: int) -> float:
    """Factor on the learning rate: up over the first twentieth, then linearly to 0."""
    return min((step + 1) / max(1, updates // 20), 1.0) * max(0.0, 1.0 - step / updates)
