"""Replies users liked: which they are, how often they are drawn, and the gradient they add, against a plain one."""

from collections import Counter
from random import Random

import pytest
import torch
from tiny_policy import tiny_policy

from thumbwheel.config.settings import Learn
from thumbwheel.policy.scoring import pack, reply_logprobs
from thumbwheel.ppo.generate.liked import add_likelihood_gradient, draw_liked, liked_replies
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.reward.rated_reply import RatedReply
from thumbwheel.workers.alone import Alone

ROWS = [RatedReply((1, 4, 40 + i), tuple(range(50, 52 + 3 * (i % 2) + i)), 1.0) for i in range(5)]


def plain_gradient(weight: float) -> tuple[float, dict[str, torch.Tensor]]:
    """One batch of all rows, one mean over all their tokens, one backward pass."""
    model = tiny_policy().model
    batch = pack([row.prompt_ids for row in ROWS], [row.reply_ids for row in ROWS])
    loss = -reply_logprobs(model, batch, temperature=1.0)[batch.reply_mask_BR].mean()
    (weight * loss).backward()  # type: ignore[no-untyped-call]
    return loss.item(), {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("group_rows", [2, 16])
def test_the_gradient_is_that_of_the_mean_over_all_tokens(group_rows: int) -> None:
    model = tiny_policy().model
    nats = add_likelihood_gradient(model, ROWS, 0.25, group_rows, Alone())
    expected_nats, expected = plain_gradient(0.25)
    assert nats == pytest.approx(expected_nats, rel=1e-5)
    for name, value in model.named_parameters():
        assert value.grad is not None
        assert torch.allclose(value.grad, expected[name], rtol=1e-3, atol=1e-6), name


def test_the_gradient_comes_on_top_of_what_is_there() -> None:
    model = tiny_policy().model
    for value in model.parameters():
        value.grad = torch.ones_like(value)
    add_likelihood_gradient(model, ROWS, 0.25, 16, Alone())
    expected = plain_gradient(0.25)[1]
    for name, value in model.named_parameters():
        assert value.grad is not None
        assert torch.allclose(value.grad - 1, expected[name], rtol=1e-2, atol=1e-5), name


def test_replies_are_drawn_as_often_as_their_weight_says() -> None:
    rare, often = RatedReply((1,), (2,), 1.0, weight=0.5), RatedReply((1,), (3,), 1.0, weight=1.5)
    drawn = Counter(row.reply_ids for row in draw_liked([rare, often], 4000, Random(0)))
    assert drawn[3,] / 4000 == pytest.approx(0.75, abs=0.03)
    assert drawn[2,] + drawn[3,] == 4000


def test_nothing_is_drawn_from_nothing() -> None:
    assert draw_liked([], 16, Random(0)) == []


def test_liked_are_replies_to_something_with_a_thumb_up() -> None:
    up, down, unasked = RatedReply((1,), (2,), 1.0), RatedReply((1,), (3,), 0.0), RatedReply((), (4,), 1.0)
    cut = RatedReply((1,), (5,), 1.0, learnable=False)
    assert liked_replies([up, down, unasked, cut]) == [up]


def test_a_run_has_the_recipe_that_was_measured() -> None:
    run, recipe = Learn(), PpoSettings()
    assert (run.ppo_iterations, run.ppo_batch) == (recipe.iterations, recipe.episodes)
    assert (run.kl_target, run.liked_weight) == (recipe.kl_target, recipe.liked_weight)
