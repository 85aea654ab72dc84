"""A small text classifier for CPUs: hashed n-grams of characters and words, averaged by a hidden layer.

Each n-gram of the text, each word and each pair of neighbouring words is hashed into one row of a table of vectors
("hashing trick", Weinberger et al. (2009)); the vectors of a text are added up and normalised, as in fastText (Joulin
et al. (2017), "Bag of tricks for efficient text classification"), and one hidden layer tells the labels apart. No
attention: an update costs a fraction of a small transformer's, and rare spellings still share their pieces.

It is an ordinary `transformers` model: `save_pretrained`, safetensors, the auto classes once `register` was called.
Its tokenizer gives one token a byte (a character of `ByteLevel`).

Shape suffixes: B texts, T tokens, N n-grams, D width, K labels.
"""

from __future__ import annotations

from typing import ClassVar, Final

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

# Odd constants with well-mixed bits, as 64-bit signed numbers: the finaliser of splitmix64 (Steele et al. (2014)).
_FIRST: Final = 0xBF58476D1CE4E5B9 - 2**64
_SECOND: Final = 0x94D049BB133111EB - 2**64
_STEP: Final = 0x9E3779B97F4A7C15 - 2**64


@strict
class NgramConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of an `NgramClassifier`.

    `buckets`: rows of the table; `width`: D; `hidden_size`: units of the hidden layer; `ngram_lengths`: in tokens;
    `first_text_token_id`: smaller ids are special and belong to no n-gram; `space_token_id` parts words;
    `ngram_dropout`: share of n-grams left out in training; `dropout`: of the averaged text and of hidden units.
    """

    model_type = "thumbwheel_ngram"

    buckets: int = 16_384
    width: int = 128
    hidden_size: int = 256
    ngram_lengths: list[int] | tuple[int, ...] = (3, 4, 5)
    first_text_token_id: int = 3
    space_token_id: int = 3
    ngram_dropout: float = 0.1
    dropout: float = 0.3
    pad_token_id: int | None = None


class NgramClassifier(PreTrainedModel):  # type: ignore[misc]
    """Logits of a text's labels from its n-grams."""

    config_class = NgramConfig
    _no_split_modules: ClassVar[list[str]] = []

    def __init__(self, config: NgramConfig) -> None:
        super().__init__(config)
        self.table = nn.Embedding(config.buckets, config.width)
        self.text_norm = nn.LayerNorm(config.width)
        self.hidden = nn.Linear(config.width, config.hidden_size)
        self.hidden_norm = nn.LayerNorm(config.hidden_size)
        self.labels = nn.Linear(config.hidden_size, config.num_labels)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif module is self.labels:
            nn.init.normal_(self.labels.weight, std=0.02)
            nn.init.zeros_(self.labels.bias)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5)
            nn.init.zeros_(module.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SequenceClassifierOutput:
        """Logits_BK of token ids and their mask, (B, T) each."""
        mask_BT = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        ngrams_BN, real_BN = self.ngrams(input_ids, mask_BT.bool())
        if self.training:
            real_BN = real_BN & (torch.rand(real_BN.shape, device=real_BN.device) >= self.config.ngram_dropout)
        share_BN = real_BN.to(self.table.weight.dtype)
        text_BD = functional.embedding_bag(ngrams_BN, self.table.weight, mode="sum", per_sample_weights=share_BN)
        text_BD = self.dropout(self.text_norm(text_BD))
        hidden_BH = self.dropout(functional.gelu(self.hidden_norm(self.hidden(text_BD))))
        return SequenceClassifierOutput(logits=self.labels(hidden_BH))

    def ngrams(self, ids_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Row of the table for every n-gram, word and pair of words, and which of them are real, both (B, N)."""
        text_BT = mask_BT & (ids_BT >= self.config.first_text_token_id)
        parts = [_windows(ids_BT, text_BT, length) for length in self.config.ngram_lengths]
        words_BW, real_BW = _words(ids_BT, text_BT, self.config.space_token_id)
        pairs_BW = _mix(words_BW[:, :-1] * _STEP + words_BW[:, 1:])
        parts += [(words_BW, real_BW), (pairs_BW, real_BW[:, :-1] & real_BW[:, 1:])]
        rows_BN = torch.cat([hashes for hashes, _ in parts], 1).remainder(self.config.buckets)
        return rows_BN, torch.cat([real for _, real in parts], 1)


def register() -> None:
    """Make the auto classes of `transformers` know this model; calling it again changes nothing."""
    AutoConfig.register(NgramConfig.model_type, NgramConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(NgramConfig, NgramClassifier, exist_ok=True)


def _windows(ids_BT: Tensor, text_BT: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Hashes of all `length` tokens in a row; real where all of them are text. None where T is too short."""
    starts = max(0, ids_BT.shape[1] - length + 1)
    hashes_BN = torch.full((len(ids_BT), starts), length, device=ids_BT.device)
    real_BN = torch.ones_like(hashes_BN, dtype=torch.bool)
    for offset in range(length if starts else 0):
        hashes_BN = _mix(hashes_BN * _STEP + ids_BT[:, offset : offset + starts] + 1)
        real_BN = real_BN & text_BT[:, offset : offset + starts]
    return hashes_BN, real_BN


def _words(ids_BT: Tensor, text_BT: Tensor, space: int) -> tuple[Tensor, Tensor]:
    """Hashes of the words, whose tokens stand between spaces, in their order; real where a word has a token."""
    parts_BT = (ids_BT == space) & text_BT
    place_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device).expand_as(ids_BT)
    begun_BT = torch.where(parts_BT, place_BT, 0).cummax(1).values
    letter_BT = text_BT & ~parts_BT
    # A sum, so that one scatter does it: each letter is hashed together with its place in the word.
    terms_BT = torch.where(letter_BT, _mix((ids_BT + 1) * _FIRST + (place_BT - begun_BT) * _STEP), 0)
    word_BT = parts_BT.long().cumsum(1)
    sums_BW = torch.zeros(len(ids_BT), int(word_BT.max()) + 1, dtype=torch.long, device=ids_BT.device)
    letters_BW = sums_BW.scatter_add(1, word_BT, letter_BT.long())
    return _mix(sums_BW.scatter_add(1, word_BT, terms_BT)), letters_BW > 0


def _mix(numbers: Tensor) -> Tensor:
    """Spread every bit over all 64; overflow wraps around."""
    numbers = numbers * _FIRST
    numbers = numbers ^ ((numbers >> 29) & (2**35 - 1))
    numbers = numbers * _SECOND
    return numbers ^ ((numbers >> 32) & (2**32 - 1))
