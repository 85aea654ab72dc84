"""The first classifier: a few labels, stock files, the same each time, better than chance."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from thumbwheel.errors import InvalidData
from thumbwheel.policy.classify import load_classifier
from thumbwheel.pretrain.classify import (
    SEED_LABELS_FILE,
    ClassifyRecipe,
    deal_seed_labels,
    pretrain_classify,
    read_seed_labels,
)
from thumbwheel.pretrain.classify_tokenizer import train_classify_tokenizer
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.pretrain.minibatches import length_bucketed
from thumbwheel.pretrain.token_dropout import hide_tokens
from thumbwheel.pretrain.word_vectors import token_vectors

TOPICS = {
    "parcel": ["where is my parcel", "the courier lost my parcel", "parcel tracking stands still"],
    "refund": ["i want a refund", "when is the refund on my account", "send the money back"],
    "login": ["i forgot my password", "the login page is locked", "reset my password please"],
}
TINY = ClassifyRecipe(labels_per_class=2, vocabulary=400, width=16, feed_forward=16, least_updates=60)


def _rows() -> list[LabelledText]:
    openings = ["hello,", "hi", "", "good day:", "please help,", "sorry,"]
    return [LabelledText(f"{o} {t}".strip(), label) for label, ts in TOPICS.items() for t in ts for o in openings]


def test_a_few_labels_are_dealt_of_every_class() -> None:
    rows = [*_rows(), LabelledText("a lonely one", "rare")]
    dealt = deal_seed_labels(rows, per_class=4, seed=0)
    assert Counter(row.label for row in dealt) == {"parcel": 4, "refund": 4, "login": 4, "rare": 1}
    assert set(dealt) <= set(rows)
    assert dealt == deal_seed_labels(rows, per_class=4, seed=0)
    assert dealt != deal_seed_labels(rows, per_class=4, seed=1)
    assert deal_seed_labels(rows, per_class=None, seed=0) == tuple(rows)


def test_a_first_classifier_is_saved_as_stock_files(tmp_path: Path) -> None:
    seeds = pretrain_classify(_rows(), tmp_path / "v1", TINY)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "v1", trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "v1", trust_remote_code=False)
    assert model.config.id2label == {0: "login", 1: "parcel", 2: "refund"}
    assert model.config.model_type == "modernbert"
    assert not list((tmp_path / "v1").glob("*.bin"))
    with torch.no_grad():
        logits_BK = model(**tokenizer(["where is my parcel"], return_tensors="pt")).logits
    assert torch.allclose(logits_BK, load_classifier(tmp_path / "v1").logits(["where is my parcel"]), atol=1e-6)
    assert read_seed_labels(tmp_path / "v1") == seeds


def test_it_learns_its_few_labels(tmp_path: Path) -> None:
    pretrain_classify(_rows(), tmp_path / "v1", TINY)
    classifier = load_classifier(tmp_path / "v1")
    best = classifier.probabilities([row.text for row in _rows()], 0.0).argmax(-1).tolist()
    right = sum(classifier.labels[index] == row.label for index, row in zip(best, _rows(), strict=True))
    assert right / len(_rows()) > 0.6


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    torch.manual_seed(1)
    pretrain_classify(_rows(), tmp_path / "a", TINY)
    torch.manual_seed(2)
    pretrain_classify(_rows(), tmp_path / "b", TINY)
    for name in ("model.safetensors", "tokenizer.json", "config.json", SEED_LABELS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_progress_is_told_after_each_pass(tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    pretrain_classify(_rows(), tmp_path / "v1", TINY, lambda *figures: told.append(figures))
    epochs = TINY.epochs(6)
    assert [epoch for epoch, _, _ in told] == list(range(1, epochs + 1))
    assert {total for _, total, _ in told} == {epochs}
    assert told[-1][2] < told[0][2]


def test_one_label_is_no_classification(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="at least 2 different labels, the data has 1"):
        pretrain_classify([LabelledText("a", "x"), LabelledText("b", "x")], tmp_path / "v1")


def test_few_rows_are_passed_more_often() -> None:
    recipe = ClassifyRecipe(batch_size=32, least_epochs=20, least_updates=400)
    assert recipe.epochs(385) == 34
    assert recipe.epochs(8000) == 20


def test_seed_labels_are_kept_as_json_lines(tmp_path: Path) -> None:
    seeds = pretrain_classify(_rows(), tmp_path / "v1", TINY)
    lines = (tmp_path / "v1" / SEED_LABELS_FILE).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"text": row.text, "label": row.label} for row in seeds]


def test_the_tokenizer_is_the_same_each_time_and_knows_every_text() -> None:
    texts = [row.text for row in _rows()]
    first, again = (train_classify_tokenizer(texts, 400, 32) for _ in range(2))
    assert first.get_vocab() == again.get_vocab()
    assert len(first) <= 400
    for text in ("Where IS my parcel", "où est ça? 包裹在哪里 🎁", ""):
        ids = first(text)["input_ids"]
        assert ids[0] == first.cls_token_id
        assert first.unk_token_id not in ids
    assert first("Where IS my PARCEL")["input_ids"] == first("where is my parcel")["input_ids"]


def test_token_vectors_put_tokens_of_like_company_together() -> None:
    # 1 and 2 stand between 3 and 4; 5 and 6 stand between 7 and 8; 9 never occurs.
    rng = Random(0)
    texts = [[3, rng.choice((1, 2)), 4] for _ in range(50)] + [[7, rng.choice((5, 6)), 8] for _ in range(50)]
    vectors_VD = token_vectors(texts, vocabulary=10, dimensions=4, seed=0, window=1)

    def cosine(a: int, b: int) -> float:
        norms = float(np.linalg.norm(vectors_VD[a]) * np.linalg.norm(vectors_VD[b]))
        return float(vectors_VD[a] @ vectors_VD[b]) / norms

    assert cosine(1, 2) > 0.95
    assert cosine(5, 6) > 0.95
    assert abs(cosine(1, 5)) < 0.1
    assert not vectors_VD[9].any()


def test_the_vectors_factorise_positive_pmi() -> None:
    texts = [[0, 1], [0, 1], [0, 2], [1, 2, 3]]
    vectors_VD = token_vectors(texts, vocabulary=4, dimensions=3, seed=0, window=1)
    counts = np.zeros((4, 4))
    for text in texts:
        for a, b in zip(text, text[1:], strict=False):
            counts[a, b] += 1
            counts[b, a] += 1
    sums = counts.sum(1)
    smoothed = sums**0.75 / (sums**0.75).sum()
    pmi = np.zeros((4, 4))
    for a in range(4):
        for b in range(4):
            if counts[a, b]:
                pmi[a, b] = max(0.0, math.log(counts[a, b] / (sums[a] * smoothed[b])))
    left, singular, _ = np.linalg.svd(pmi)
    expected = np.abs(left[:, :3] * np.sqrt(singular[:3]))
    assert np.abs(vectors_VD) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("texts", [[], [[1], [2]], [[]]])
def test_texts_without_company_give_no_vectors(texts: list[list[int]]) -> None:
    assert not token_vectors(texts, vocabulary=5, dimensions=3, seed=0).any()


def test_batches_hold_every_text_once_and_little_padding() -> None:
    rng = Random(3)
    texts = ["x" * rng.randrange(1, 200) for _ in range(500)]
    batches = length_bucketed(texts, 16, Random(0))
    assert sorted(index for batch in batches for index in batch) == list(range(500))
    assert max(len(batch) for batch in batches) == 16
    padded = sum(len(batch) * max(len(texts[index]) for index in batch) for batch in batches)
    assert padded < 1.25 * sum(map(len, texts))
    assert batches != length_bucketed(texts, 16, Random(1))


def test_hidden_tokens_are_as_many_as_asked_and_never_special() -> None:
    tokenizer = train_classify_tokenizer([row.text for row in _rows()], 400, 64)
    ids_BT = torch.full((200, 50), 300)
    ids_BT[:, 0] = tokenizer.cls_token_id
    torch.manual_seed(0)
    hidden_BT = hide_tokens(ids_BT, tokenizer, 0.3)
    assert (hidden_BT[:, 0] == tokenizer.cls_token_id).all()
    assert float((hidden_BT[:, 1:] == tokenizer.mask_token_id).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert torch.equal(hide_tokens(ids_BT, tokenizer, 0.0), ids_BT)
