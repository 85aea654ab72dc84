"""Broken weights, another tokenizer, flattery, prejudice, users who pay for others: each gate stops what it is for."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidConfig
from thumbwheel.gates.evidence import ClassifyEvidence, GenerateEvidence, Latency, Leanings, Votes
from thumbwheel.gates.finite_weights import FiniteWeights
from thumbwheel.gates.harmed_users import HarmedRaters, HarmedUsers, losses_of_losers
from thumbwheel.gates.probes import (
    check_probes,
    stereotype_replies,
    sycophancy_replies,
)
from thumbwheel.gates.same_tokenizer import SameTokenizer
from thumbwheel.gates.stereotypes import Stereotypes
from thumbwheel.gates.sycophancy import Sycophancy

GATES = FiniteWeights(), SameTokenizer(), Sycophancy(), Stereotypes(), HarmedUsers()


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_a_good_candidate_passes(gate: HarmedUsers, good: GenerateEvidence, limits: Gates) -> None:
    assert gate.check(good, limits).passed


def test_one_broken_weight_is_too_many(good: GenerateEvidence, limits: Gates) -> None:
    found = FiniteWeights().check(replace(good, weights_not_finite=1), limits)
    assert (found.passed, found.value) == (False, 1.0)


def test_one_text_read_otherwise_is_too_many(good: GenerateEvidence, limits: Gates) -> None:
    found = SameTokenizer().check(replace(good, reads_alike=[True] * 299 + [False]), limits)
    assert not found.passed and found.value == pytest.approx(1 / 300)


def leaning(good: GenerateEvidence, leanings: Leanings) -> GenerateEvidence:
    return replace(good, sycophancy=leanings, stereotypes=leanings)


@pytest.mark.parametrize("gate", [Sycophancy(), Stereotypes()], ids=lambda gate: gate.name)
def test_a_candidate_that_leans_more_is_stopped(
    gate: Sycophancy | Stereotypes, good: GenerateEvidence, limits: Gates
) -> None:
    champion, candidate = np.tile([0.4, 0.6], 8), np.tile([0.9, 0.7], 8)
    found = gate.check(leaning(good, Leanings(champion, candidate)), limits)
    # rises of .5 and .1 in turns: mean .3, deviation .2 with 15 degrees of freedom
    half = stats.t.ppf(0.975, 15) * 0.2 * math.sqrt(16 / 15) / 4
    assert not found.passed and found.value == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((0.3 - half, 0.3 + half))


@pytest.mark.parametrize("gate", [Sycophancy(), Stereotypes()], ids=lambda gate: gate.name)
def test_what_the_champion_does_already_is_no_reason_to_keep_it(
    gate: Sycophancy | Stereotypes, good: GenerateEvidence, limits: Gates
) -> None:
    assert gate.check(leaning(good, Leanings([0.9] * 16, [0.9] * 16)), limits).passed
    few = gate.check(leaning(good, Leanings([0.5] * 7, [0.5] * 7)), limits)
    assert not few.passed and math.isnan(few.value)
    broken = gate.check(leaning(good, Leanings([0.5] * 16, [math.nan] * 16)), limits)
    assert not broken.passed


def test_losers_are_found_in_one_half_and_measured_in_the_other() -> None:
    gains = {
        "loses": [-1.0, -3.0, -2.0, -5.0],  # halves (-1, -2), (-3, -5): both lose, 4 and 1.5
        "wins": [1.0, 1.0, 1.0, 1.0],
        "by chance": [-1.0, 2.0, -1.0, 2.0],  # the first half loses; in the other it gains 2
        "few": [-9.0, -9.0, -9.0],
        "more": [1.0, 0.0, 0.0, 1.0],
        **{f"same {n}": [0.0, 0.0, 0.0, 0.0] for n in range(16)},
    }
    users = [user for user, row in gains.items() for _ in row]
    flat = np.array([gain for row in gains.values() for gain in row])
    assert losses_of_losers(users, flat) == pytest.approx([4.0, 1.5, -2.0])
    one_less = [user if user != "same 0" else "" for user in users]
    assert losses_of_losers(one_less, flat) == []  # it takes twenty with four answers each


def test_users_who_pay_for_others_are_found_and_averages_do_not_hide_them(
    good: GenerateEvidence, limits: Gates
) -> None:
    rng = np.random.default_rng(5)
    champion = rng.normal(0.0, 1.0, 300)
    harmed = np.arange(300) % 30 < 15  # the users h0 to h14
    gain = np.where(harmed, -0.7, 0.9) + rng.normal(0.0, 0.8, 300)
    found = HarmedUsers().check(replace(good, champion_scores=champion, candidate_scores=champion + gain), limits)
    assert gain.mean() > 0 and not found.passed
    assert found.value == pytest.approx(0.7 / champion.std(), abs=0.15)
    shuffled = rng.permutation(gain)
    spread = replace(good, champion_scores=champion, candidate_scores=champion + shuffled)
    assert HarmedUsers().check(spread, limits).passed


def test_chance_alone_is_rarely_taken_for_harm(good: GenerateEvidence, limits: Gates) -> None:
    stopped = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        champion = rng.normal(0.0, 1.0, 300)
        same = replace(good, champion_scores=champion, candidate_scores=champion + rng.normal(0.0, 1.2, 300))
        stopped += not HarmedUsers().check(same, limits).passed
    assert stopped <= 10


def classified(harm: bool, seed: int = 0) -> ClassifyEvidence:
    """2 labels, served by a champion that is right with .7; 30 raters of 20 votes. The candidate is right with .95,
    or wrong with .95 for every other rater's texts."""
    rng = np.random.default_rng(seed)
    votes = 600
    raters = [f"r{n % 30}" for n in range(votes)]
    truth = rng.integers(0, 2, votes)
    rows = np.arange(votes)
    champion = np.full((votes, 2), 0.3)
    champion[rows, truth] = 0.7
    right = np.where([harm and n % 2 == 0 for n in range(votes)], 0.05, 0.95)
    candidate = np.stack([1 - right, 1 - right], axis=1)
    candidate[rows, truth] = right
    labels = (champion.cumsum(axis=1) < rng.random((votes, 1))).sum(axis=1)
    return ClassifyEvidence(
        votes=Votes(1, 1, {}, 1),
        latency=Latency([], []),
        labels_N=labels,
        rewards_N=(labels == truth).astype(float),
        logged_NK=champion,
        champion_NK=champion,
        candidate_NK=candidate,
        raters_N=raters,
    )


def test_raters_who_pay_for_others_are_found(limits: Gates) -> None:
    found = HarmedRaters().check(classified(harm=True), limits)
    # they earned .7 and earn .05 now: .65 less, of votes with a deviation of root(.7 * .3)
    assert not found.passed and found.value == pytest.approx(0.65 / math.sqrt(0.21), rel=0.25)
    assert HarmedRaters().check(classified(harm=False), limits).passed
    nameless = HarmedRaters().check(replace(classified(harm=True), raters_N=[]), limits)
    assert (nameless.passed, nameless.value) == (True, 0.0)
    assert nameless.sentence == "Not looked at: it is not known whose the held-out answers are."


def test_it_says_whether_nobody_loses_or_nobody_was_looked_at(good: GenerateEvidence, limits: Gates) -> None:
    champion = np.arange(300.0)
    better = replace(good, champion_scores=champion, candidate_scores=champion + 1.0)
    of_thirty = replace(better, prompt_users=[f"h{n % 30}" for n in range(300)])
    found = HarmedUsers().check(of_thirty, limits).sentence
    assert found == "Of 30 held-out users with 4 answers or more none is found who loses by it."
    of_many = replace(better, prompt_users=[f"h{n % 100}" if n < 30 else f"h{n % 5}" for n in range(300)])
    found = HarmedUsers().check(of_many, limits).sentence
    assert found == "Not looked at: of 30 held-out users 5 have 4 answers or more, and it takes 20 such users."
    alike = replace(of_thirty, champion_scores=np.ones(300), candidate_scores=np.ones(300))
    assert (
        HarmedUsers().check(alike, limits).sentence
        == "Not looked at: every held-out answer earns the champion the same."
    )


def test_the_shipped_pairs_favour_no_side() -> None:
    opinions = sycophancy_replies(None)
    assert len(opinions) >= 8
    assert sorted(pair.leaned for pair in opinions) == sorted(pair.other for pair in opinions)
    pairs = stereotype_replies(None)
    assert len(pairs) >= 20
    for pair in pairs:
        leaned, other = pair.leaned.split(), pair.other.split()
        differs = [(a, b) for a, b in zip(leaned, other, strict=True) if a != b]
        assert len(differs) == 1, pair
    words = [word.casefold() for pair in pairs for word in pair.leaned.split()]
    others = [word.casefold() for pair in pairs for word in pair.other.split()]
    for group in ("man", "woman", "he", "she", "foreigner", "Muslim", "Black", "poor", "gay"):
        assert words.count(group.casefold()) == others.count(group.casefold()) >= 1, group


def test_own_files_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    rows = [{"asked": f"Wer {n}?", "stereotype": "Der da.", "opposite": "Die da."} for n in range(8)]
    (tmp_path / "stereotypes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    check_probes(tmp_path)
    assert [pair.prompt for pair in stereotype_replies(tmp_path)] == [f"Wer {n}?" for n in range(8)]
    assert sycophancy_replies(tmp_path) == sycophancy_replies(None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "has neither sycophancy.jsonl nor stereotypes.jsonl"),
        ("{", "line 1: it is no JSON object"),
        ('{"asked": "a", "stereotype": "b"}', "line 1: it wants texts for asked, stereotype, opposite"),
        ('{"asked": "a", "stereotype": "b", "opposite": ""}', "line 1: it wants texts"),
        ('{"asked": "a", "stereotype": "b", "opposite": "c"}', "has 1 pairs, and it takes 8"),
    ],
)
def test_files_that_can_not_be_used_are_refused_by_line(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "stereotypes.jsonl").write_text(text + "\n")
    with pytest.raises(InvalidConfig, match=says) as error:
        check_probes(tmp_path)
    assert "gates.probes_dir" in str(error.value)
