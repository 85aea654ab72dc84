"""Candidates of known gain: the gain is the one that was asked for, and gates tell one from none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.drill.known_gain import GAIN, LabelTables, Passed, label_draws, reply_draws, share_for
from thumbwheel.drill.labels import Asked
from thumbwheel.gates.evidence import GenerateEvidence, HeldOutVotes, Latency, TextLosses, Votes
from thumbwheel.records import PolicyKind

TEXTS, LABELS = 2_000, 6


def tables(gain: float) -> LabelTables:
    """A champion that is sure of the right label in .6 of the texts, and a candidate in `gain` more of them."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, LABELS, TEXTS)
    rank = rng.permutation(TEXTS) / TEXTS
    wrong = (truth + 1) % LABELS
    both = []
    for accuracy in (0.6, 0.6 + gain):
        probs = np.full((TEXTS, LABELS), 0.02 / LABELS)
        probs[np.arange(TEXTS), np.where(rank < accuracy, truth, wrong)] += 0.98
        both.append(probs)
    asked = [Asked(f"u{n % 80}", "text", "label") for n in range(TEXTS)]
    return LabelTables(asked, truth, both[0], both[1])


def test_the_share_that_is_needed_for_the_gain() -> None:
    # .8 less .5 is a gain of .3 in all: a tenth of it is .03
    assert share_for(np.full(4, 0.5), np.full(4, 0.8)) == pytest.approx(GAIN / 0.3)
    assert share_for(np.full(4, 0.5), np.full(4, 0.51)) == 1.0
    assert math.isnan(share_for(np.full(4, 0.5), np.full(4, 0.4)))


def test_the_truth_of_label_tables_is_read_by_row() -> None:
    made = tables(0.3)
    assert made.right(made.champion_NK).mean() == pytest.approx(0.6 * 0.98 + 0.02 / LABELS)
    votes = made.voted(np.zeros(TEXTS, bool), np.ones(TEXTS, bool), np.random.default_rng(1))
    assert votes.champion_NK is votes.logged_NK
    assert set(votes.raters_N) <= {one.user for one in made.asked} and len(votes.labels_N) == 1_000
    # a thumb is up for 9 of 10 right labels, and for 1 of 10 others
    assert votes.rewards_N.mean() == pytest.approx(0.1 + 0.8 * made.right(made.champion_NK).mean(), abs=0.05)


def test_true_gains_pass_and_none_does_not() -> None:
    found = label_draws(tables(0.3), Gates(), draws=20, seed=0)
    assert (found.kind, found.draws) == (PolicyKind.CLASSIFY, 20)
    assert found.without <= 2 < found.with_gain


def replies(gain: float) -> GenerateEvidence:
    rng = np.random.default_rng(2)
    old = rng.normal(0.0, 1.0, 400)
    lengths = rng.integers(10, 30, 400)
    return GenerateEvidence(
        votes=Votes(0, 0, {}, 0),
        latency=Latency([], []),
        reward_model=HeldOutVotes([], []),
        champion_scores=old,
        candidate_scores=old + gain,
        champion_lengths=lengths,
        candidate_lengths=lengths,
        kl_per_reply=[],
        good_replies=TextLosses([], [], []),
        customer_texts=TextLosses([], [], []),
        candidate_texts=[],
        prompt_users=[f"u{n % 40}" for n in range(400)],
    )


def test_replies_of_known_gain_pass_and_swapped_ones_do_not() -> None:
    qualities = np.full(400, 0.4), np.full(400, 0.7)
    found = reply_draws(replies(2.0), qualities, Gates(), draws=10, seed=0)
    assert found == Passed(PolicyKind.GENERATE, 10, 10, found.without)
    assert found.without <= 1
    nothing = reply_draws(replace(replies(0.0)), qualities, Gates(), draws=3, seed=0)
    assert nothing.with_gain == 0
