"""The tokenizer of an encoder trained from scratch: byte-level BPE, learned on the user's text.

Byte-level, so that no text has an unknown token; BPE, because the same text gives the same tokenizer each time
(the WordPiece trainer of `tokenizers` 0.23 breaks ties at random).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_classify_tokenizer(
    texts: Iterable[str], vocabulary: int, max_tokens: int, lowercase: bool = True
) -> PreTrainedTokenizerFast:
    """Learn at most `vocabulary` tokens (256 bytes and 5 special ones included) from `texts`.

    Every encoded text begins with `[CLS]`, so that none is empty. Names are told by their capitals, so a tagger keeps
    them: `lowercase` False.
    """
    bpe = Tokenizer(models.BPE())
    lower = [normalizers.Lowercase()] if lowercase else []
    bpe.normalizer = normalizers.Sequence([normalizers.NFKC(), *lower])
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    begin = ("[CLS]", SPECIAL_TOKENS.index("[CLS]"))
    bpe.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=max_tokens,
        clean_up_tokenization_spaces=False,
    )
