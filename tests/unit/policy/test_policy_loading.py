"""Loading: round trip, no pickle, damage is named, nothing shared."""

from pathlib import Path

import pytest
import torch
from tiny_policy import tiny_policy
from torch import nn

from thumbwheel.errors import DamagedArtifact
from thumbwheel.policy.loading import load_causal, save_causal, turn_dropout_off


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_causal(tiny_policy(), tmp_path)
    return tmp_path


def test_round_trip_gives_the_same_logits(folder: Path) -> None:
    ids = torch.tensor([[1, 4, 50, 51]])
    loaded = load_causal(folder)
    assert torch.equal(loaded.model(ids).logits, tiny_policy().model(ids).logits)
    assert not loaded.model.training
    assert loaded.max_tokens == 64
    assert loaded.tokenizer.chat_template == tiny_policy().tokenizer.chat_template


def test_two_loads_share_no_config(folder: Path) -> None:
    assert load_causal(folder).model.config is not load_causal(folder).model.config


def test_pickled_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(DamagedArtifact, match="safetensors"):
        load_causal(folder)


def test_cut_weights_are_named_damaged(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DamagedArtifact, match="not a readable policy"):
        load_causal(folder)


def test_dropout_is_off_in_training_mode_too() -> None:
    model = nn.Sequential(nn.Dropout(0.5)).train()
    turn_dropout_off(model)
    assert torch.equal(model(torch.ones(100)), torch.ones(100))
