"""The n-gram network: which n-grams a text has, that padding changes nothing, that it is saved and read whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification

from thumbwheel.policy.ngram_classifier import NgramClassifier, NgramConfig, register

SPACE, A, B, C, D = 3, 4, 5, 6, 7


def _model(**changes: object) -> NgramClassifier:
    torch.manual_seed(0)
    wide = {"buckets": 2**20, "width": 8, "hidden_size": 8, "ngram_lengths": [2], "num_labels": 3}
    model = NgramClassifier(NgramConfig(**(wide | changes)))
    model.eval()
    return model


def _ngrams(model: NgramClassifier, ids: list[int]) -> list[int]:
    ids_BT = torch.tensor([ids])
    rows_BN, real_BN = model.ngrams(ids_BT, torch.ones_like(ids_BT, dtype=torch.bool))
    found: list[int] = rows_BN[real_BN].tolist()
    return found


def test_a_text_has_windows_words_and_pairs_of_words() -> None:
    # "[CLS] ab c": windows " a" "ab" "b " " c"; words "ab" "c"; one pair.
    assert len(_ngrams(_model(), [2, SPACE, A, B, SPACE, C])) == 4 + 2 + 1
    assert len(set(_ngrams(_model(), [2, SPACE, A, B, SPACE, C]))) == 7
    assert _ngrams(_model(), [2]) == []
    assert len(_ngrams(_model(ngram_lengths=[9]), [2, SPACE, A])) == 1


def test_the_same_word_is_the_same_wherever_it_stands_and_letters_have_an_order() -> None:
    words = _model(ngram_lengths=[])
    first, second = _ngrams(words, [SPACE, A, B, SPACE, C])[:2]
    assert _ngrams(words, [SPACE, C, SPACE, D, SPACE, A, B])[:3:2] == [second, first]
    assert _ngrams(words, [SPACE, B, A])[0] != first
    assert _ngrams(words, [SPACE, SPACE, A, B])[0] == first


def test_hashes_spread_evenly() -> None:
    model, pairs = _model(buckets=64), [[a, b] for a in range(3, 259) for b in range(3, 259)]
    ids_BT = torch.tensor(pairs)
    rows_BN, _ = model.ngrams(ids_BT, torch.ones_like(ids_BT, dtype=torch.bool))
    counts = torch.bincount(rows_BN[:, 0], minlength=64).double()
    expected = len(pairs) / 64
    assert int(rows_BN.min()) >= 0
    assert float((counts - expected).abs().max()) < 5 * expected**0.5


def test_padding_changes_nothing() -> None:
    model = _model()
    short, long = [2, SPACE, A, B], [2, SPACE, C, D, SPACE, A, B, C]
    padded = short + [0] * (len(long) - len(short))
    mask_BT = torch.tensor([[1] * 4 + [0] * 4, [1] * 8])
    together_BK = model(torch.tensor([padded, long]), mask_BT).logits
    assert torch.allclose(together_BK[0], model(torch.tensor([short])).logits[0], atol=1e-6)
    assert torch.allclose(together_BK[1], model(torch.tensor([long])).logits[0], atol=1e-6)


def test_the_text_is_the_normalised_sum_of_its_ngrams() -> None:
    model, ids = _model(), [2, SPACE, A, B, SPACE, C]
    summed_D: Tensor = model.table.weight[_ngrams(model, ids)].sum(0)
    text_D = (summed_D - summed_D.mean()) / (summed_D.var(unbiased=False) + 1e-5).sqrt()
    hidden_H = torch.nn.functional.gelu(model.hidden_norm(model.hidden(text_D)))
    assert torch.allclose(model(torch.tensor([ids])).logits[0], model.labels(hidden_H), atol=1e-5)


def test_ngrams_are_left_out_in_training_only() -> None:
    model, ids_BT = _model(ngram_dropout=0.5, dropout=0.0), torch.tensor([[2, SPACE, A, B, SPACE, C, D]])
    assert torch.equal(model(ids_BT).logits, model(ids_BT).logits)
    model.train()
    assert not torch.equal(model(ids_BT).logits, model(ids_BT).logits)


def test_it_is_saved_and_read_whole_by_the_auto_classes(tmp_path: Path) -> None:
    register()
    register()
    model, ids_BT = _model(ngram_lengths=[2, 4]), torch.tensor([[2, SPACE, A, B, SPACE, C, D]])
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert isinstance(AutoConfig.from_pretrained(tmp_path), NgramConfig)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path, trust_remote_code=False)
    assert torch.equal(again(ids_BT).logits, model(ids_BT).logits)


@pytest.mark.parametrize("ids", [[[2]], [[2, 0], [2, SPACE]]])
def test_a_text_without_ngrams_has_finite_logits(ids: list[list[int]]) -> None:
    assert torch.isfinite(_model()(torch.tensor(ids)).logits).all()
