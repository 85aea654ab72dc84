"""A first `classify` policy from the user's own texts: all of them unlabelled, a few of them with their labels.

The steps: deal out the few labels; learn a tokenizer and token vectors from all texts; put the vectors into a small
ModernBERT with mean pooling; train it on the few labels; save it in `save_pretrained` form, the few labels beside it
(`seed_labels.jsonl`), since later updates hold on to them.

Shape suffixes: N texts.
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
from transformers import ModernBertForSequenceClassification, PreTrainedTokenizerFast

from thumbwheel.errors import InvalidData
from thumbwheel.policy.classify import Classifier
from thumbwheel.pretrain.classify_tokenizer import train_classify_tokenizer
from thumbwheel.pretrain.corpus import LabelledText, read_labelled
from thumbwheel.pretrain.encoder import encoder_config, place_vectors
from thumbwheel.pretrain.seeds import read_seeds, write_seeds
from thumbwheel.pretrain.step_done import StepDone
from thumbwheel.pretrain.supervised import EncoderRecipe, fit_supervised
from thumbwheel.pretrain.token_dropout import hide_tokens

SEED_LABELS_FILE: Final = "seed_labels.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRecipe(EncoderRecipe):
    """How the first classifier is shaped and trained. Benchmarks ran with the defaults, but for labels a class."""

    labels_per_class: int | None = 5
    """Labelled texts it sees of each class; None: all; 0: none, then its labels are by chance."""
    pooled_dropout: float = 0.3
    layers: int = 1
    batch_size: int = 32
    least_updates: int = 400


def pretrain_classify(
    rows: Sequence[LabelledText],
    folder: Path,
    recipe: ClassifyRecipe | None = None,
    step_done: StepDone = lambda epoch, epochs, loss: None,
) -> tuple[LabelledText, ...]:
    """Train a first classifier on `rows`, save it in `folder`, and return the labelled texts it has seen.

    The same rows, recipe and number of threads give the same files. `step_done(epoch, epochs, loss)` is called
    after each pass, the loss in nats. Raises InvalidData when there are fewer than two labels.
    """
    recipe = recipe or ClassifyRecipe()
    labels = label_names(rows)
    seeds = deal_seed_labels(rows, recipe.labels_per_class, recipe.seed)
    tokenizer = train_classify_tokenizer((row.text for row in rows), recipe.vocabulary, recipe.max_tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        classifier = _new_classifier(labels, tokenizer, recipe)
        place_vectors(classifier.model, tokenizer, [row.text for row in rows], recipe)
        if seeds:
            _fit(classifier, seeds, recipe, step_done)
    classifier.model.eval()
    save_classifier(classifier, seeds, folder)
    return seeds


def label_names(rows: Sequence[LabelledText]) -> tuple[str, ...]:
    """The labels that occur, sorted; their order is the order of logits. Raises InvalidData for fewer than two."""
    labels = tuple(sorted({row.label for row in rows}))
    if len(labels) < 2:
        raise InvalidData("label", f"a classifier wants at least 2 different labels, the data has {len(labels)}")
    return labels


def deal_seed_labels(rows: Sequence[LabelledText], per_class: int | None, seed: int) -> tuple[LabelledText, ...]:
    """Choose `per_class` rows of each label at random (all of a label that has fewer; all rows for None)."""
    if per_class is None:
        return tuple(rows)
    rng = Random(f"seed labels {seed}")
    by_label: dict[str, list[LabelledText]] = {label: [] for label in sorted({row.label for row in rows})}
    for row in rows:
        by_label[row.label].append(row)
    return tuple(row for members in by_label.values() for row in rng.sample(members, min(per_class, len(members))))


def save_classifier(classifier: Classifier, seeds: Sequence[LabelledText], folder: Path) -> None:
    """Write model, tokenizer and seed labels to `folder` as a version holds them, safetensors only."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier.model.save_pretrained(folder)
    classifier.tokenizer.save_pretrained(folder)
    write_seeds(folder / SEED_LABELS_FILE, seeds)


def read_seed_labels(folder: Path) -> tuple[LabelledText, ...]:
    """The labelled texts a version holds on to; none when its `seed_labels.jsonl` is missing or empty."""
    return read_seeds(folder / SEED_LABELS_FILE, read_labelled)


def _new_classifier(labels: tuple[str, ...], tokenizer: PreTrainedTokenizerFast, recipe: ClassifyRecipe) -> Classifier:
    config = encoder_config(
        labels, tokenizer, recipe, classifier_pooling="mean", classifier_dropout=recipe.pooled_dropout
    )
    return Classifier(ModernBertForSequenceClassification(config), tokenizer, labels, recipe.max_tokens)


def _fit(classifier: Classifier, seeds: Sequence[LabelledText], recipe: ClassifyRecipe, step_done: StepDone) -> None:
    texts = [row.text for row in seeds]
    index_of = {label: index for index, label in enumerate(classifier.labels)}
    targets_N = torch.tensor([index_of[row.label] for row in seeds])

    def loss_of(minibatch: Sequence[int]) -> Tensor:
        encoded = classifier.encode([texts[index] for index in minibatch])
        encoded["input_ids"] = hide_tokens(encoded["input_ids"], classifier.tokenizer, recipe.token_dropout)
        return functional.cross_entropy(classifier.model(**encoded).logits.float(), targets_N[list(minibatch)])

    fit_supervised(classifier.model, texts, loss_of, recipe, step_done)
