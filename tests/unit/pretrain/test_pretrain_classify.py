"""The first classifier: a few labels, stock files, the same each time, better than chance."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from thumbwheel.errors import InvalidData
from thumbwheel.policy.classify import load_classifier
from thumbwheel.policy.ngram_classifier import register
from thumbwheel.pretrain.classify import (
    SEED_LABELS_FILE,
    ClassifyRecipe,
    deal_seed_labels,
    pretrain_classify,
    read_seed_labels,
)
from thumbwheel.pretrain.classify_tokenizer import byte_tokenizer
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.pretrain.minibatches import length_bucketed
from thumbwheel.pretrain.ngram_vectors import ngram_vectors
from thumbwheel.pretrain.token_dropout import hide_tokens

TOPICS = {
    "parcel": ["where is my parcel", "the courier lost my parcel", "parcel tracking stands still"],
    "refund": ["i want a refund", "when is the refund on my account", "send the money back"],
    "login": ["i forgot my password", "the login page is locked", "reset my password please"],
}
TINY = ClassifyRecipe(labels_per_class=2, buckets=512, width=16, hidden=16, least_updates=60)


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


def test_a_first_classifier_is_read_by_the_auto_classes(tmp_path: Path) -> None:
    seeds = pretrain_classify(_rows(), tmp_path / "v1", TINY)
    register()
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "v1", trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "v1", trust_remote_code=False)
    assert model.config.id2label == {0: "login", 1: "parcel", 2: "refund"}
    assert model.config.model_type == "thumbwheel_ngram"
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


def test_the_tokenizer_reads_every_text_as_lower_case_bytes() -> None:
    tokenizer = byte_tokenizer(64)
    assert len(tokenizer) == 3 + 256
    for text in ("Where IS my parcel", "où est ça? 包裹在哪里 🎁", ""):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.cls_token_id
        assert len(ids) == 1 + (len(text.lower().encode()) + 1 if text else 0)
        assert tokenizer.unk_token_id not in ids
    assert tokenizer("Where IS my PARCEL")["input_ids"] == tokenizer("where is my parcel")["input_ids"]


def test_vectors_put_ngrams_of_like_company_together() -> None:
    # 1 and 2 stand between 3 and 4; 5 and 6 stand between 7 and 8; 9 never occurs.
    rng = Random(0)
    texts = [[3, rng.choice((1, 2)), 4] for _ in range(50)] + [[7, rng.choice((5, 6)), 8] for _ in range(50)]
    vectors_ND = ngram_vectors([np.array(text) for text in texts], ngrams=10, dimensions=2, seed=0)

    def cosine(a: int, b: int) -> float:
        norms = float(np.linalg.norm(vectors_ND[a]) * np.linalg.norm(vectors_ND[b]))
        return float(vectors_ND[a] @ vectors_ND[b]) / norms

    assert cosine(1, 2) > 0.95
    assert cosine(5, 6) > 0.95
    assert abs(cosine(1, 5)) < 0.1
    assert not vectors_ND[9].any()


def test_the_vectors_of_a_text_add_up_to_its_singular_vector() -> None:
    texts = [[0, 1], [0, 1, 1], [0, 2], [1, 2, 3]]
    vectors_ND = ngram_vectors([np.array(text) for text in texts], ngrams=5, dimensions=3, seed=0)
    occurs = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 1, 1, 0]], dtype=float)
    rarity = 1 + np.log(5 / (1 + occurs.sum(0)))
    lengths = np.linalg.norm(occurs * rarity, axis=1)
    left, singular, _ = np.linalg.svd(occurs * rarity / lengths[:, None])
    added = np.abs(occurs @ vectors_ND / lengths[:, None])
    assert added == pytest.approx(np.abs(left[:, :3] * np.sqrt(singular[:3])), abs=1e-4)


@pytest.mark.parametrize("texts", [[[]], [[], []]])
def test_texts_without_ngrams_give_no_vectors(texts: list[list[int]]) -> None:
    assert not ngram_vectors([np.array(text, dtype=np.int64) for text in texts], 5, 3, seed=0).any()


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
    tokenizer = byte_tokenizer(64)
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    ids_BT = torch.full((200, 50), 30)
    ids_BT[:, 0] = tokenizer.cls_token_id
    torch.manual_seed(0)
    hidden_BT = hide_tokens(ids_BT, tokenizer, 0.3)
    assert (hidden_BT[:, 0] == tokenizer.cls_token_id).all()
    assert float((hidden_BT[:, 1:] == tokenizer.mask_token_id).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert torch.equal(hide_tokens(ids_BT, tokenizer, 0.0), ids_BT)
    assert torch.equal(hide_tokens(ids_BT, byte_tokenizer(64), 0.3), ids_BT)
