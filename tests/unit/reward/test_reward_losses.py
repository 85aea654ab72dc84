"""Losses of votes against naive loops written from the formulas, and against cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import pytest
import torch

from thumbwheel.reward.losses import ranking_loss, rating_loss, rising, thumb_loss

PRECISIONS = pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-6), (torch.float64, 1e-10)])


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def scores(count: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def naive_ranking(s: Sequence[float], ordered: int) -> float:
    """The best is drawn among all in proportion to exp(s), the next among the rest, and so on `ordered` times."""
    probability = 1.0
    for j in range(ordered):
        probability *= math.exp(s[j]) / sum(math.exp(other) for other in s[j:])
    return -math.log(probability)


@PRECISIONS
def test_thumbs_against_the_formula(dtype: torch.dtype, within: float) -> None:
    s, up = scores(40, dtype), (scores(40, dtype, 1) > 0).to(dtype)
    naive = [
        -math.log(sigma(x)) if y else -math.log(1 - sigma(x)) for x, y in zip(s.tolist(), up.tolist(), strict=True)
    ]
    assert thumb_loss(s, up).tolist() == pytest.approx(naive, rel=within, abs=within)


def test_a_thumb_by_hand() -> None:
    assert thumb_loss(torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.0])).tolist() == pytest.approx(
        [math.log(2), math.log(4)]
    )


@PRECISIONS
def test_ratings_against_the_formula(dtype: torch.dtype, within: float) -> None:
    s, cuts = scores(50, dtype), [-1.7, -0.4, 0.3, 2.1]
    ratings = torch.arange(50) % 5 + 1
    naive = []
    for x, y in zip(s.tolist(), ratings.tolist(), strict=True):
        at_most = [0.0, *(sigma(cut - x) for cut in cuts), 1.0]
        naive.append(-math.log(at_most[y] - at_most[y - 1]))
    found = rating_loss(s, ratings, torch.tensor(cuts, dtype=dtype))
    assert found.tolist() == pytest.approx(naive, rel=within, abs=within)


def test_the_levels_of_a_rating_share_one_probability() -> None:
    cuts = torch.tensor([[-2.0, -1.0, 0.5, 0.6], [0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    for row, s in enumerate((-3.0, 1.5)):
        each = rating_loss(torch.full((5,), s, dtype=torch.float64), torch.arange(1, 6), cuts[row].expand(5, -1))
        assert torch.exp(-each).sum().item() == pytest.approx(1.0, abs=1e-12)


def test_a_rating_far_from_the_score_keeps_its_gradient() -> None:
    s = torch.tensor([60.0, -60.0], requires_grad=True)
    rating_loss(s, torch.tensor([2, 4]), torch.tensor([-1.0, 0.0, 1.0, 2.0])).sum().backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    assert s.grad.tolist() == pytest.approx([1.0, -1.0], abs=1e-3)


def test_cutpoints_rise_by_softplus() -> None:
    cuts = rising(torch.tensor([-1.0]), torch.tensor([0.0, -20.0, 1.0]))
    assert cuts.tolist() == pytest.approx(
        [-1.0, -1.0 + math.log(2), -1.0 + math.log(2), -1.0 + math.log(2) + math.log(1 + math.e)], abs=1e-6
    )


@PRECISIONS
def test_rankings_of_any_length_against_the_formula(dtype: torch.dtype, within: float) -> None:
    s = scores(28, dtype).reshape(4, 7)
    places, ordered = torch.tensor([7, 4, 2, 5]), torch.tensor([7, 2, 1, 4])
    naive = [naive_ranking(row[:n], m) for row, n, m in zip(s.tolist(), places.tolist(), ordered.tolist(), strict=True)]
    found = ranking_loss(s, places, ordered)
    assert found.tolist() == pytest.approx(naive, rel=within, abs=within)


def test_all_orders_share_one_probability_and_a_partial_one_is_the_sum_of_its_completions() -> None:
    s = torch.tensor([0.3, -1.2, 0.9, 2.0], dtype=torch.float64)
    orders = torch.tensor(list(permutations(range(4))))
    four = torch.full((24,), 4)
    whole = torch.exp(-ranking_loss(s[orders], four, four))
    assert whole.sum().item() == pytest.approx(1.0, abs=1e-12)
    best_is_2 = torch.exp(-ranking_loss(s[torch.tensor([[2, 0, 1, 3]])], four[:1], torch.tensor([1])))
    assert best_is_2.item() == pytest.approx(whole[orders[:, 0] == 2].sum().item(), abs=1e-12)


def test_places_that_are_not_there_have_no_gradient() -> None:
    s = torch.tensor([[1.0, 0.0, 5.0]], requires_grad=True)
    ranking_loss(s, torch.tensor([2]), torch.tensor([2])).sum().backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    assert s.grad[0].tolist() == pytest.approx([-sigma(-1.0), sigma(-1.0), 0.0])
