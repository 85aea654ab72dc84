"""The counter-check: gates that stop everything are worth nothing.

Candidates whose true gain is known are drawn from a pair of real versions: on a share of texts the better one answers,
elsewhere the champion, so that the gain is as wanted; or on every text a coin decides which of the two counts as the
champion, so that there is none, with differences as large as real ones. The gates that look for a gain, or for users
who lose, decide on each draw.

Shape suffixes: N answers, K labels, P prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thumbwheel.config.settings import Gates
from thumbwheel.drill.labels import Asked, LabelGround, served
from thumbwheel.gates.evidence import ClassifyEvidence, Floats, GenerateEvidence, Latency, Votes, as_floats
from thumbwheel.gates.harmed_users import HarmedRaters, HarmedUsers
from thumbwheel.gates.held_out_reward import HeldOutReward
from thumbwheel.gates.off_policy_support import EffectiveSamples, LargestWeight
from thumbwheel.gates.off_policy_value import DoublyRobustValue, SnipsValue
from thumbwheel.gates.win_rate import WinRate
from thumbwheel.records import PolicyKind

GAIN = 0.03
HELD_OUT_VOTES = 1_000
NOISE = 0.1
REPLY_GATES = HeldOutReward(), WinRate(), HarmedUsers()
LABEL_GATES = EffectiveSamples(), LargestWeight(), SnipsValue(), DoublyRobustValue(), HarmedRaters()


@dataclass(frozen=True, slots=True)
class Passed:
    """Of `draws` candidates with a true gain of `GAIN`, and of as many without one, how many passed."""

    kind: PolicyKind
    draws: int
    with_gain: int
    without: int


def reply_draws(
    evidence: GenerateEvidence, qualities: tuple[Floats, Floats], limits: Gates, draws: int, seed: int
) -> Passed:
    """Draw from a pair of versions judged on the same prompts; `qualities` of their replies are the truth, (P,)."""
    rng = np.random.default_rng(seed)
    share = share_for(*qualities)

    def passes(champion_P: NDArray[np.bool_], candidate_P: NDArray[np.bool_]) -> bool:
        drawn = _redrawn(evidence, champion_P, candidate_P, rng)
        return all(gate.check(drawn, limits).passed for gate in REPLY_GATES)

    prompts = len(evidence.champion_scores)
    never = np.zeros(prompts, dtype=bool)
    gained = sum(passes(never, rng.random(prompts) < share) for _ in range(draws))
    coins = (rng.random(prompts) < 0.5 for _ in range(draws))
    return Passed(PolicyKind.GENERATE, draws, gained, sum(passes(coin, ~coin) for coin in coins))


def label_draws(tables: LabelTables, limits: Gates, draws: int, seed: int) -> Passed:
    """Draw from a pair of versions: held-out texts, labels served by the one that counts as champion, noisy thumbs."""
    rng = np.random.default_rng(seed)
    share = share_for(tables.right(tables.champion_NK), tables.right(tables.candidate_NK))

    def passes(champion_N: NDArray[np.bool_], candidate_N: NDArray[np.bool_]) -> bool:
        drawn = tables.voted(champion_N, candidate_N, rng)
        return all(gate.check(drawn, limits).passed for gate in LABEL_GATES)

    texts = len(tables.asked)
    never = np.zeros(texts, dtype=bool)
    gained = sum(passes(never, rng.random(texts) < share) for _ in range(draws))
    coins = (rng.random(texts) < 0.5 for _ in range(draws))
    return Passed(PolicyKind.CLASSIFY, draws, gained, sum(passes(coin, ~coin) for coin in coins))


def share_for(champion_N: Floats, candidate_N: Floats) -> float:
    """Share of texts that the better version has to answer for a gain of `GAIN`; 1 where it gains less in all.

    NaN where it gains nothing.
    """
    gain = float(candidate_N.mean() - champion_N.mean())
    return min(1.0, GAIN / gain) if gain > 0.0 else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class LabelTables:
    """Probabilities that two versions serve on the same texts, and the truth: label `truth_N` of `asked`."""

    asked: Sequence[Asked]
    truth_N: NDArray[np.int64]
    champion_NK: Floats
    candidate_NK: Floats

    def right(self, probs_NK: Floats) -> Floats:
        """Probability of the right label, (N,)."""
        return np.asarray(probs_NK[np.arange(len(self.asked)), self.truth_N])

    def voted(
        self, champion_N: NDArray[np.bool_], candidate_N: NDArray[np.bool_], rng: np.random.Generator
    ) -> ClassifyEvidence:
        """Votes on `HELD_OUT_VOTES` of the texts; where a column is True the candidate's table stands for a version."""
        at_N = rng.choice(len(self.asked), HELD_OUT_VOTES, replace=len(self.asked) < HELD_OUT_VOTES)
        old_NK, new_NK = (
            np.where(swapped_N[at_N, None], self.candidate_NK[at_N], self.champion_NK[at_N])
            for swapped_N in (champion_N, candidate_N)
        )
        labels = old_NK.shape[1]
        drawn_N = (old_NK.cumsum(axis=1) < rng.random((len(at_N), 1))).sum(axis=1).clip(max=labels - 1)
        up_N = (drawn_N == self.truth_N[at_N]) ^ (rng.random(len(at_N)) < NOISE)
        return ClassifyEvidence(
            votes=Votes(0, 0, {}, 0),
            latency=Latency([], []),
            labels_N=drawn_N,
            rewards_N=up_N.astype(np.float64),
            logged_NK=old_NK,
            champion_NK=old_NK,
            candidate_NK=new_NK,
            raters_N=[self.asked[index].user for index in at_N],
        )


def tables_of(ground: LabelGround, candidate: Path) -> LabelTables:
    """Both versions' probabilities on the ground's tests."""
    texts = [one.text for one in ground.tests]
    champion_NK, labels = served(ground.bench.champion, texts, ground.floor)
    candidate_NK, others = served(candidate, texts, ground.floor)
    candidate_NK = candidate_NK[:, [others.index(label) for label in labels]]
    truth_N = np.array([labels.index(one.label) for one in ground.tests], dtype=np.int64)
    return LabelTables(ground.tests, truth_N, champion_NK, candidate_NK)


def _redrawn(
    evidence: GenerateEvidence,
    champion_P: NDArray[np.bool_],
    candidate_P: NDArray[np.bool_],
    rng: np.random.Generator,
) -> GenerateEvidence:
    """As many prompts drawn anew; where a column is True the candidate's reply stands for a version.

    Each draw of a prompt has a flag of its own: draws that shared one would not be as independent as gates take them.
    """
    at_P = rng.integers(0, len(champion_P), len(champion_P))

    def picked(swapped_P: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        pairs = (
            (evidence.champion_scores, evidence.candidate_scores),
            (evidence.champion_lengths, evidence.candidate_lengths),
        )
        scores_P, lengths_P = (np.where(swapped_P, as_floats(new)[at_P], as_floats(old)[at_P]) for old, new in pairs)
        return scores_P, lengths_P

    (old_scores, old_lengths), (new_scores, new_lengths) = picked(champion_P), picked(candidate_P)
    return replace(
        evidence,
        champion_scores=old_scores,
        candidate_scores=new_scores,
        champion_lengths=old_lengths,
        candidate_lengths=new_lengths,
        prompt_users=[evidence.prompt_users[index] for index in at_P],
    )
