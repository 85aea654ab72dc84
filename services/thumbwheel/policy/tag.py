"""Words to tag probabilities: the one copy of `tag` scoring, used by serving and by PPO.

A word's first token carries its tag; the others of the word are seen and carry none. What is logged for learning is
what `probabilities` returned when the tags were drawn, so that the importance ratio of a later policy is (its own) /
(the logged ones), word by word, both in fp32.

Shape suffixes: B texts, T tokens, W words of one text, P words of all texts one after the other, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForTokenClassification, PreTrainedModel, PreTrainedTokenizerBase

from thumbwheel.errors import InvalidInput
from thumbwheel.policy.classify import served_probabilities
from thumbwheel.policy.encoder import labels_of, max_tokens_of, read_encoder

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class EncodedWords:
    """One text's token ids, special ones included, and for each word the place of its first token.

    A word has the place -1 if no token of it is there: the text is longer than the model takes, or the tokenizer
    makes nothing of it.
    """

    ids: tuple[int, ...]
    firsts: tuple[int, ...]

    @property
    def lost(self) -> int | None:
        """The first word without a token; None when all have one."""
        return self.firsts.index(-1) if -1 in self.firsts else None


@dataclass(frozen=True, slots=True, eq=False)
class Tagger:
    """A token classifier with its tokenizer. `labels[k]` is the name of logit k: a BIO tag such as `B-city`, or `O`."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...]
    max_tokens: int

    def encode(self, texts: Sequence[Words], truncated: bool = True) -> list[EncodedWords]:
        """The tokens of each text's words; with `truncated` at most `max_tokens`."""
        if not texts:
            return []
        encoded = self.tokenizer(
            [list(words) for words in texts],
            is_split_into_words=True,
            truncation=truncated,
            max_length=self.max_tokens if truncated else None,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return [
            EncodedWords(tuple(ids), _firsts(encoded.word_ids(row), len(texts[row])))
            for row, ids in enumerate(encoded["input_ids"])
        ]

    def padded(self, encoded: Sequence[EncodedWords]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask, each (B, T), padded on the right to the longest."""
        rows = [torch.tensor(one.ids) for one in encoded]
        ids_BT = pad_sequence(rows, batch_first=True, padding_value=float(self.tokenizer.pad_token_id or 0))
        lengths_B1 = torch.tensor([[len(row)] for row in rows])
        mask_BT = (torch.arange(ids_BT.shape[1]) < lengths_B1).long()
        return ids_BT.to(self.model.device), mask_BT.to(self.model.device)

    def logits(self, encoded: Sequence[EncodedWords]) -> Tensor:
        """fp32 logits_PK of the words that have a token, text after text; with gradients, dropout as the mode says."""
        ids_BT, mask_BT = self.padded(encoded)
        return self.word_logits(ids_BT, mask_BT, encoded)

    def word_logits(self, ids_BT: Tensor, mask_BT: Tensor, encoded: Sequence[EncodedWords]) -> Tensor:
        """The same of token ids that may be others than those of `encoded`, at the same places."""
        logits_BTK: Tensor = self.model(input_ids=ids_BT, attention_mask=mask_BT).logits
        places = [(row, first) for row, one in enumerate(encoded) for first in one.firsts if first >= 0]
        rows_P, firsts_P = torch.tensor(places, device=logits_BTK.device).reshape(-1, 2).unbind(1)
        return logits_BTK[rows_P, firsts_P].float()

    @torch.inference_mode()
    def probabilities(self, texts: Sequence[Words], floor: float) -> list[Tensor]:
        """fp32 probs_WK of each text as served: dropout off, mixed with the uniform distribution by `floor`.

        Raises RuntimeError when the model is in training mode: what is served must not be noisy. Raises InvalidInput
        for a text with a word that has no token (see `EncodedWords`).
        """
        if self.model.training:
            raise RuntimeError("probabilities() wants the model in eval mode; call model.eval() first")
        encoded = self.encode(texts)
        for one in encoded:
            demand_all_words(one)
        if not encoded:
            return []
        probs_PK = served_probabilities(self.logits(encoded), floor)
        ends = list(accumulate(len(words) for words in texts))
        return [probs_PK[end - len(words) : end] for words, end in zip(texts, ends, strict=True)]

    def token_count(self, words: Words) -> int:
        """How many tokens the words have, special tokens included, before any truncation."""
        return len(self.encode([words], truncated=False)[0].ids)


def load_tagger(folder: Path, device: str = "cpu") -> Tagger:
    """Load the token classifier saved by `save_pretrained` in `folder`, in fp32 and eval mode (dropout off).

    Reads safetensors only, runs no code from the folder and fetches nothing. Raises DamagedArtifact when the files can
    not be read or lack weights, and InvalidInput when the model has fewer than two tags or its tokenizer can't tell
    which token is of which word.
    """
    model, tokenizer = read_encoder(folder, AutoModelForTokenClassification, "token classifier")
    demand_word_tokenizer(tokenizer, folder.name)
    labels = labels_of(model, folder, "token classifier")
    model.to(device)
    model.eval()
    return Tagger(model, tokenizer, labels, max_tokens_of(model, tokenizer))


def demand_word_tokenizer(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Refuse a tokenizer that can't split words one by one: only fast ones tell which token is of which word.

    Some byte-level ones (RoBERTa's) do it only when they put a blank before each word.
    """
    try:
        fits = tokenizer.is_fast and tokenizer(["a", "b"], is_split_into_words=True).word_ids(0) is not None
    except (AssertionError, ValueError):
        fits = False
    if not fits:
        raise InvalidInput(
            "tokenizer", f"that of {name} can't tell words apart; save a fast one, with add_prefix_space if it has that"
        )


def demand_all_words(encoded: EncodedWords) -> None:
    """Refuse a text of which not every word has a token. Raises InvalidInput."""
    if (lost := encoded.lost) is not None:
        raise InvalidInput(f"tokens[{lost}]", "the policy's tokenizer makes nothing of it: leave it out")


def _firsts(word_ids: Sequence[int | None], words: int) -> tuple[int, ...]:
    """The place of each word's first token; -1 for a word that has none."""
    firsts = [-1] * words
    for place, word in enumerate(word_ids):
        if word is not None and firsts[word] < 0:
            firsts[word] = place
    return tuple(firsts)
