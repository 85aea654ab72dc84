"""What first policies of `classify` and `tag` share: a small ModernBERT whose token vectors unlabelled text has placed.

Shape suffixes: V vocabulary, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import ModernBertConfig, PreTrainedModel, PreTrainedTokenizerFast

from thumbwheel.pretrain.supervised import EncoderRecipe
from thumbwheel.pretrain.word_vectors import token_vectors


def encoder_config(
    labels: Sequence[str], tokenizer: PreTrainedTokenizerFast, recipe: EncoderRecipe, **head: Any
) -> ModernBertConfig:
    """The configuration of an encoder as the recipe shapes it; `head` are the fields of what stands on top."""
    return ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=recipe.max_tokens,
        global_attn_every_n_layers=1,
        embedding_dropout=recipe.dropout,
        attention_dropout=recipe.dropout,
        mlp_dropout=recipe.dropout,
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
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], recipe: EncoderRecipe
) -> None:
    """Start the embeddings from what the unlabelled texts tell; tokens they don't tell of stay random.

    The scale (deviation 1) is large beside the learning rate: training bends the vectors, it does not replace them.
    """
    ids = tokenizer(list(texts), add_special_tokens=False, truncation=True)["input_ids"]
    vectors_VD = torch.from_numpy(token_vectors(ids, len(tokenizer), recipe.width, recipe.seed))
    told_V = vectors_VD.norm(dim=1) > 0
    if int(told_V.sum()) < 2:
        return
    embeddings_VD = model.get_input_embeddings().weight
    with torch.no_grad():
        embeddings_VD[told_V] = vectors_VD[told_V] / vectors_VD[told_V].std()
