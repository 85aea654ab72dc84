"""Adapters against matrices multiplied by hand: what learns, what it is held near, and what is saved in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_policy import tiny_gpt2, tiny_opt, tiny_policy
from transformers import PreTrainedModel

from thumbwheel.policy.loading import CausalPolicy, load_causal, save_causal
from thumbwheel.ppo.generate.improve import Improvement, improve_generate
from thumbwheel.ppo.generate.lora import Adapters, with_adapters
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.trainee import trainee_of
from thumbwheel.ppo.generate.training_state import initial_state
from thumbwheel.workers.alone import Alone

MODELS = {"llama": lambda: tiny_policy().model, "gpt2": tiny_gpt2, "opt": tiny_opt}
IDS = torch.tensor([[1, 4, 50, 51, 60, 2]])
RANK, ALPHA = 2, 6.0
SETTINGS = PpoSettings(
    iterations=4,
    episodes=16,
    minibatch=8,
    epochs=2,
    learning_rate=2e-2,
    max_new_tokens=6,
    least_prompts=10,
    checkpoint_every=2,
    max_update_kl=9.0,
    lora_rank=RANK,
    lora_alpha=ALPHA,
)
PROMPTS = [[1, 4, 40 + i, 60 + i % 7, 2, 5][i % 3 :] for i in range(20)]


class Killed(Exception):
    """Stands for a kill."""


def high_ids(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
    return [sum(token > 150 for token in reply) / len(reply) * 4 - 6 for reply in replies]


def adapted(model: PreTrainedModel) -> Adapters:
    """With a B that is not zero, as after some steps."""
    adapters = with_adapters(CausalPolicy(model, tiny_policy().tokenizer), RANK, ALPHA, seed=3)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.3)
    return adapters


def by_hand(model: PreTrainedModel, plain: PreTrainedModel) -> PreTrainedModel:
    """`plain` with W + (alpha / rank) B A in place of every W that has an adapter in `model`."""
    weights, named = plain.state_dict(), dict(model.named_parameters())
    for name in [name for name in named if "lora_A" in name]:
        at = name.split(".lora_A")[0]
        update = ALPHA / RANK * named[name.replace("lora_A", "lora_B")] @ named[name]
        weight = weights[f"{at}.weight"]
        weight += (update if update.shape == weight.shape and "c_" not in at else update.T).detach()
    return plain


@pytest.mark.parametrize("name", list(MODELS))
def test_the_policy_is_w_plus_ba_and_without_adapters_the_champion(name: str, tmp_path: Path) -> None:
    plain, champion = MODELS[name](), MODELS[name]()
    adapters = adapted(MODELS[name]())
    model = adapters.policy.model
    expected = by_hand(model, plain)(IDS).logits
    assert not torch.allclose(expected, champion(IDS).logits, atol=0.1)
    assert torch.allclose(model(IDS).logits, expected, atol=1e-4)
    with adapters.reference() as reference:
        assert reference is model, "one model in memory"
        assert torch.equal(reference(IDS).logits, champion(IDS).logits)
    assert torch.allclose(model(IDS).logits, expected, atol=1e-4)
    save_causal(adapters.whole(), tmp_path / "whole")
    saved = load_causal(tmp_path / "whole").model
    assert torch.allclose(saved(IDS).logits, expected, atol=1e-4)
    assert saved.state_dict().keys() == champion.state_dict().keys()
    assert not (tmp_path / "whole" / "adapter_config.json").exists()


def improve(champion: Path, out: str, stop: int = 0, **changes: object) -> Improvement:
    def told(done: int, total: int, metrics: object) -> None:
        if done == stop:
            raise Killed

    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    state = champion.parent / f"{out}-state"
    return improve_generate(
        champion,
        high_ids,
        PROMPTS,
        champion.parent / out,
        seed=1,
        settings=settings,
        checkpoint=state,
        round_done=told,
    )


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    save_causal(tiny_policy(), tmp_path / "champion")
    return tmp_path / "champion"


def test_the_first_minibatch_has_ratio_one_and_kl_zero(champion: Path) -> None:
    facts = improve(champion, "out", iterations=1).history[0]
    assert facts["val/first_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert facts["objective/kl"] == 0.0, "B is zero: policy and reference are the same numbers"


def test_scores_rise_by_changes_of_low_rank_to_adapted_matrices_alone(champion: Path) -> None:
    """One layer of random weights has little to adapt, so steps are large and nothing holds it back."""
    bold: dict[str, Any] = {
        "learning_rate": 5e-2,
        "lora_alpha": 12.0,
        "episodes": 48,
        "epochs": 4,
        "beta": 0.0,
        "anchor_weight": 0.0,
    }
    done = improve(champion, "out", iterations=6, evaluate_every=0, **bold)
    assert done.history[-1]["objective/scores"] > done.history[0]["objective/scores"] + 0.5
    assert done.history[-1]["objective/kl"] > 0.1
    before, after = (load_causal(folder).model.state_dict() for folder in (champion, done.folder))
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    layer = "model.layers.0."
    attention = {f"{layer}self_attn.{x}_proj.weight" for x in "qkvo"}
    assert changed == attention | {f"{layer}mlp.{x}_proj.weight" for x in ("gate", "up", "down")}
    for name in changed:
        assert torch.linalg.matrix_rank(after[name] - before[name], atol=1e-4) <= RANK, name


def test_trainable_parameters_are_those_of_the_adapters(champion: Path) -> None:
    state = initial_state(trainee_of(champion, SETTINGS, seed=1), SETTINGS, Alone())
    width, inner = 16, 32
    by_shape = RANK * (4 * (width + width) + 3 * (width + inner))
    whole = sum(value.numel() for value in tiny_policy().model.parameters())
    assert state.counts == (by_shape, whole)
    assert sum(value.numel() for value in state.learned) == by_shape + width + 1, "and the value head"


def test_a_killed_run_resumes_to_the_same_bytes(champion: Path) -> None:
    whole = improve(champion, "whole")
    with pytest.raises(Killed):
        improve(champion, "killed", stop=3)
    resumed = improve(champion, "killed")
    assert (resumed.history, resumed.evaluations) == (whole.history, whole.evaluations)
    one, other = ((folder / "model.safetensors").read_bytes() for folder in (whole.folder, resumed.folder))
    assert one == other
