"""A first `tag` policy from the user's own tagged words, as `classify` makes its own: all words, a few of their tags.

The steps: deal out the few tagged texts; learn a tokenizer (capitals kept) and token vectors from all texts; put the
vectors into a small ModernBERT; train it on the few tagged texts; save it in `save_pretrained` form, those texts beside
it (`seed_tags.jsonl`), since later updates hold on to them.

Shape suffixes: P words of several texts, T tokens, B texts, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional
from transformers import ModernBertForTokenClassification

from thumbwheel.errors import InvalidData
from thumbwheel.policy.tag import EncodedWords, Tagger
from thumbwheel.pretrain.classify_tokenizer import train_classify_tokenizer
from thumbwheel.pretrain.corpus import OUTSIDE, TaggedWords, read_tagged
from thumbwheel.pretrain.encoder import encoder_config, place_vectors
from thumbwheel.pretrain.seeds import read_seeds, write_seeds
from thumbwheel.pretrain.step_done import StepDone
from thumbwheel.pretrain.supervised import EncoderRecipe, fit_supervised
from thumbwheel.pretrain.token_dropout import hide_tokens

SEED_TAGS_FILE: Final = "seed_tags.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRecipe(EncoderRecipe):
    """How the first tagger is shaped and trained."""

    texts: int | None = 20
    """Tagged texts it sees; None: all."""
    head_dropout: float = 0.2
    layers: int = 2
    batch_size: int = 16
    least_updates: int = 300


def pretrain_tag(
    rows: Sequence[TaggedWords],
    folder: Path,
    recipe: TagRecipe | None = None,
    step_done: StepDone = lambda epoch, epochs, loss: None,
) -> tuple[TaggedWords, ...]:
    """Train a first tagger on `rows`, save it in `folder`, and return the tagged texts it has seen.

    The same rows, recipe and number of threads give the same files. `step_done(epoch, epochs, loss)` is called
    after each pass, the loss in nats a word. Raises InvalidData when there is no tag but `O`.
    """
    recipe = recipe or TagRecipe()
    labels = tag_names(rows)
    seeds = deal_seed_tags(rows, recipe.texts, recipe.seed)
    texts = [" ".join(row.tokens) for row in rows]
    tokenizer = train_classify_tokenizer(texts, recipe.vocabulary, recipe.max_tokens, lowercase=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        config = encoder_config(labels, tokenizer, recipe, classifier_dropout=recipe.head_dropout)
        tagger = Tagger(ModernBertForTokenClassification(config), tokenizer, labels, recipe.max_tokens)
        place_vectors(tagger.model, tokenizer, texts, recipe)
        _fit(tagger, seeds, recipe, step_done)
    tagger.model.eval()
    save_tagger(tagger, seeds, folder)
    return seeds


def tag_names(rows: Sequence[TaggedWords]) -> tuple[str, ...]:
    """`O` and the tags that occur, sorted, in the order of logits; with each `B-` its `I-` and the other way round.

    Raises InvalidData when there is no tag but `O`.
    """
    entities = sorted({tag[2:] for row in rows for tag in row.tags if tag != OUTSIDE})
    if not entities:
        raise InvalidData("tags", f"every word is tagged {OUTSIDE}, so there is nothing to find: tag some entities")
    return (OUTSIDE, *(f"{edge}-{name}" for name in entities for edge in "BI"))


def deal_seed_tags(rows: Sequence[TaggedWords], count: int | None, seed: int) -> tuple[TaggedWords, ...]:
    """Choose `count` rows at random, of each tag that occurs one first; all rows for None, or where there are fewer."""
    if count is None or count >= len(rows):
        return tuple(rows)
    order = list(range(len(rows)))
    Random(f"seed tags {seed}").shuffle(order)
    of_tag: dict[str, int] = {}
    for index in order:
        for tag in rows[index].tags:
            of_tag.setdefault(tag, index)
    chosen = list(dict.fromkeys([*(of_tag[tag] for tag in sorted(of_tag)), *order]))[:count]
    return tuple(rows[index] for index in chosen)


def save_tagger(tagger: Tagger, seeds: Sequence[TaggedWords], folder: Path) -> None:
    """Write model, tokenizer and seed tags to `folder` as a version holds them, safetensors only."""
    folder.mkdir(parents=True, exist_ok=True)
    tagger.model.save_pretrained(folder)
    tagger.tokenizer.save_pretrained(folder)
    write_seeds(folder / SEED_TAGS_FILE, seeds)


def read_seed_tags(folder: Path) -> tuple[TaggedWords, ...]:
    """The tagged texts a version holds on to; none when its `seed_tags.jsonl` is missing or empty."""
    return read_seeds(folder / SEED_TAGS_FILE, read_tagged)


def hidden_logits(tagger: Tagger, encoded: Sequence[EncodedWords], token_dropout: float) -> Tensor:
    """logits_PK of the words that have a token, with some tokens hidden; draws from torch's global generator."""
    ids_BT, mask_BT = tagger.padded(encoded)
    return tagger.word_logits(hide_tokens(ids_BT, tagger.tokenizer, token_dropout), mask_BT, encoded)


def target_tags(tagger: Tagger, rows: Sequence[TaggedWords], encoded: Sequence[EncodedWords]) -> Tensor:
    """The index of the right tag of each word that has a token: int64 (P,), text after text."""
    index_of = {label: index for index, label in enumerate(tagger.labels)}
    return torch.tensor(
        [
            index_of[tag]
            for row, one in zip(rows, encoded, strict=True)
            for tag, first in zip(row.tags, one.firsts, strict=True)
            if first >= 0
        ],
        dtype=torch.long,
    )


def _fit(tagger: Tagger, seeds: Sequence[TaggedWords], recipe: TagRecipe, step_done: StepDone) -> None:
    encoded = tagger.encode([row.tokens for row in seeds])

    def loss_of(minibatch: Sequence[int]) -> Tensor:
        rows, words = [seeds[index] for index in minibatch], [encoded[index] for index in minibatch]
        logits_PK = hidden_logits(tagger, words, recipe.token_dropout)
        return functional.cross_entropy(logits_PK, target_tags(tagger, rows, words))

    fit_supervised(tagger.model, [" ".join(row.tokens) for row in seeds], loss_of, recipe, step_done)
