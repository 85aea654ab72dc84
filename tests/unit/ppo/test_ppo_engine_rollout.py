"""The batching loop that serves samples what a plain loop samples, from the learner's weights of the moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_policy import tiny_gpt2, tiny_opt, tiny_policy
from transformers import PreTrainedModel

from thumbwheel.policy.loading import CausalPolicy, load_causal, save_causal
from thumbwheel.ppo.generate.engine_rollout import EngineSampler
from thumbwheel.ppo.generate.improve import improve_generate
from thumbwheel.ppo.generate.lora import with_adapters
from thumbwheel.ppo.generate.rollout import Sampling, draws, replies_by
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.trainee import AllWeights

MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: tiny_policy().model,
    "gpt2": tiny_gpt2,
    "opt": tiny_opt,
}
PROMPTS = [[1, 4, *range(40, 40 + i % 9), 60 + i % 7, 2, 5] for i in range(70)]
ENDLESS = Sampling(-1, temperature=0.8, max_new_tokens=12)


def moved(model: PreTrainedModel) -> PreTrainedModel:
    torch.manual_seed(2)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.requires_grad and "lora_A" not in name:
                value.add_(0.1 * torch.randn_like(value))
    return model


@pytest.mark.parametrize("adapters", [False, True], ids=["all weights", "adapters"])
@pytest.mark.parametrize("name", list(MODELS))
def test_replies_are_those_of_the_plain_loop_for_the_same_draws(name: str, adapters: bool, tmp_path: Path) -> None:
    tokenizer = tiny_policy().tokenizer
    champion, learner = (CausalPolicy(MODELS[name](), tokenizer) for _ in range(2))
    save_causal(champion, tmp_path / "champion")
    trainee = with_adapters(learner, 2, 8.0, seed=0) if adapters else AllWeights(learner, champion)
    sampler = EngineSampler(tmp_path / "champion")
    for seed, change in enumerate((lambda model: model, moved)):
        change(learner.model)
        uniform_BR = draws(len(PROMPTS), ENDLESS, torch.Generator().manual_seed(seed))
        expected = replies_by(learner.model, PROMPTS, ENDLESS, uniform_BR)
        often = Counter(token for reply in expected for token in set(reply)).most_common(1)[0][0]
        sampling = replace(ENDLESS, end_id=often)
        found = sampler.replies(trainee.weights(), PROMPTS, sampling, uniform_BR)
        assert found == [reply[: reply.index(often) + 1] if often in reply else reply for reply in expected]
        assert 12 in {len(reply) for reply in found} != {12}, "some end by themselves"


def shortness(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
    return [-float(len(reply)) for reply in replies]


def test_a_run_learns_the_same_by_either(tmp_path: Path) -> None:
    save_causal(tiny_policy(), tmp_path / "champion")
    settings = PpoSettings(iterations=2, episodes=12, minibatch=6, epochs=2, max_new_tokens=6, least_prompts=10)
    plain, engine = (
        improve_generate(
            tmp_path / "champion",
            shortness,
            PROMPTS[:20],
            tmp_path / rollouts,
            seed=1,
            settings=replace(settings, rollouts=rollouts),
        )
        for rollouts in ("generate", "engine")
    )
    assert engine.history == plain.history
    one, other = (load_causal(done.folder).model.state_dict() for done in (plain, engine))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
