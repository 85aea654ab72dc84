"""Truncation keeps the right tokens and accounts for the mass that was left out."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch

from thumbwheel.inference.sampling import Finish, Sampling
from thumbwheel.inference.token_sampler import PlanProcessor, SequencePlan, truncate

# softmax of these is exactly (.5, .25, .125, .125)
SCORES = torch.log(torch.tensor([0.125, 0.5, 0.125, 0.25]))


@pytest.mark.parametrize(
    ("sampling", "kept", "mass"),
    [
        (Sampling(greedy=True), {1}, 0.5),
        (Sampling(top_k=1), {1}, 0.5),
        (Sampling(top_k=2), {1, 3}, 0.75),
        (Sampling(top_k=100), {0, 1, 2, 3}, 1.0),
        (Sampling(top_p=0.4), {1}, 0.5),
        (Sampling(top_p=0.6), {1, 3}, 0.75),
        (Sampling(top_p=1e-9), {1}, 0.5),
        # top-k first: of (.5, .25), renormalised to (2/3, 1/3), the first reaches .6 alone
        (Sampling(top_k=2, top_p=0.6), {1}, 0.5),
        (Sampling(top_k=2, top_p=0.7), {1, 3}, 0.75),
    ],
)
def test_the_kept_tokens_and_their_mass(sampling: Sampling, kept: set[int], mass: float) -> None:
    scores, log_mass = truncate(SCORES.clone(), sampling)
    assert set(torch.nonzero(torch.isfinite(scores)).flatten().tolist()) == kept
    assert log_mass == pytest.approx(math.log(mass), abs=1e-6)


def test_ties_at_the_edge_keep_the_asked_number_of_tokens() -> None:
    scores, _ = truncate(SCORES.clone(), Sampling(top_k=3))
    assert torch.isfinite(scores).sum() == 3


def test_every_row_follows_its_own_plan() -> None:
    plans = [SequencePlan(one) for one in (Sampling(temperature=2.0), Sampling(greedy=True), Sampling(top_k=2))]
    requests = [SimpleNamespace(state=SimpleNamespace(logit_processor_kwargs={"plan": plan})) for plan in plans]
    processor = PlanProcessor()
    argument = processor.prepare_tensor_args(requests)
    scores = processor(SCORES.repeat(3, 1), argument)
    assert torch.allclose(scores[0], SCORES / 2)
    assert torch.isfinite(scores).sum(-1).tolist() == [4, 1, 2]
    assert [plan.log_mass for plan in plans] == [[], [pytest.approx(math.log(0.5))], [pytest.approx(math.log(0.75))]]


def test_rows_of_unfinished_prompts_are_left_alone() -> None:
    plan = SequencePlan(Sampling(temperature=0.5))
    processor = PlanProcessor()
    argument = processor.prepare_tensor_args(
        [SimpleNamespace(state=SimpleNamespace(logit_processor_kwargs={"plan": plan}))]
    )
    scores = processor(SCORES.repeat(3, 1), argument)
    assert torch.allclose(scores, torch.stack([SCORES * 2, SCORES, SCORES]))


def test_the_full_logprob_is_the_reported_one_plus_the_mass() -> None:
    plan = SequencePlan(Sampling(top_k=2))
    plan.log_mass = [math.log(0.75), math.log(0.9)]
    assert plan.full_logprobs([math.log(2 / 3), 0.0]) == pytest.approx((math.log(0.5), math.log(0.9)))


def test_the_loops_copies_of_a_request_share_its_plan() -> None:
    plan = SequencePlan(Sampling())
    assert copy.deepcopy({"plan": plan})["plan"] is plan


@pytest.mark.parametrize(
    ("sampling", "finish", "reason"),
    [
        (Sampling(), Finish.STOP, ""),
        (Sampling(temperature=0.3, stop=("x",)), Finish.LENGTH, ""),
        (Sampling(stop=("x",)), Finish.STOP_STRING, "stop_string"),
        (Sampling(top_p=0.9, top_k=3), Finish.STOP, "top_p"),
        (Sampling(top_k=3), Finish.STOP_STRING, "top_k"),
        (Sampling(greedy=True, top_k=3), Finish.STOP, "greedy"),
    ],
)
def test_what_ppo_must_not_use_says_why(sampling: Sampling, finish: Finish, reason: str) -> None:
    assert sampling.not_learnable(finish) == reason
