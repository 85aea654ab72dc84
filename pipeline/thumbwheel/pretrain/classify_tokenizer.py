"""The tokenizer of a classifier trained from scratch: lower-case bytes, one token each; nothing is learned.

Bytes, so that no text has an unknown token, and so that the classifier sees every spelling.
"""

from __future__ import annotations

from typing import Final

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS: Final = ("[PAD]", "[UNK]", "[CLS]")
SPACE: Final = "\u0120"
"""How `ByteLevel` writes the byte 0x20; a text begins with one, so that its first word is a word like any other."""


def byte_tokenizer(max_tokens: int) -> PreTrainedTokenizerFast:
    """A tokenizer that reads the first `max_tokens` bytes of a text in lower case.

    Every encoded text begins with `[CLS]`, so that none is empty. There is no mask token: a hidden byte would spoil
    all the n-grams it is part of.
    """
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate((*SPECIAL_TOKENS, *characters))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
    begin = ("[CLS]", SPECIAL_TOKENS.index("[CLS]"))
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        model_max_length=max_tokens,
        clean_up_tokenization_spaces=False,
    )
