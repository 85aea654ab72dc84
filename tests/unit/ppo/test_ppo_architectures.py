"""Scorer, reward features and KL on several architectures: each number as of a plain forward pass without padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from tiny_policy import WORDS, tiny_gpt2, tiny_opt, tiny_policy
from torch import Tensor
from transformers import PreTrainedModel

from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import encode_prompt, end_token_id
from thumbwheel.ppo.generate.collect import judged_replies
from thumbwheel.ppo.generate.lora import with_adapters
from thumbwheel.ppo.generate.sequences import forward_tokens, pack_right
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.ppo.generate.trainee import AllWeights, Trainee
from thumbwheel.ppo.generate.training_state import initial_state
from thumbwheel.records import Message
from thumbwheel.reward.features import featurise
from thumbwheel.workers.alone import Alone

MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": tiny_gpt2,
    "opt": tiny_opt,
    "opt-350m": lambda: tiny_opt(8),
    "llama": lambda: tiny_policy().model,
}
CHAT = tiny_policy().tokenizer
TALKS = [
    [Message("user", WORDS[0])],
    [Message("system", "be kind"), Message("user", WORDS[2])],
    [Message("user", WORDS[2]), Message("assistant", WORDS[3]), Message("user", "when?")],
]
PROMPTS = [encode_prompt(CHAT, talk, 64) for talk in TALKS]
REPLIES = [[70, 71, 2], [80, 81, 82, 83, 84, 2], [90]]
TEMPERATURE = 0.7


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return MODELS[request.param]()


def plain(model: PreTrainedModel, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Logits (T, V) and last hidden states (T, D) of one sequence: no padding, mask or positions of ours."""
    out = model(input_ids=torch.tensor([list(ids)]), output_hidden_states=True, use_cache=False)
    return out.logits[0], out.hidden_states[-1][0]


def chosen(logits_TV: Tensor, ids: Sequence[int]) -> list[float]:
    """log softmax at each token of `ids` but the first, by its definition."""
    probs_TV = logits_TV.double().exp()
    return [float((probs_TV[t, token] / probs_TV[t].sum()).log()) for t, token in enumerate(ids[1:])]


def test_prompts_of_a_chat_differ_in_length() -> None:
    assert len({len(prompt) for prompt in PROMPTS}) == 3


@torch.no_grad()
def test_the_training_scorer_is_the_plain_pass(model: PreTrainedModel) -> None:
    outputs = forward_tokens(model, pack_right(PROMPTS, REPLIES), TEMPERATURE)
    of_prompts, of_replies, hidden = [], [], []
    for prompt, reply in zip(PROMPTS, REPLIES, strict=True):
        logits_TV, states_TD = plain(model, [*prompt, *reply])
        of_prompts += chosen(logits_TV, prompt)
        of_replies += chosen(logits_TV[len(prompt) - 1 :] / TEMPERATURE, [0, *reply])
        hidden.append(states_TD[len(prompt) - 1 : -1])
    assert outputs.prompt_logprobs_M.tolist() == pytest.approx(of_prompts, abs=1e-4)
    assert outputs.reply_logprobs_N.tolist() == pytest.approx(of_replies, abs=1e-4)
    assert torch.allclose(outputs.hidden_ND, torch.cat(hidden), atol=1e-4)


@torch.no_grad()
def test_reward_features_are_those_of_the_plain_pass(model: PreTrainedModel) -> None:
    for rows, features_BRC, mask_BR in featurise(model, PROMPTS, REPLIES, batch_size=3):
        for i, features_RC, mask_R in zip(rows, features_BRC, mask_BR, strict=True):
            ids, start = [*PROMPTS[i], *REPLIES[i]], len(PROMPTS[i])
            logits_TV, states_TD = plain(model, ids)
            logprobs_RV = logits_TV[start - 1 : -1].double().log_softmax(-1)
            own_R = logprobs_RV.gather(-1, torch.tensor(REPLIES[i]).unsqueeze(-1)).squeeze(-1)
            surprise_R3 = torch.stack(
                [own_R, own_R - logprobs_RV.max(-1).values, -(logprobs_RV.exp() * logprobs_RV).sum(-1)], -1
            )
            expected_RC = torch.cat([states_TD[start - 1 : -1], states_TD[start:], surprise_R3.float()], -1)
            assert torch.allclose(features_RC[mask_R], expected_RC, atol=2e-4)


@pytest.mark.parametrize("adapters", [False, True], ids=["all weights", "adapters"])
@torch.no_grad()
def test_the_kl_of_fresh_replies_is_that_of_two_plain_passes(model: PreTrainedModel, adapters: bool) -> None:
    champion = type(model)(model.config).eval()
    champion.load_state_dict(model.state_dict())
    policy, trainee = CausalPolicy(model, CHAT), _moved(model, champion, adapters)
    settings = PpoSettings(max_new_tokens=6, temperature=TEMPERATURE)
    state = initial_state(trainee, settings, Alone())
    judged = judged_replies(
        state, lambda prompts, replies: [0.0] * len(replies), PROMPTS, torch.Generator().manual_seed(1), settings
    )
    for prompt, reply, penalty_R in zip(PROMPTS, judged.replies, judged.penalty_BR, strict=True):
        new, old = (
            chosen(plain(one, [*prompt, *reply])[0][len(prompt) - 1 :] / TEMPERATURE, [0, *reply])
            for one in (policy.model, champion)
        )
        expected = [n - o for n, o in zip(new, old, strict=True)]
        assert penalty_R[: len(reply)].tolist() == pytest.approx(expected, abs=2e-4)
        assert max(map(abs, expected)) > 1e-3
        assert reply[-1] == end_token_id(CHAT) or len(reply) == 6


def _moved(model: PreTrainedModel, champion: PreTrainedModel, adapters: bool) -> Trainee:
    """A policy some steps away from the champion it began as."""
    torch.manual_seed(2)
    policy, trainee = CausalPolicy(model, CHAT), AllWeights(CausalPolicy(model, CHAT), CausalPolicy(champion, CHAT))
    made = with_adapters(policy, 2, 8.0, seed=0) if adapters else trainee
    for name, value in model.named_parameters():
        if not adapters or "lora_B" in name:
            value.add_(0.05 * torch.randn_like(value))
    return made
