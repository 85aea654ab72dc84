"""Advantages by hand, losses against plain loops, the KL controller."""

import math

import pytest
import torch

from thumbwheel.ppo.advantages import generalised_advantages, masked_mean, whiten
from thumbwheel.ppo.generate.collect import token_rewards
from thumbwheel.ppo.kl import AdaptiveKl
from thumbwheel.ppo.losses import clipped_policy_loss, clipped_value_loss, kl_k1, squared_drift

torch.manual_seed(0)
MASK = torch.tensor([[True, True, True], [True, True, False]])
NEW, OLD = -torch.rand(2, 3) * 3, -torch.rand(2, 3) * 3
ADVANTAGES = torch.randn(2, 3)
PLACES = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_advantages_worked_by_hand() -> None:
    # gamma .9, lam .8. Row 0: deltas 1+.9*2-1=1.8, 0+.9*3-2=.7, 5-3=2.
    # A2 = 2, A1 = .7 + .72*2 = 2.14, A0 = 1.8 + .72*2.14 = 3.3408.
    # Row 1 ends at its second token: A1 = 4-1 = 3, A0 = 0+.9*1-2 + .72*3 = 1.06; what stands on padding is not seen.
    rewards = torch.tensor([[1.0, 0.0, 5.0], [0.0, 4.0, 99.0]])
    values = torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 99.0]])
    advantages, returns = generalised_advantages(rewards, values, MASK, gamma=0.9, lam=0.8)
    assert torch.allclose(advantages, torch.tensor([[3.3408, 2.14, 2.0], [1.06, 3.0, 0.0]]), atol=1e-5)
    assert torch.allclose(returns, torch.tensor([[4.3408, 4.14, 5.0], [3.06, 4.0, 0.0]]), atol=1e-5)


def test_undiscounted_returns_without_values_are_sums_to_come() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 0.0]])
    _, returns = generalised_advantages(rewards, torch.zeros(2, 3), MASK, gamma=1.0, lam=1.0)
    assert returns.tolist() == [[7.0, 6.0, 4.0], [3.0, 2.0, 0.0]]


def test_whitening_sees_only_real_tokens() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 1000.0]])
    white = whiten(values, MASK)
    assert white[1, 2] == 0
    assert white[MASK].mean().item() == pytest.approx(0.0, abs=1e-6)
    assert white[MASK].var(unbiased=False).item() == pytest.approx(1.0, abs=1e-5)


def test_masked_mean_counts_tokens_not_rows() -> None:
    assert masked_mean(torch.tensor([[1.0, 1.0, 1.0], [6.0, 6.0, 9.0]]), MASK).item() == pytest.approx(3.0)
    assert masked_mean(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.bool)).item() == 0.0


def test_policy_loss_against_a_plain_loop() -> None:
    found = clipped_policy_loss(NEW, OLD, ADVANTAGES, MASK, clip=0.2)
    losses, clipped, kls, ratios = [], [], [], []
    for b, t in PLACES:
        ratio = math.exp(NEW[b, t].item() - OLD[b, t].item())
        advantage = ADVANTAGES[b, t].item()
        plain, near = ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage
        losses.append(-min(plain, near))
        clipped.append(float(near < plain))
        kls.append(ratio - 1 - math.log(ratio))
        ratios.append(ratio)
    for value, expected in (
        (found.loss, losses),
        (found.clip_fraction, clipped),
        (found.approx_kl, kls),
        (found.mean_ratio, ratios),
    ):
        assert value.item() == pytest.approx(sum(expected) / 5, rel=1e-5)


def test_the_same_policy_has_ratio_one_kl_zero_and_the_plain_gradient() -> None:
    new = OLD.clone().requires_grad_()
    found = clipped_policy_loss(new, OLD, ADVANTAGES, MASK, clip=0.2)
    assert (found.mean_ratio.item(), found.approx_kl.item(), found.clip_fraction.item()) == (1.0, 0.0, 0.0)
    gradient = torch.autograd.grad(found.loss, new)[0]
    assert torch.allclose(gradient, -ADVANTAGES * MASK / 5)


def test_beyond_the_clip_there_is_no_gradient() -> None:
    new = torch.tensor([1.0], requires_grad=True)
    found = clipped_policy_loss(new, torch.zeros(1), torch.ones(1), torch.ones(1, dtype=torch.bool), clip=0.2)
    assert torch.autograd.grad(found.loss, new)[0].item() == 0.0


def test_absurd_log_ratios_stay_finite() -> None:
    found = clipped_policy_loss(torch.zeros(1), torch.tensor([-500.0]), -torch.ones(1), torch.ones(1).bool(), 0.2)
    assert found.loss.item() == pytest.approx(math.exp(20.0), rel=1e-5)


def test_micro_batches_add_up_to_the_whole() -> None:
    count = MASK.sum()
    first, second = (clipped_policy_loss(NEW[i], OLD[i], ADVANTAGES[i], MASK[i], 0.2, count).loss for i in (0, 1))
    assert (first + second).item() == pytest.approx(clipped_policy_loss(NEW, OLD, ADVANTAGES, MASK, 0.2).loss.item())


def test_value_loss_against_a_plain_loop() -> None:
    values, old, returns = torch.randn(2, 3), torch.randn(2, 3), torch.randn(2, 3)
    expected = 0.0
    for b, t in PLACES:
        v, o, r = values[b, t].item(), old[b, t].item(), returns[b, t].item()
        near = o + min(max(v - o, -0.2), 0.2)
        expected += 0.5 * max((v - r) ** 2, (near - r) ** 2) / 5
    assert clipped_value_loss(values, old, returns, MASK, clip=0.2).item() == pytest.approx(expected, rel=1e-5)


def test_kl_estimators() -> None:
    assert kl_k1(torch.tensor([-1.0]), torch.tensor([-3.0])).item() == 2.0
    assert squared_drift(torch.tensor([-1.0]), torch.tensor([-3.0])).item() == 2.0
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(6, dtype=torch.float64).log_softmax(0)
    logprobs = logits.log_softmax(0)
    exact = torch.autograd.grad((logprobs.exp() * (logprobs - reference)).sum(), logits, retain_graph=True)[0]
    k2 = torch.autograd.grad((logprobs.exp().detach() * squared_drift(logprobs, reference)).sum(), logits)[0]
    assert torch.allclose(k2, exact)


def test_the_score_is_paid_at_the_last_real_token() -> None:
    penalty = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 7.0]])
    rewards = token_rewards(torch.tensor([10.0, 20.0]), penalty, MASK, beta=0.1)
    assert torch.allclose(rewards, torch.tensor([[-0.1, -0.2, 9.7], [-0.1, 19.8, 0.0]]))


def test_beta_rises_above_the_target_falls_below_and_keeps_its_floor() -> None:
    kl = AdaptiveKl(beta=0.1, target=2.0, horizon=1000)
    assert kl.update(2.0, 100) == pytest.approx(0.1)
    assert kl.update(2.2, 100) == pytest.approx(0.1 * 1.01)
    assert kl.update(50.0, 100) == pytest.approx(0.101 * 1.02)
    for _ in range(200):
        kl.update(0.0, 100)
    assert kl.beta == kl.floor
