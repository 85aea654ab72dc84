"""Which epoch is kept: by hand-made terms, and in updates where more passes do harm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from thumbwheel.ppo.stopping import EpochChoice, LaidAside

NOISE_M = np.random.default_rng(0).normal(0.0, 1.0, 400)


def _run(choice: EpochChoice, values: list[float], spread: float = 0.05) -> list[float]:
    """Epochs that earn so much, each with noise of its own; the weight of an epoch is its number."""
    rng, kept = np.random.default_rng(1), []
    for epoch, value in enumerate(values, start=1):
        own_M = rng.normal(0.0, spread, 400)
        terms_M = value + NOISE_M - NOISE_M.mean() + own_M - own_M.mean()
        kept.append(choice.take(epoch, terms_M, [torch.tensor([float(epoch)])])["kept"])
    return kept


def test_what_rises_or_stands_keeps_the_last() -> None:
    choice = EpochChoice(patience=3)
    # The standard error of a paired difference is .05 * sqrt(2 / 400) = .0035: .004 short of the peak is 1.1 of them.
    assert _run(choice, [0.5, 0.6, 0.7, 0.696]) == [1.0, 1.0, 1.0, 1.0]
    assert (choice.kept, choice.over) == (4, False)


def test_what_falls_keeps_the_last_good_one_and_ends() -> None:
    choice, parameters = EpochChoice(patience=3), [torch.zeros(1)]
    assert _run(choice, [0.5, 0.7, 0.6, 0.6, 0.5]) == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert (choice.kept, choice.worse, choice.over) == (2, 3, True)
    choice.put_back(parameters)
    assert parameters[0].tolist() == [2.0]


def test_one_good_epoch_begins_the_count_anew() -> None:
    choice = EpochChoice(patience=3)
    assert _run(choice, [0.7, 0.6, 0.6, 0.7, 0.6, 0.6]) == [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    assert (choice.kept, choice.over) == (4, False)


def test_a_slow_decline_is_measured_from_the_peak() -> None:
    choice = EpochChoice(patience=3)
    kept = _run(choice, [0.7 - 0.004 * epoch for epoch in range(10)])
    assert kept[:2] == [1.0, 1.0] and not any(kept[4:])


def test_it_goes_on_from_its_facts() -> None:
    whole, first, second = (EpochChoice(patience=3) for _ in range(3))
    values = [0.5, 0.7, 0.6, 0.7]
    _run(whole, values)
    _run(first, values[:3])
    second.restore(first.facts(), first.named_weights())
    rng = np.random.default_rng(1)
    own_M = [rng.normal(0.0, 0.05, 400) for _ in values][-1]
    second.take(4, 0.7 + NOISE_M - NOISE_M.mean() + own_M - own_M.mean(), [torch.tensor([4.0])])
    assert second.facts() == whole.facts()
    assert [tensor.tolist() for tensor in second.weights] == [tensor.tolist() for tensor in whole.weights]


@pytest.mark.parametrize("new", [0.5, 0.2])
def test_terms_are_snips_with_weights_cut_at_the_root_of_their_number(new: float) -> None:
    logged_M = torch.tensor([0.5] * 8 + [0.001]).log()
    rewards_M = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])

    def now() -> Tensor:
        return torch.tensor([new] * 8 + [1.0]).log()

    weights = [new / 0.5] * 8 + [min(1000.0, math.sqrt(9))]
    value = (weights[0] + weights[8]) / sum(weights)
    assert LaidAside(logged_M, rewards_M, now).terms().mean() == pytest.approx(value, rel=1e-6)
