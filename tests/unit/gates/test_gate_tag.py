"""Gates on tags: words are weighed by themselves, votes are of texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Latency, TagEvidence, Votes
from thumbwheel.gates.judge import TAG, judge
from thumbwheel.gates.outcome_model import predict_rewards
from thumbwheel.gates.tag_off_policy import (
    TagDoublyRobustValue,
    TagEffectiveSamples,
    TagLargestWeight,
    TagSnipsValue,
    as_labels,
    per_text,
    text_weights,
    word_weights,
)
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
    return TagEvidence(votes, latency, texts, labels.reshape(-1), rewards.reshape(-1), logged, logged, candidate)


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
        assert failed == {"tag_snips", "tag_doubly_robust"}


def test_the_estimates_are_the_truth_where_the_vote_speaks_of_each_word(
    votes: Votes, latency: Latency, limits: Gates
) -> None:
    evidence = world(votes, latency, right=0.9)
    for gate in (TagSnipsValue(), TagDoublyRobustValue()):
        found = gate.check(evidence, limits)
        assert found.low < 0.2 < found.high  # .9 - .7 a word
        assert found.value == pytest.approx(0.2, abs=0.02)


def test_a_thumb_tells_the_first_order_of_the_change(votes: Votes, latency: Latency, limits: Gates) -> None:
    evidence = world(votes, latency, right=0.8, per_word=False)
    found = TagSnipsValue().check(evidence, limits)
    # A text is right with .7^5; with one word left to the candidate with .8 * .7^4: the change a word.
    assert found.low < 0.1 * 0.7**4 < found.high


def test_intervals_are_over_texts_whose_words_share_a_vote(votes: Votes, latency: Latency, limits: Gates) -> None:
    evidence = world(votes, latency, right=0.8, per_word=False)
    found = TagSnipsValue().check(evidence, limits)
    terms = np.random.default_rng(1).normal(size=len(evidence.labels_P))
    sums = [terms[WORDS * n : WORDS * (n + 1)].sum() for n in range(TEXTS)]
    assert per_text(terms, evidence.texts_P) == pytest.approx(np.array(sums) / WORDS)
    again = replace_texts(evidence, np.arange(len(evidence.labels_P)))
    alone = TagSnipsValue().check(again, limits)
    assert found.high - found.low > 1.5 * (alone.high - alone.low)


def replace_texts(evidence: TagEvidence, texts_P: Any) -> TagEvidence:
    return replace(evidence, texts_P=texts_P)


def test_terms_of_texts_of_unlike_length_keep_their_mean() -> None:
    terms, texts = np.array([1.0, 2.0, 3.0, 10.0]), np.array([0, 0, 0, 1])
    assert per_text(terms, texts) == pytest.approx([3.0, 5.0])  # (1+2+3) * 2/4 and 10 * 2/4
    assert student_t_interval(per_text(terms, texts)).value == pytest.approx(4.0)  # 16 / 4 words


def test_no_word_of_a_vote_predicts_another_of_the_same_vote(votes: Votes, latency: Latency) -> None:
    evidence = world(votes, latency, right=0.9)
    rng = np.random.default_rng(2)
    champion, candidate = (rng.dirichlet([2.0, 2.0], len(evidence.labels_P)) for _ in range(2))

    def predicted(rewards: Any) -> Any:
        return predict_rewards(champion, candidate, evidence.labels_P, rewards, evidence.texts_P.tolist())

    flipped = evidence.rewards_P.copy()
    flipped[:WORDS] = 1 - flipped[:WORDS]
    before, after = predicted(evidence.rewards_P), predicted(flipped)
    assert bool((before[:WORDS] == after[:WORDS]).all())
    assert bool((before[WORDS:] != after[WORDS:]).any())


def test_words_have_the_rater_of_their_text_or_else_the_text_itself(votes: Votes, latency: Latency) -> None:
    evidence = world(votes, latency, right=0.9)
    assert as_labels(evidence).raters_N == [str(text) for text in evidence.texts_P]
    by_two = replace(evidence, raters_N=["ann", "bob"] * (TEXTS // 2))
    assert as_labels(by_two).raters_N[: 2 * WORDS + 1] == ["ann"] * WORDS + ["bob"] * WORDS + ["ann"]


def test_weights_are_of_words_and_truncated_at_the_root_of_the_texts(
    votes: Votes, latency: Latency, limits: Gates
) -> None:
    logged = np.array([[0.5, 0.5], [0.5, 0.5], [0.01, 0.99]] * 30)
    target = np.array([[1.0, 0.0], [0.25, 0.75], [0.99, 0.01]] * 30)
    texts = np.repeat(np.arange(30), 3)
    evidence = TagEvidence(votes, latency, texts, np.zeros(90, np.int64), np.ones(90), logged, logged, target)
    assert word_weights(evidence, target)[:3] == pytest.approx([2.0, 0.5, 30**0.5])
    assert text_weights(evidence, target) == pytest.approx([(2.5 + 30**0.5) / 3] * 30)
    assert TagEffectiveSamples().check(evidence, limits).value == pytest.approx(30)
    assert TagLargestWeight().check(evidence, limits).value == pytest.approx(1 / 30)


@pytest.mark.parametrize("gate", [TagEffectiveSamples(), TagLargestWeight(), TagSnipsValue(), TagDoublyRobustValue()])
def test_evidence_that_says_nothing_is_refused(votes: Votes, latency: Latency, limits: Gates, gate: Any) -> None:
    good = world(votes, latency, right=0.9)
    few = good.texts_P < 29
    columns = ("texts_P", "labels_P", "rewards_P", "logged_PK", "champion_PK", "candidate_PK")
    short = replace(good, **{name: getattr(good, name)[few] for name in columns})
    assert "only 29 held-out votes" in gate.check(short, limits).sentence
    broken = good.rewards_P.copy()
    broken[3] = np.nan
    assert not gate.check(replace(good, rewards_P=broken), limits).passed
    assert "add up to 1" in gate.check(replace(good, candidate_PK=good.candidate_PK * 1.1), limits).sentence
    impossible = np.where(good.labels_P[:, None] == np.arange(2), 0.0, 1.0)
    assert "so the log is wrong" in gate.check(replace(good, logged_PK=impossible), limits).sentence
