"""Off-policy gates on logs whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import ClassifyEvidence, Floats, Latency, Votes
from thumbwheel.gates.judge import CLASSIFY, judge
from thumbwheel.gates.off_policy_support import EffectiveSamples, LargestWeight, truncated_weights
from thumbwheel.gates.off_policy_value import DoublyRobustValue, SnipsValue, cut_weights
from thumbwheel.gates.outcome_model import predict_rewards
from thumbwheel.records import PolicyKind

K = 5
FLOOR = 0.1
VALUE = [SnipsValue(), DoublyRobustValue()]
ALL = [EffectiveSamples(), LargestWeight(), *VALUE]


def served(truth_N: np.ndarray, accuracy: float, rng: np.random.Generator) -> Floats:
    """Probabilities of a version that bets .8 on the right label with chance `accuracy`, else on the next one."""
    bet_N = np.where(rng.random(len(truth_N)) < accuracy, truth_N, (truth_N + 1) % K)
    probs_NK = np.full((len(truth_N), K), 0.2 / (K - 1))
    probs_NK[np.arange(len(truth_N)), bet_N] = 0.8
    return np.asarray((1 - FLOOR) * probs_NK + FLOOR / K)


def true_value(target_NK: Floats, truth_N: np.ndarray) -> float:
    """Expected thumbs up: .9 for the right label, .1 for a wrong one."""
    right_N = target_NK[np.arange(len(truth_N)), truth_N]
    return float((0.9 * right_N + 0.1 * (1 - right_N)).mean())


def log_of(
    candidate_accuracy: float, votes: int = 2_000, seed: int = 0, champion_accuracy: float = 0.6
) -> tuple[ClassifyEvidence, np.ndarray]:
    """Votes on answers of the champion, and the true labels."""
    rng = np.random.default_rng(seed)
    truth_N = rng.integers(0, K, votes)
    champion_NK = served(truth_N, champion_accuracy, rng)
    drawn_N = (champion_NK.cumsum(axis=1) < rng.random((votes, 1))).sum(axis=1)
    up_N = rng.random(votes) < np.where(drawn_N == truth_N, 0.9, 0.1)
    evidence = ClassifyEvidence(
        votes=Votes(positive=5_000, negative=3_000, per_rater={f"r{i}": 80 for i in range(100)}, least=200),
        latency=Latency(np.full(20, 0.004), np.full(20, 0.004)),
        labels_N=drawn_N,
        rewards_N=up_N.astype(float),
        logged_NK=champion_NK,
        champion_NK=champion_NK,
        candidate_NK=served(truth_N, candidate_accuracy, rng),
    )
    return evidence, truth_N


def test_a_better_classifier_is_promoted(limits: Gates) -> None:
    verdict = judge(PolicyKind.CLASSIFY, log_of(0.85)[0], limits)
    assert verdict.promote, verdict.summary
    assert [result.name for result in verdict.gates] == [gate.name for gate in CLASSIFY]
    assert "By weighted votes, the candidate earns" in verdict.summary
    assert verdict.summary.endswith(").")


def test_a_refusal_says_what_it_means_and_what_to_do(limits: Gates) -> None:
    said = judge(PolicyKind.CLASSIFY, log_of(0.63, votes=1_500)[0], limits).summary
    assert said.startswith(
        'Keep the champion: 2 of 9 gates failed. "Earns more (SNIPS)": It seems better (+0.015), '
        "but 1,500 held-out votes can not rule out chance. By weighted votes, the candidate earns 0."
    )
    assert said.endswith(
        "). Collect more votes: the more there are, the smaller the gain that they can show. "
        'Also failed: "Earns more (doubly robust)".'
    )
    worse = SnipsValue().check(log_of(0.4)[0], limits)
    assert worse.sentence.startswith("2,000 held-out votes do not show it to be better. By weighted votes")


@pytest.mark.parametrize("gate", VALUE)
def test_the_gain_is_the_true_gain(limits: Gates, gate: SnipsValue | DoublyRobustValue) -> None:
    evidence, truth_N = log_of(0.85, votes=20_000)
    gain = true_value(evidence.candidate_NK, truth_N) - true_value(evidence.champion_NK, truth_N)
    found = gate.check(evidence, limits)
    assert gain == pytest.approx(0.135, abs=0.01)
    assert found.value == pytest.approx(gain, abs=0.03)
    assert found.low < gain < found.high


@pytest.mark.parametrize("gate", VALUE)
def test_votes_on_another_versions_answers_give_the_same_gain(
    limits: Gates, gate: SnipsValue | DoublyRobustValue
) -> None:
    evidence, truth_N = log_of(0.85, votes=20_000)
    champion_NK = served(truth_N, 0.7, np.random.default_rng(7))
    gain = true_value(evidence.candidate_NK, truth_N) - true_value(champion_NK, truth_N)
    found = gate.check(replace(evidence, champion_NK=champion_NK), limits)
    assert found.value == pytest.approx(gain, abs=0.03)


@pytest.mark.parametrize("gate", VALUE)
@pytest.mark.parametrize("accuracy", [0.3, 0.6])
def test_no_gain_or_a_loss_is_stopped(limits: Gates, gate: SnipsValue | DoublyRobustValue, accuracy: float) -> None:
    assert not gate.check(log_of(accuracy)[0], limits).passed


@pytest.mark.parametrize("gate", VALUE)
def test_the_champion_itself_gains_exactly_nothing(limits: Gates, gate: SnipsValue | DoublyRobustValue) -> None:
    evidence = log_of(0.6)[0]
    found = gate.check(replace(evidence, candidate_NK=evidence.champion_NK), limits)
    assert (found.passed, found.value) == (False, 0.0)


@pytest.mark.parametrize("gate", VALUE)
def test_a_true_gain_that_few_votes_can_not_show_is_stopped(
    limits: Gates, gate: SnipsValue | DoublyRobustValue
) -> None:
    found = gate.check(log_of(0.65, votes=150)[0], limits)
    assert not found.passed
    assert found.low < 0.0 < found.high


def test_effective_samples_are_counted_and_an_edge() -> None:
    evidence = log_of(0.6, votes=1_000)[0]
    same = replace(evidence, candidate_NK=evidence.logged_NK)
    found = EffectiveSamples().check(same, Gates(min_effective_samples=1_000))
    assert found.passed
    assert found.value == pytest.approx(1_000)
    assert not EffectiveSamples().check(same, Gates(min_effective_samples=1_001)).passed


def test_a_candidate_far_from_the_log_is_stopped(limits: Gates) -> None:
    evidence = log_of(0.6, votes=300)[0]
    far_NK = np.full((300, K), 0.001 / (K - 1))
    far_NK[np.arange(300), (evidence.labels_N + 1) % K] = 0.999
    far_NK[:5] = np.eye(K)[evidence.labels_N[:5]]
    found = EffectiveSamples().check(replace(evidence, candidate_NK=far_NK), limits)
    assert not found.passed
    assert found.value < 10
    assert "held-out votes are worth" in found.sentence


@pytest.mark.parametrize(("most", "passes"), [(0.5, True), (0.4999, False)])
def test_the_heaviest_vote_is_an_edge(most: float, passes: bool) -> None:
    votes = 64
    logged_NK = np.full((votes, 2), 0.5)
    candidate_NK = np.tile([0.0, 1.0], (votes, 1))
    candidate_NK[[3, 9]] = [1.0, 0.0]
    evidence = replace(
        log_of(0.6, votes=votes)[0],
        labels_N=np.zeros(votes, dtype=np.int64),
        logged_NK=logged_NK,
        champion_NK=logged_NK,
        candidate_NK=candidate_NK,
    )
    found = LargestWeight().check(evidence, Gates(max_weight_share=most))
    assert (found.passed, found.value) == (passes, 0.5)


def test_a_candidate_that_gives_none_of_the_labels_served_is_stopped(limits: Gates) -> None:
    evidence = log_of(0.6, votes=200)[0]
    other_NK = np.eye(K)[(evidence.labels_N + 1) % K]
    strange = replace(evidence, candidate_NK=other_NK)
    assert "would give none of the labels" in SnipsValue().check(strange, limits).sentence
    assert LargestWeight().check(strange, limits).value == 1.0
    assert EffectiveSamples().check(strange, limits).value == 0.0
    assert not judge(PolicyKind.CLASSIFY, strange, limits).promote


def test_a_label_served_against_all_odds_does_not_decide_alone(limits: Gates) -> None:
    evidence = log_of(0.6, votes=400)[0]
    logged_NK = evidence.logged_NK.copy()
    label = evidence.labels_N[0]
    logged_NK[0] = (1 - 1e-6) / (K - 1)
    logged_NK[0, label] = 1e-6
    lucky_NK = evidence.logged_NK.copy()
    lucky_NK[0] = np.eye(K)[label]
    lucky = replace(evidence, logged_NK=logged_NK, candidate_NK=lucky_NK)
    weights_N = truncated_weights(lucky, lucky_NK)
    assert weights_N[0] == 20.0
    assert weights_N[1:].tolist() == pytest.approx([1.0] * 399)
    assert LargestWeight().check(lucky, limits).value == pytest.approx(20 / 419)


def test_a_candidate_whose_probabilities_say_nothing_gets_no_credit_for_new_labels() -> None:
    evidence, truth_N = log_of(0.6, votes=4_000)
    rows_N = np.arange(4_000)
    noise_NK = served(np.random.default_rng(1).integers(0, K, 4_000), 1.0, np.random.default_rng(2))
    votes = (evidence.labels_N, evidence.rewards_N)
    of_noise = predict_rewards(evidence.champion_NK, noise_NK, *votes)
    of_truth = predict_rewards(evidence.champion_NK, served(truth_N, 0.95, np.random.default_rng(3)), *votes)
    new_N = (noise_NK.argmax(axis=1) != evidence.champion_NK.argmax(axis=1)) & (noise_NK.argmax(axis=1) != truth_N)
    assert of_noise[rows_N, noise_NK.argmax(axis=1)][new_N].mean() < 0.3
    assert of_truth[rows_N, truth_N].mean() > 0.75


def test_the_doubly_robust_interval_is_as_wide_as_gains_spread() -> None:
    """Over logs of one pair of versions the interval's half width is 1.96 standard deviations of the gain."""
    found = [DoublyRobustValue().check(log_of(0.7, votes=300, seed=seed)[0], Gates()) for seed in range(60)]
    half = np.mean([result.high - result.low for result in found]) / 2
    assert half == pytest.approx(1.97 * np.std([result.value for result in found]), rel=0.25)


def test_values_cut_weights_at_the_cube_root_of_the_votes() -> None:
    evidence = log_of(0.6, votes=512)[0]
    logged_NK = np.full((512, K), 0.999 / (K - 1))
    logged_NK[:, 0] = 0.001
    sure_NK = np.tile([0.96, 0.01, 0.01, 0.01, 0.01], (512, 1))
    strange = replace(evidence, logged_NK=logged_NK, candidate_NK=sure_NK)
    weights_N = cut_weights(strange, sure_NK)
    assert weights_N[evidence.labels_N == 0].tolist() == pytest.approx([8.0] * int((evidence.labels_N == 0).sum()))
    assert weights_N[evidence.labels_N == 1][0] == pytest.approx(0.01 / (0.999 / 4))


def test_folds_go_by_rater(limits: Gates) -> None:
    evidence = log_of(0.8, votes=200)[0]
    raters = [f"r{n // 10}" for n in range(200)]
    by_rater = DoublyRobustValue().check(replace(evidence, raters_N=raters), limits)
    assert by_rater.value != DoublyRobustValue().check(evidence, limits).value
    columns = (evidence.champion_NK, evidence.candidate_NK, evidence.labels_N)
    flipped_N = evidence.rewards_N.copy()
    flipped_N[70:80] = 1.0 - flipped_N[70:80]
    before_NK, after_NK = (predict_rewards(*columns, r, raters) for r in (evidence.rewards_N, flipped_N))
    assert after_NK[70:80].tolist() == before_NK[70:80].tolist()
    with pytest.raises(ValueError, match="3 raters for 200 labels"):
        replace(evidence, raters_N=raters[:3])


def test_predictions_keep_the_rewards_unit_and_range() -> None:
    evidence = log_of(0.8, votes=500)[0]
    probabilities = (evidence.champion_NK, evidence.candidate_NK)
    thumbs = predict_rewards(*probabilities, evidence.labels_N, evidence.rewards_N)
    stars = predict_rewards(*probabilities, evidence.labels_N, 1.0 + 4.0 * evidence.rewards_N)
    assert stars == pytest.approx(1.0 + 4.0 * thumbs)
    assert 0.0 < thumbs.min() < thumbs.max() < 1.0


def test_no_votes_own_reward_enters_its_prediction() -> None:
    evidence = log_of(0.8, votes=200)[0]
    columns = (evidence.champion_NK, evidence.candidate_NK, evidence.labels_N)
    flipped_N = evidence.rewards_N.copy()
    flipped_N[17] = 1.0 - flipped_N[17]
    before_NK, after_NK = predict_rewards(*columns, evidence.rewards_N), predict_rewards(*columns, flipped_N)
    assert after_NK[17].tolist() == before_NK[17].tolist()
    assert np.abs(after_NK - before_NK).max() > 1e-4


def test_votes_all_alike_predict_themselves() -> None:
    evidence = log_of(0.8, votes=100)[0]
    alike = predict_rewards(evidence.champion_NK, evidence.candidate_NK, evidence.labels_N, np.full(100, 3.0))
    assert alike == pytest.approx(np.full((100, K), 3.0))


def _spoilt(evidence: ClassifyEvidence, how: str) -> ClassifyEvidence:
    wrong_NK, labels_N = evidence.candidate_NK.copy(), evidence.labels_N.copy()
    rewards_N = evidence.rewards_N.copy()
    if how == "reward":
        rewards_N[0] = math.nan
        return replace(evidence, rewards_N=rewards_N)
    if how == "label":
        labels_N[0] = K
        return replace(evidence, labels_N=labels_N)
    if how == "nan":
        wrong_NK[0, 0] = math.nan
    elif how == "sum":
        wrong_NK[0] *= 2
    elif how == "negative":
        wrong_NK[0] = [1.5, -0.5, 0.0, 0.0, 0.0]
    elif how == "logged":
        logged_NK = evidence.logged_NK.copy()
        logged_NK[0] = np.eye(K)[(labels_N[0] + 1) % K]
        return replace(evidence, logged_NK=logged_NK)
    return replace(evidence, candidate_NK=wrong_NK)


@pytest.mark.parametrize("gate", ALL)
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("reward", "1 of 200 held-out votes gave a number that is NaN"),
        ("nan", "NaN or infinite"),
        ("sum", "do not add up to 1"),
        ("negative", "do not add up to 1"),
        ("label", "outside of the 5 labels"),
        ("logged", "logged probability was 0"),
    ],
)
def test_a_wrong_log_fails(
    limits: Gates, gate: EffectiveSamples | LargestWeight | SnipsValue | DoublyRobustValue, how: str, says: str
) -> None:
    found = gate.check(_spoilt(log_of(0.9, votes=200)[0], how), limits)
    assert not found.passed
    assert math.isnan(found.value)
    assert says in found.sentence


@pytest.mark.parametrize("gate", ALL)
def test_few_votes_fail(limits: Gates, gate: EffectiveSamples | LargestWeight | SnipsValue | DoublyRobustValue) -> None:
    found = gate.check(log_of(0.9, votes=29)[0], limits)
    assert not found.passed
    assert "only 29 held-out votes" in found.sentence


def test_versions_with_different_labels_are_refused() -> None:
    evidence = log_of(0.6, votes=50)[0]
    with pytest.raises(ValueError, match="one shape"):
        replace(evidence, candidate_NK=evidence.candidate_NK[:, :4])
