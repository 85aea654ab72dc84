"""Taking an existing model: what was trained for another kind, or lacks weights, is refused, not made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_policy import tiny_gpt2, tiny_policy, without_padding
from transformers import BertConfig, BertForSequenceClassification, BertModel, LlamaForSequenceClassification

from thumbwheel.errors import InvalidInput
from thumbwheel.policy.adopt import adopt
from thumbwheel.policy.classify import load_classifier
from thumbwheel.policy.loading import load_causal, save_causal
from thumbwheel.records import PolicyKind


def causal(folder: Path) -> Path:
    save_causal(tiny_policy(), folder)
    return folder


def classifier(folder: Path, kind: type[BertModel] | type[BertForSequenceClassification]) -> Path:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=400,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
        id2label={0: "lost", 1: "find"},
    )
    kind(config).save_pretrained(folder)
    tiny_policy().tokenizer.save_pretrained(folder)
    return folder


def without(folder: Path, name: str) -> Path:
    """Take one tensor out of the weights."""
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_model_of_the_kind_is_taken_as_it_is(tmp_path: Path) -> None:
    adopt(PolicyKind.GENERATE, str(causal(tmp_path / "lm")), tmp_path / "reply")
    ids = torch.tensor([[1, 4, 50, 51]])
    assert torch.equal(load_causal(tmp_path / "reply").model(ids).logits, tiny_policy().model(ids).logits)
    adopt(PolicyKind.CLASSIFY, str(classifier(tmp_path / "bert", BertForSequenceClassification)), tmp_path / "topics")
    assert load_classifier(tmp_path / "topics").labels == ("lost", "find")


def test_a_causal_model_needs_an_end_token_and_none_for_padding(tmp_path: Path) -> None:
    policy = without_padding(tiny_gpt2())
    save_causal(policy, tmp_path / "lm")
    adopt(PolicyKind.GENERATE, str(tmp_path / "lm"), tmp_path / "reply")
    assert load_causal(tmp_path / "reply").tokenizer.pad_token_id is None
    policy.tokenizer.eos_token = None
    save_causal(policy, tmp_path / "endless")
    with pytest.raises(InvalidInput, match=r"from: the tokenizer of .*endless has no end token; name one as eos_token"):
        adopt(PolicyKind.GENERATE, str(tmp_path / "endless"), tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    language = causal(tmp_path / "lm")
    with pytest.raises(InvalidInput, match="from: .*LlamaForCausalLM.*use --kind generate"):
        adopt(PolicyKind.CLASSIFY, str(language), tmp_path / "topics")
    LlamaForSequenceClassification(tiny_policy().model.config).save_pretrained(tmp_path / "labels")
    tiny_policy().tokenizer.save_pretrained(tmp_path / "labels")
    with pytest.raises(InvalidInput, match="from: .*LlamaForSequenceClassification.*use --kind classify"):
        adopt(PolicyKind.GENERATE, str(tmp_path / "labels"), tmp_path / "reply")
    with pytest.raises(InvalidInput, match="from: .*holds a BertModel, not a model of kind classify"):
        adopt(PolicyKind.CLASSIFY, str(classifier(tmp_path / "encoder", BertModel)), tmp_path / "topics")
    assert not (tmp_path / "topics").exists() and not (tmp_path / "reply").exists()


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    head = without(classifier(tmp_path / "bert", BertForSequenceClassification), "classifier.weight")
    with pytest.raises(InvalidInput, match=r"from: .*lacks weights \(classifier.weight\)"):
        adopt(PolicyKind.CLASSIFY, str(head), tmp_path / "topics")
    layer = without(causal(tmp_path / "lm"), "model.layers.0.mlp.up_proj.weight")
    with pytest.raises(InvalidInput, match=r"from: .*lacks weights \(model.layers.0.mlp.up_proj.weight\)"):
        adopt(PolicyKind.GENERATE, str(layer), tmp_path / "reply")
    assert not (tmp_path / "topics").exists() and not (tmp_path / "reply").exists()
