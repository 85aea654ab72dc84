"""Architectures with absolute positions go the whole way: adopted, scored, improved, saved and served."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny_policy import tiny_gpt2, tiny_opt, without_padding
from transformers import PreTrainedModel

from thumbwheel.config.settings import Generate
from thumbwheel.inference.generate_engine import BatchedGenerateEngine
from thumbwheel.inference.sampling import Sampling
from thumbwheel.inference.self_check import foretell
from thumbwheel.policy.adopt import adopt
from thumbwheel.policy.loading import CausalPolicy, load_causal, save_causal
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.improve import improve_generate
from thumbwheel.ppo.generate.rollout import Sampling as Drawing
from thumbwheel.ppo.generate.rollout import draws, replies_by
from thumbwheel.ppo.generate.sequences import forward_tokens, pack_right
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.records import PolicyKind

PROMPTS = [[1, 4, 40 + i, 60 + i % 7, 2, 5][i % 4 :] for i in range(12)]
REPLIES = [[70, 71, 2], [80, 81, 82, 83, 2], [90]] * 4
MODELS = {"gpt2": tiny_gpt2, "opt": tiny_opt, "opt-350m": lambda: tiny_opt(8)}
ONE_STEP = PpoSettings(iterations=1, episodes=12, minibatch=6, epochs=2, max_new_tokens=5, least_prompts=10)


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    made: PreTrainedModel = MODELS[request.param]()
    return made


def one_by_one(model: PreTrainedModel) -> list[float]:
    """Each row alone, without padding, mask, or positions of ours."""
    found = []
    for prompt, reply in zip(PROMPTS, REPLIES, strict=True):
        logprobs = model(input_ids=torch.tensor([prompt + reply]), use_cache=False).logits[0].log_softmax(-1)
        found += [float(logprobs[len(prompt) + t - 1, token]) for t, token in enumerate(reply)]
    return found


def shortness(prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
    return [-float(len(reply)) for reply in replies]


async def served(policy: CausalPolicy, prompts: Sequence[Sequence[int]]) -> list[tuple[list[int], list[float]]]:
    """What the warmed engine draws for prompts that are decoded together, and the log-probabilities it would log."""
    settings, loop = Generate(kv_blocks=32, default_new_tokens=4, max_new_tokens=8), asyncio.get_running_loop()
    engine = await asyncio.to_thread(BatchedGenerateEngine, policy, foretell(policy.model), settings, loop)

    async def ask(prompt: Sequence[int]) -> tuple[list[int], list[float]]:
        async with engine.generate(prompt, Sampling(max_new_tokens=8), 1, stream=False) as progress:
            [done] = [step.finished async for step in progress if step.finished is not None]
        return list(done.token_ids), list(done.logprobs)

    try:
        await engine.warm()
        return await asyncio.gather(*map(ask, prompts))
    finally:
        await engine.close()


@torch.no_grad()
def test_the_side_of_the_padding_changes_nothing(model: PreTrainedModel) -> None:
    expected = one_by_one(model)
    assert sum(score_replies(model, PROMPTS, REPLIES), []) == pytest.approx(expected, abs=1e-5)
    right = forward_tokens(model, pack_right(PROMPTS, REPLIES), 1.0).reply_logprobs_N
    assert right.tolist() == pytest.approx(expected, abs=1e-5)


def test_a_rollout_is_what_the_prompt_alone_would_get(model: PreTrainedModel) -> None:
    sampling = Drawing(2, max_new_tokens=8)
    uniform_BR = draws(len(PROMPTS), sampling, torch.Generator().manual_seed(0))
    alone = [replies_by(model, [prompt], sampling, uniform_BR[i : i + 1])[0] for i, prompt in enumerate(PROMPTS)]
    assert replies_by(model, PROMPTS, sampling, uniform_BR) == alone


async def test_adopted_improved_and_served(model: PreTrainedModel, tmp_path: Path) -> None:
    save_causal(without_padding(model), tmp_path / "hub")
    adopt(PolicyKind.GENERATE, str(tmp_path / "hub"), tmp_path / "champion")
    done = improve_generate(
        tmp_path / "champion", shortness, PROMPTS, tmp_path / "candidate", seed=0, settings=ONE_STEP
    )
    assert done.history[0]["val/first_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert done.history[0]["objective/kl"] == pytest.approx(0.0, abs=1e-4)
    candidate, champion = load_causal(tmp_path / "candidate").model, load_causal(tmp_path / "champion").model
    assert score_replies(candidate, PROMPTS, REPLIES) != score_replies(champion, PROMPTS, REPLIES)
    answers = await served(load_causal(tmp_path / "candidate"), PROMPTS[:5])
    scores = score_replies(candidate, PROMPTS[:5], [ids for ids, _ in answers])
    for (_, logprobs), score in zip(answers, scores, strict=True):
        assert logprobs == pytest.approx(score, abs=1e-4)
