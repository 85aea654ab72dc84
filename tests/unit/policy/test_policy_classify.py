"""Scoring of labels: the numbers that are served are the numbers that are logged."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from thumbwheel.errors import DamagedArtifact, InvalidInput
from thumbwheel.policy.classify import (
    Classifier,
    likeliest_labels,
    load_classifier,
    sample_labels,
    served_probabilities,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "my", "card", "was", "lost", "where", "is", "it"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny BERT of three labels with heavy dropout, as `save_pretrained` leaves it."""
    target = tmp_path / "v1"
    inner = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", model_max_length=8
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        hidden_dropout_prob=0.5,
        initializer_range=0.5,
        id2label={0: "lost", 1: "find", 2: "other"},
        label2id={"lost": 0, "find": 1, "other": 2},
    )
    BertForSequenceClassification(config).save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


@pytest.fixture
def classifier(folder: Path) -> Classifier:
    return load_classifier(folder)


def test_served_probabilities_mix_the_softmax_with_the_uniform_distribution() -> None:
    logits_BK = torch.tensor([[math.log(1.0), math.log(2.0), math.log(5.0)]])
    probs_BK = served_probabilities(logits_BK, floor=0.06)
    expected = [0.94 * share / 8 + 0.02 for share in (1.0, 2.0, 5.0)]
    assert probs_BK[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_the_floor_holds_where_the_softmax_underflows() -> None:
    probs_BK = served_probabilities(torch.tensor([[1e4, -1e4]]), floor=0.02)
    assert probs_BK[0].tolist() == pytest.approx([0.99, 0.01], rel=1e-6)


def test_served_probabilities_are_fp32_even_from_half_precision() -> None:
    logits_BK = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.bfloat16)
    probs_BK = served_probabilities(logits_BK, floor=0.02)
    assert probs_BK.dtype == torch.float32
    assert float(probs_BK.sum()) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("floor", [-0.01, 1.01, float("nan")])
def test_a_floor_outside_of_0_to_1_is_refused(floor: float) -> None:
    with pytest.raises(InvalidInput, match="probability_floor: must lie in"):
        served_probabilities(torch.zeros(1, 2), floor)


def test_labels_are_sampled_as_often_as_their_probability_says() -> None:
    probs_BK = torch.tensor([[0.7, 0.2, 0.1]]).expand(20_000, 3)
    drawn_B = sample_labels(probs_BK, torch.Generator().manual_seed(3))
    shares = torch.bincount(drawn_B, minlength=3) / 20_000
    assert shares.tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.012)


def test_sampling_is_reproducible_and_follows_its_generator() -> None:
    probs_BK = torch.full((64, 5), 0.2)
    first, again, other = (sample_labels(probs_BK, torch.Generator().manual_seed(seed)).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_argmax_takes_the_likeliest_label() -> None:
    probs_BK = torch.tensor([[0.1, 0.6, 0.3], [0.4, 0.2, 0.4]])
    assert likeliest_labels(probs_BK).tolist() == [1, 0]


def test_a_loaded_classifier_knows_its_labels_and_limit(classifier: Classifier) -> None:
    assert classifier.labels == ("lost", "find", "other")
    assert classifier.max_tokens == 8
    assert classifier.token_count("my card was lost") == 5


def test_serving_has_no_dropout_and_training_mode_is_refused(classifier: Classifier) -> None:
    first_BK = classifier.probabilities(["my card was lost"], 0.02)
    assert torch.equal(first_BK, classifier.probabilities(["my card was lost"], 0.02))
    classifier.model.train()
    with pytest.raises(RuntimeError, match="eval mode"):
        classifier.probabilities(["my card was lost"], 0.02)


def test_a_text_scores_the_same_alone_and_in_a_padded_batch(classifier: Classifier) -> None:
    alone_BK = classifier.probabilities(["lost"], 0.02)
    batched_BK = classifier.probabilities(["where is my card it was lost", "lost"], 0.02)
    assert batched_BK[1].tolist() == pytest.approx(alone_BK[0].tolist(), abs=1e-6)


def test_a_long_text_is_scored_by_its_first_tokens(classifier: Classifier) -> None:
    head = "my card was lost where is it"
    long_BK = classifier.probabilities([head + " my" * 50], 0.02)
    assert torch.equal(long_BK, classifier.probabilities([head], 0.02))


def test_logits_carry_gradients_for_training(classifier: Classifier) -> None:
    torch.autograd.backward(classifier.logits(["lost"]).sum())
    assert any(parameter.grad is not None for parameter in classifier.model.parameters())


def test_a_folder_that_lacks_a_weight_is_damaged(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DamagedArtifact, match="classifier.weight"):
        load_classifier(folder)


def test_a_truncated_weight_file_is_damaged(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DamagedArtifact, match="v1"):
        load_classifier(folder)


def test_pickled_weights_are_not_read(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DamagedArtifact, match="v1"):
        load_classifier(folder)


def test_a_missing_folder_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedArtifact, match="config.json is missing"):
        load_classifier(tmp_path / "nothing")


def test_one_label_is_no_classifier(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"], config["label2id"] = {"0": "only"}, {"only": 0}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] = weights["classifier.weight"][:1].clone()
    weights["classifier.bias"] = weights["classifier.bias"][:1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match="at least 2 labels"):
        load_classifier(folder)
