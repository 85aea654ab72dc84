"""The mathematics of PPO against loops written from the formulas, in both precisions; padding changes nothing.

The loops compute in Python's floats (64 bits) and know neither masks nor broadcasting: they visit real actions only.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from thumbwheel.ppo.advantages import generalised_advantages, whiten
from thumbwheel.ppo.classify.improve import ClassifyPpoSettings
from thumbwheel.ppo.classify.votes import ClassifyVote, vote_columns
from thumbwheel.ppo.generate.collect import token_rewards
from thumbwheel.ppo.losses import clipped_policy_loss, clipped_value_loss, kl_k1, kl_k3, squared_drift
from thumbwheel.ppo.vote_loss import ppo_vote_loss

LENGTHS = [7, 1, 4, 6]
ROWS, LONGEST = len(LENGTHS), max(LENGTHS)
MASK_BR = torch.arange(LONGEST) < torch.tensor(LENGTHS).unsqueeze(1)
PLACES = [(b, t) for b in range(ROWS) for t in range(LENGTHS[b])]
PRECISIONS = [(torch.float32, 1e-6), (torch.float64, 1e-10)]
pytestmark = pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["float32", "float64"])


class Batch:
    """Random columns; on padding stands what would be noticed."""

    def __init__(self, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(5)

        def column(shift: float = 0.0) -> Tensor:
            drawn_BR = torch.rand(ROWS, LONGEST, generator=generator, dtype=torch.float64) + shift
            return torch.where(MASK_BR, drawn_BR, 77.0).to(dtype)

        self.rewards, self.values, self.old_values, self.returns = (column(-0.5) for _ in range(4))
        self.new, self.old, self.reference = (column(-1.5) for _ in range(3))
        self.advantages = column(-0.5)


def close(found: Tensor, expected: list[float] | float, tolerance: float) -> bool:
    wanted = torch.tensor(expected, dtype=torch.float64)
    return bool(torch.allclose(found.double(), wanted, rtol=tolerance, atol=tolerance))


def real(column: Tensor) -> list[float]:
    return [float(column[place]) for place in PLACES]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.99, 0.9), (0.9, 0.0), (0.0, 1.0)])
def test_advantages_are_discounted_sums_of_residuals(
    dtype: torch.dtype, tolerance: float, gamma: float, lam: float
) -> None:
    batch = Batch(dtype)
    found, returns = generalised_advantages(batch.rewards, batch.values, MASK_BR, gamma, lam)
    expected = []
    for b, t in PLACES:
        total = 0.0
        for later in range(t, LENGTHS[b]):
            after = float(batch.values[b, later + 1]) if later + 1 < LENGTHS[b] else 0.0
            residual = float(batch.rewards[b, later]) + gamma * after - float(batch.values[b, later])
            total += (gamma * lam) ** (later - t) * residual
        expected.append(total)
    assert close(found[MASK_BR], expected, tolerance)
    sums = [total + float(batch.values[place]) for total, place in zip(expected, PLACES, strict=True)]
    assert close(returns[MASK_BR], sums, tolerance)
    assert not found[~MASK_BR].any()


def test_whitening(dtype: torch.dtype, tolerance: float) -> None:
    batch = Batch(dtype)
    values = real(batch.advantages)
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    expected = [(value - mean) / math.sqrt(variance + 1e-8) for value in values]
    white = whiten(batch.advantages, MASK_BR)
    assert close(white[MASK_BR], expected, 3 * tolerance)
    assert not white[~MASK_BR].any()


def test_token_rewards(dtype: torch.dtype, tolerance: float) -> None:
    batch = Batch(dtype)
    scores = torch.tensor([2.0, -1.0, 0.5, 3.0], dtype=dtype)
    found = token_rewards(scores, kl_k1(batch.new, batch.reference), MASK_BR, beta=0.1)
    expected = []
    for b, t in PLACES:
        paid = float(scores[b]) if t == LENGTHS[b] - 1 else 0.0
        expected.append(paid - 0.1 * (float(batch.new[b, t]) - float(batch.reference[b, t])))
    assert close(found[MASK_BR], expected, tolerance)


def test_policy_loss(dtype: torch.dtype, tolerance: float) -> None:
    batch = Batch(dtype)
    found = clipped_policy_loss(batch.new, batch.old, batch.advantages, MASK_BR, clip=0.2)
    loss = clipped = kl = mean_ratio = 0.0
    for new, old, advantage in zip(real(batch.new), real(batch.old), real(batch.advantages), strict=True):
        ratio = math.exp(new) / math.exp(old)
        near = 0.8 if ratio < 0.8 else 1.2 if ratio > 1.2 else ratio
        loss -= min(ratio * advantage, near * advantage) / len(PLACES)
        clipped += (near * advantage < ratio * advantage) / len(PLACES)
        kl += (ratio - 1 - math.log(ratio)) / len(PLACES)
        mean_ratio += ratio / len(PLACES)
    assert close(found.loss, loss, tolerance)
    assert close(found.clip_fraction, clipped, 1e-6)  # a share, counted in float32
    assert close(found.approx_kl, kl, tolerance)
    assert close(found.mean_ratio, mean_ratio, tolerance)
    assert 0.0 < clipped < 1.0


def test_value_loss(dtype: torch.dtype, tolerance: float) -> None:
    batch = Batch(dtype)
    found = clipped_value_loss(batch.values, batch.old_values, batch.returns, MASK_BR, clip=0.2)
    loss = 0.0
    for value, old, target in zip(real(batch.values), real(batch.old_values), real(batch.returns), strict=True):
        near = old + max(-0.2, min(0.2, value - old))
        loss += 0.5 * max((value - target) ** 2, (near - target) ** 2) / len(PLACES)
    assert close(found, loss, tolerance)


def test_kl_estimators(dtype: torch.dtype, tolerance: float) -> None:
    batch = Batch(dtype)
    pairs = list(zip(real(batch.new), real(batch.reference), strict=True))
    assert close(kl_k1(batch.new, batch.reference)[MASK_BR], [new - old for new, old in pairs], tolerance)
    halves = [(new - old) ** 2 / 2 for new, old in pairs]
    assert close(squared_drift(batch.new, batch.reference)[MASK_BR], halves, tolerance)
    thirds = [math.exp(old - new) - 1 - (old - new) for new, old in pairs]
    assert close(kl_k3(batch.new, batch.reference)[MASK_BR], thirds, tolerance)


def test_k1_and_k3_average_to_the_kl_and_k3_never_falls_below_0(dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logprobs, reference = (torch.randn(9, generator=generator, dtype=dtype).log_softmax(0) for _ in range(2))
    exact = sum(math.exp(p) * (p - q) for p, q in zip(logprobs.tolist(), reference.tolist(), strict=True))
    for estimator in (kl_k1, kl_k3):
        assert close((logprobs.exp() * estimator(logprobs, reference)).sum(), exact, 2 * tolerance)
    assert bool((kl_k3(logprobs, reference) >= 0).all())
    assert not kl_k3(logprobs, logprobs).any()


def _votes() -> list[ClassifyVote]:
    """Votes on answers of several versions; the champion gives one of the labels a hundred times as often."""
    logged = [(0.2, 0.5, 0.3), (0.7, 0.2, 0.1), (0.004, 0.9, 0.096), (0.3, 0.3, 0.4), (0.1, 0.8, 0.1)]
    return [
        ClassifyVote(f"text {i}", label, logged[i], reward, weight)
        for i, (label, reward, weight) in enumerate(
            [(1, 1.0, 1.0), (0, -1.0, 1.0), (0, 0.5, 0.5), (2, -0.5, 2.0), (1, 1.0, 0.0)]
        )
    ]


def test_bandit_weights_and_loss(dtype: torch.dtype, tolerance: float) -> None:
    votes, floor, most = _votes(), 0.06, 5.0
    generator = torch.Generator().manual_seed(2)
    logits_NK = torch.randn(5, 3, generator=generator, dtype=dtype)
    champion_N = [0.4, 0.8, 0.4, 0.5, 0.75]
    columns = vote_columns(votes, labels=3)
    settings = ClassifyPpoSettings(probability_floor=floor, clip=0.2, largest_anchor_weight=most)
    loss = ppo_vote_loss(columns, torch.tensor(champion_N, dtype=torch.float64).log(), settings)
    found, figures = loss(logits_NK, torch.arange(5), 5)
    expected = ratios = 0.0
    for vote, champion, logits in zip(votes, champion_N, logits_NK.tolist(), strict=True):
        total = sum(math.exp(value) for value in logits)
        new = (1 - floor) * math.exp(logits[vote.label]) / total + floor / 3
        weight = vote.weight * min(champion / vote.probabilities[vote.label], most)
        advantage = weight * vote.reward
        ratio = new / champion
        expected -= min(ratio * advantage, max(0.8, min(1.2, ratio)) * advantage) / 5
        ratios += ratio / 5
    # The logged probabilities are float32 in either case.
    assert close(found, expected, 1e-6)
    assert figures["ratio"] == pytest.approx(ratios, rel=1e-6)


def test_junk_on_either_side_changes_nothing(dtype: torch.dtype, tolerance: float) -> None:
    batch = Batch(dtype)

    def padded(column: Tensor, left: int, right: int) -> Tensor:
        junk = [torch.full((ROWS, width), 33.0, dtype=dtype) for width in (left, right)]
        return torch.cat([junk[0], column, junk[1]], dim=1)

    for left, right in ((0, 3), (2, 0), (2, 3)):
        mask = padded(MASK_BR.to(dtype), left, right) == 1.0
        rewards, values = padded(batch.rewards, left, right), padded(batch.values, left, right)
        plain, _ = generalised_advantages(batch.rewards, batch.values, MASK_BR, 0.99, 0.95)
        wide, _ = generalised_advantages(rewards, values, mask, 0.99, 0.95)
        assert torch.equal(wide[mask], plain[MASK_BR])
        assert torch.allclose(whiten(wide, mask)[mask], whiten(plain, MASK_BR)[MASK_BR], rtol=0.0, atol=5 * tolerance)
        new, old = padded(batch.new, left, right), padded(batch.old, left, right)
        found = clipped_policy_loss(new, old, wide, mask, 0.2).loss
        assert close(found, float(clipped_policy_loss(batch.new, batch.old, plain, MASK_BR, 0.2).loss), tolerance)


def test_micro_batches_of_both_losses_add_up_gradients_too(dtype: torch.dtype, tolerance: float) -> None:
    batch, count = Batch(dtype), MASK_BR.sum()

    def gradients(slices: list[slice]) -> tuple[Tensor, Tensor]:
        new, values = batch.new.clone().requires_grad_(), batch.values.clone().requires_grad_()
        for rows in slices:
            mask = MASK_BR[rows]
            policy = clipped_policy_loss(new[rows], batch.old[rows], batch.advantages[rows], mask, 0.2, count).loss
            value = clipped_value_loss(values[rows], batch.old_values[rows], batch.returns[rows], mask, 0.2, count)
            torch.autograd.backward(policy + value)
        assert new.grad is not None and values.grad is not None
        return new.grad, values.grad

    whole, parts = gradients([slice(0, ROWS)]), gradients([slice(0, 1), slice(1, 3), slice(3, ROWS)])
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=0.0, atol=tolerance)


def test_the_same_policy_has_ratio_one_and_kl_zero_to_the_bit(dtype: torch.dtype, tolerance: float) -> None:
    batch = Batch(dtype)
    found = clipped_policy_loss(batch.old, batch.old, batch.advantages, MASK_BR, clip=0.2)
    assert (float(found.approx_kl), float(found.clip_fraction)) == (0.0, 0.0)
    assert float(found.mean_ratio) == 1.0
    assert close(found.loss, -sum(real(batch.advantages)) / len(PLACES), tolerance)
