"""Gates on tags: words are weighed by themselves, votes are of texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Latency, TagEvidence, Votes
from thumbwheel.gates.judge import TAG, judge
from thumbwheel.gates.off_policy_support import EffectiveSamples, LargestWeight, truncated_weights, vote_weights
from thumbwheel.gates.off_policy_value import DoublyRobustValue, SnipsValue, per_vote
from thumbwheel.gates.outcome_model import predict_rewards
from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.records import PolicyKind

WORDS = 5
TEXTS = 600


def world(votes: Votes, latency: Latency, right: float, seed: int = 0, per_word: bool = True) -> TagEvidence:
    """Two tags, the first one right for every word. The log draws it with .7, the candidate with `right`.

    The vote speaks of each word, or is up for a text that is right as a whole.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random((TEXTS, WORDS)) > 0.7).astype(np.int64)
    rewards = (labels == 0).astype(float)
    if not per_word:
        rewards = np.repeat(rewards.min(1, keepdims=True), WORDS, 1)
    words = TEXTS * WORDS
    logged, candidate = (np.tile([p, 1 - p], (words, 1)) for p in (0.7, right))
    texts = np.repeat(np.arange(TEXTS), WORDS)
    columns = (labels.reshape(-1), rewards.reshape(-1), logged, logged, candidate)
    return TagEvidence(votes, latency, *columns, groups_N=texts)


def test_a_better_tagger_passes_every_gate_and_a_worse_or_equal_one_does_not(
    votes: Votes, latency: Latency, limits: Gates
) -> None:
    verdict = judge(PolicyKind.TAG, world(votes, latency, right=0.9), limits)
    assert verdict.promote, verdict.summary
    assert [gate.name for gate in verdict.gates] == [gate.name for gate in TAG]
    assert "earns" in verdict.summary and "a word" in verdict.summary
    for right in (0.7, 0.5):
        refused = judge(PolicyKind.TAG, world(votes, latency, right), limits)
        failed = {gate.name for gate in refused.gates if not gate.passed}
        assert failed == {"off_policy_snips", "off_policy_doubly_robust"}


def test_the_estimates_are_the_truth_where_the_vote_speaks_of_each_word(
    votes: Votes, latency: Latency, limits: Gates
) -> None:
    evidence = world(votes, latency, right=0.9)
    for gate in (SnipsValue(), DoublyRobustValue()):
        found = gate.check(evidence, limits)
        assert found.low < 0.2 < found.high  # .9 - .7 a word
        assert found.value == pytest.approx(0.2, abs=0.02)


def test_a_thumb_tells_the_first_order_of_the_change(votes: Votes, latency: Latency, limits: Gates) -> None:
    evidence = world(votes, latency, right=0.8, per_word=False)
    found = SnipsValue().check(evidence, limits)
    # A text is right with .7^5; with one word left to the candidate with .8 * .7^4: the change a word.
    assert found.low < 0.1 * 0.7**4 < found.high


def test_intervals_are_over_texts_whose_words_share_a_vote(votes: Votes, latency: Latency, limits: Gates) -> None:
    evidence = world(votes, latency, right=0.8, per_word=False)
    found = SnipsValue().check(evidence, limits)
    terms = np.random.default_rng(1).normal(size=len(evidence.labels_N))
    sums = [terms[WORDS * n : WORDS * (n + 1)].sum() for n in range(TEXTS)]
    assert per_vote(terms, evidence.groups_N) == pytest.approx(np.array(sums) / WORDS)
    again = replace_texts(evidence, np.arange(len(evidence.labels_N)))
    alone = SnipsValue().check(again, limits)
    assert found.high - found.low > 1.5 * (alone.high - alone.low)


def replace_texts(evidence: TagEvidence, groups_N: Any) -> TagEvidence:
    return replace(evidence, groups_N=groups_N)


def test_terms_of_texts_of_unlike_length_keep_their_mean() -> None:
    terms, texts = np.array([1.0, 2.0, 3.0, 10.0]), np.array([0, 0, 0, 1])
    assert per_vote(terms, texts) == pytest.approx([3.0, 5.0])  # (1+2+3) * 2/4 and 10 * 2/4
    assert student_t_interval(per_vote(terms, texts)).value == pytest.approx(4.0)  # 16 / 4 words


def test_no_word_of_a_vote_predicts_another_of_the_same_vote(votes: Votes, latency: Latency) -> None:
    evidence = world(votes, latency, right=0.9)
    rng = np.random.default_rng(2)
    champion, candidate = (rng.dirichlet([2.0, 2.0], len(evidence.labels_N)) for _ in range(2))

    def predicted(rewards: Any) -> Any:
        return predict_rewards(champion, candidate, evidence.labels_N, rewards, evidence.groups_N.tolist())

    flipped = evidence.rewards_N.copy()
    flipped[:WORDS] = 1 - flipped[:WORDS]
    before, after = predicted(evidence.rewards_N), predicted(flipped)
    assert bool((before[:WORDS] == after[:WORDS]).all())
    assert bool((before[WORDS:] != after[WORDS:]).any())


def test_words_of_a_vote_are_of_one_fold_whether_raters_are_known_or_not(
    votes: Votes, latency: Latency, limits: Gates
) -> None:
    evidence = world(votes, latency, right=0.9)
    one_a_text = replace(evidence, raters_N=[f"user of {text}" for text in evidence.groups_N])
    by_two = replace(evidence, raters_N=[("ann", "bob")[text % 2] for text in evidence.groups_N])
    unknown, known, dealt = (DoublyRobustValue().check(one, limits) for one in (evidence, one_a_text, by_two))
    assert unknown == known
    assert dealt.value != known.value
    with pytest.raises(ValueError, match="600 raters for 3000 tags"):
        replace(evidence, raters_N=["ann"] * TEXTS)
    with pytest.raises(ValueError, match="equally long"):
        replace(evidence, groups_N=evidence.groups_N[1:])


def test_weights_are_of_words_and_truncated_at_the_root_of_the_texts(
    votes: Votes, latency: Latency, limits: Gates
) -> None:
    logged = np.array([[0.5, 0.5], [0.5, 0.5], [0.01, 0.99]] * 30)
    target = np.array([[1.0, 0.0], [0.25, 0.75], [0.99, 0.01]] * 30)
    texts = np.repeat(np.arange(30), 3)
    columns = (np.zeros(90, np.int64), np.ones(90), logged, logged, target)
    evidence = TagEvidence(votes, latency, *columns, groups_N=texts)
    assert truncated_weights(evidence, target)[:3] == pytest.approx([2.0, 0.5, 30**0.5])
    assert vote_weights(evidence, target) == pytest.approx([(2.5 + 30**0.5) / 3] * 30)
    assert EffectiveSamples().check(evidence, limits).value == pytest.approx(30)
    assert LargestWeight().check(evidence, limits).value == pytest.approx(1 / 30)


@pytest.mark.parametrize("gate", [EffectiveSamples(), LargestWeight(), SnipsValue(), DoublyRobustValue()])
def test_evidence_that_says_nothing_is_refused(votes: Votes, latency: Latency, limits: Gates, gate: Any) -> None:
    good = world(votes, latency, right=0.9)
    few = good.groups_N < 29
    columns = ("groups_N", "labels_N", "rewards_N", "logged_NK", "champion_NK", "candidate_NK")
    short = replace(good, **{name: getattr(good, name)[few] for name in columns})
    assert "only 29 held-out votes" in gate.check(short, limits).sentence
    broken = good.rewards_N.copy()
    broken[3] = np.nan
    assert not gate.check(replace(good, rewards_N=broken), limits).passed
    assert "add up to 1" in gate.check(replace(good, candidate_NK=good.candidate_NK * 1.1), limits).sentence
    impossible = np.where(good.labels_N[:, None] == np.arange(2), 0.0, 1.0)
    assert "so the log is wrong" in gate.check(replace(good, logged_NK=impossible), limits).sentence
    assert "2 tags there are" in gate.check(replace(good, labels_N=good.labels_N + 1), limits).sentence
    gap = np.where(good.groups_N == TEXTS - 1, TEXTS, good.groups_N)
    assert "A held-out vote is on no word" in gate.check(replace(good, groups_N=gap), limits).sentence


def test_sentences_speak_of_tags_and_words_and_say_what_they_rest_on(
    votes: Votes, latency: Latency, limits: Gates
) -> None:
    evidence = world(votes, latency, right=0.9)
    said = SnipsValue().check(evidence, limits).sentence
    assert said.startswith("By weighted votes, each word weighed by itself, the candidate earns 0.")
    assert said.endswith(").")
    never = np.eye(2)[1 - evidence.labels_N]
    refused = SnipsValue().check(replace(evidence, candidate_NK=never), limits)
    assert refused.sentence == "The candidate would give none of the tags that were served."
