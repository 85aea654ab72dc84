"""Taking an existing model: what was trained for another kind, or lacks weights, is refused, not made up."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_policy import TINY, tiny_gpt2, tiny_policy, without_padding
from transformers import BertConfig, BertForSequenceClassification, BertModel, LlamaForSequenceClassification

from thumbwheel.errors import DamagedArtifact, InvalidInput
from thumbwheel.policy.adopt import adopt
from thumbwheel.policy.classify import load_classifier
from thumbwheel.policy.loading import CausalPolicy, load_causal, save_causal
from thumbwheel.pretrain.generate import build_model
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


def adapter(folder: Path, targets: tuple[str, ...] = ("q_proj", "up_proj")) -> tuple[Path, torch.Tensor]:
    """A saved LoRA adapter on the tiny policy whose B is not zero, and the logits of both together."""
    model = tiny_policy().model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=6, target_modules=list(targets)))
        torch.manual_seed(1)
        for name, value in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, 0, 0.3)
        adapted.save_pretrained(str(folder))
    logits: torch.Tensor = adapted.eval()(IDS).logits.detach()
    return folder, logits


IDS = torch.tensor([[1, 4, 50, 51]])


def test_an_adapter_is_merged_into_its_base(tmp_path: Path) -> None:
    base, (lora, expected) = causal(tmp_path / "lm"), adapter(tmp_path / "lora")
    adopt(PolicyKind.GENERATE, str(lora), tmp_path / "reply", str(base))
    assert torch.allclose(load_causal(tmp_path / "reply").model(IDS).logits, expected, atol=1e-4)
    assert not torch.allclose(load_causal(base).model(IDS).logits, expected, atol=0.1)
    assert not (tmp_path / "reply" / "adapter_config.json").exists()


def test_an_adapter_alone_is_no_model(tmp_path: Path) -> None:
    base, (lora, _) = causal(tmp_path / "lm"), adapter(tmp_path / "lora")
    with pytest.raises(InvalidInput, match=r"^from: .*lora holds an adapter .*name its model by --base"):
        adopt(PolicyKind.GENERATE, str(lora), tmp_path / "reply")
    with pytest.raises(InvalidInput, match=r"^base: .*lm holds no adapter .*leave --base out"):
        adopt(PolicyKind.GENERATE, str(base), tmp_path / "reply", str(base))
    with pytest.raises(InvalidInput, match=r"^base: .*lora holds an adapter itself"):
        adopt(PolicyKind.GENERATE, str(lora), tmp_path / "reply", str(lora))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (lora / name).write_bytes((base / name).read_bytes())
    with pytest.raises(DamagedArtifact, match="lora: it holds an adapter"):
        load_causal(lora)
    with pytest.raises(DamagedArtifact, match="lora: it holds an adapter"):
        load_classifier(lora)
    assert not (tmp_path / "reply").exists()


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    lora, _ = adapter(tmp_path / "lora")
    wider = replace(TINY, width=32)
    save_causal(CausalPolicy(build_model(tiny_policy().tokenizer, wider), tiny_policy().tokenizer), tmp_path / "wide")
    save_causal(without_padding(tiny_gpt2()), tmp_path / "gpt2")
    deeper = replace(TINY, layers=2)
    save_causal(CausalPolicy(build_model(tiny_policy().tokenizer, deeper), tiny_policy().tokenizer), tmp_path / "deep")
    for base in ("wide", "gpt2", "deep"):
        with pytest.raises(InvalidInput, match=rf"^base: the adapter .*lora does not fit .*{base}: other layers or"):
            adopt(PolicyKind.GENERATE, str(lora), tmp_path / "reply", str(tmp_path / base))
    assert not (tmp_path / "reply").exists()


def test_a_pickled_adapter_is_not_read(tmp_path: Path) -> None:
    base, (lora, _) = causal(tmp_path / "lm"), adapter(tmp_path / "lora")
    torch.save(load_file(lora / "adapter_model.safetensors"), lora / "adapter_model.bin")
    (lora / "adapter_model.safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"^from: .*no readable adapter_model.safetensors"):
        adopt(PolicyKind.GENERATE, str(lora), tmp_path / "reply", str(base))


@pytest.mark.parametrize("place", ["./nofolder", "/nofolder", "../nofolder", ".\\my-model", "models\\mine"])
def test_a_folder_that_is_not_there_is_said_so_and_no_hub_is_asked(place: str, tmp_path: Path) -> None:
    told = f"there is no folder {place}; name the folder of a model, or the id of one on a hub"
    for source, base, field in ((place, "", "from"), (str(tmp_path), place, "base")):
        with pytest.raises(InvalidInput) as refused:
            adopt(PolicyKind.GENERATE, source, tmp_path / "reply", base)
        assert (refused.value.field, refused.value.problem) == (field, told)
