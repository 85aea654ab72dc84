"""How often do the gates promote what gains nothing, and how often do they let a true gain pass?

    python benchmarks/gates_false_alarms.py

Draws candidates whose truth is known and counts the promotions. For `generate`, 500 held-out prompts with scores and
lengths; for `classify`, 1,000 held-out votes (10 % wrong) on labels a champion of accuracy .7 served with a floor of
.02. Only the gates that look for a gain are asked: the others guard against harm, and all of it is well here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np

from record import record
from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import (
    ClassifyEvidence,
    Floats,
    GenerateEvidence,
    HeldOutVotes,
    Latency,
    TextLosses,
    Votes,
)
from thumbwheel.gates.held_out_reward import HeldOutReward
from thumbwheel.gates.off_policy_support import EffectiveSamples, LargestWeight
from thumbwheel.gates.off_policy_value import DoublyRobustValue, SnipsValue
from thumbwheel.gates.win_rate import WinRate

T = TypeVar("T")
ReplySorts: TypeAlias = Mapping[str, Callable[[int], GenerateEvidence]]
LabelSorts: TypeAlias = Mapping[str, Callable[[int], ClassifyEvidence]]
LIMITS = Gates()
PROMPTS = 500
HELD_OUT_VOTES = 1_000
LABELS = 10
FLOOR = 0.02
ACCURACY = 0.7
WRONG_THUMBS = 0.1
MOST_FALSE = 0.05
LEAST_TRUE = 0.8
DOUBTFUL_NOTE = (
    "Harmless, but no gain: the votes down that it moves away from speak for it, and votes on the labels it moves to "
    "are too rare to speak against it. Tried: SNIPS alone (worse), a reward table by logged probability (lets hardly "
    "any true gain pass), an outcome model with a feature for labels that the candidate turns to (kept; no better "
    "here). A larger probability floor, or the canary, tells."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, help="candidates drawn of each sort")
    seeds = parser.parse_args().seeds
    print("| kind | candidate | promoted |\n|---|---|---|")
    _run("generate", _promotes_generate, GENERATE_WORTHLESS, GENERATE_WORTHY, seeds)
    _run("classify", _promotes_classify, CLASSIFY_WORTHLESS, CLASSIFY_WORTHY, seeds)
    for name, rate in _rates("classify", _promotes_classify, CLASSIFY_DOUBTFUL, seeds).items():
        _record(f"gates: classify candidates promoted that {name}", rate, True, DOUBTFUL_NOTE)


def _run(
    kind: str,
    promoted: Callable[[T], bool],
    worthless: Mapping[str, Callable[[int], T]],
    worthy: Mapping[str, Callable[[int], T]],
    seeds: int,
) -> None:
    false, true = (_rates(kind, promoted, sorts, seeds) for sorts in (worthless, worthy))
    _record(f"gates: {kind} candidates without a gain promoted, worst sort", max(false.values()), True)
    _record(f"gates: {kind} candidates with a gain promoted, worst sort", min(true.values()), False)


def _rates(
    kind: str, promoted: Callable[[T], bool], sorts: Mapping[str, Callable[[int], T]], seeds: int
) -> dict[str, float]:
    """Share of promotions of every sort of candidate."""
    rates = {}
    for name, draw in sorts.items():
        rates[name] = sum(promoted(draw(seed)) for seed in range(seeds)) / seeds
        print(f"| {kind} | {name} | {rates[name]:.3f} |", flush=True)
    return rates


def _record(figure: str, rate: float, is_limit: bool, note: str = "") -> None:
    goal = f"<= {MOST_FALSE}" if is_limit else f">= {LEAST_TRUE}"
    reached = rate <= MOST_FALSE if is_limit else rate >= LEAST_TRUE
    record(figure, rate, "share", goal, reached, "python benchmarks/gates_false_alarms.py", note)


def _promotes_generate(evidence: GenerateEvidence) -> bool:
    return all(gate.check(evidence, LIMITS).passed for gate in (HeldOutReward(), WinRate()))


def _promotes_classify(evidence: ClassifyEvidence) -> bool:
    gates = (EffectiveSamples(), LargestWeight(), SnipsValue(), DoublyRobustValue())
    return all(gate.check(evidence, LIMITS).passed for gate in gates)


def _replies(seed: int, gain: float = 0.0, longer: float = 0.0, per_token: float = 0.0) -> GenerateEvidence:
    """Scores that differ by `gain` on average, by noise, and by what the reward model pays a token."""
    rng = np.random.default_rng(seed)
    champion_P, tokens_P = rng.normal(0.0, 1.0, PROMPTS), rng.integers(15, 40, PROMPTS)
    extra_P = np.round(rng.normal(longer, 8.0, PROMPTS)).clip(1 - tokens_P)
    return GenerateEvidence(
        votes=Votes(0, 0, {}, 0),
        latency=Latency([], []),
        reward_model=HeldOutVotes([], []),
        champion_scores=champion_P,
        candidate_scores=champion_P + gain + per_token * extra_P + rng.normal(0.0, 1.0, PROMPTS),
        champion_lengths=tokens_P,
        candidate_lengths=tokens_P + extra_P,
        kl_per_reply=[],
        good_replies=TextLosses([], [], []),
        customer_texts=TextLosses([], [], []),
        candidate_texts=[],
    )


def _few_great_prompts(seed: int) -> GenerateEvidence:
    """A higher mean from 1 prompt in 20, the others a little worse."""
    plain = _replies(seed, gain=-0.1)
    great_P = np.random.default_rng(seed + 10_000).random(PROMPTS) < 0.05
    return GenerateEvidence(
        **{name: getattr(plain, name) for name in plain.__dataclass_fields__ if name != "candidate_scores"},
        candidate_scores=np.asarray(plain.candidate_scores) + 8.0 * great_P,
    )


def _labels(seed: int, mends: float, breaks: float, moves: float = 0.0, sharp: float = 5.0) -> ClassifyEvidence:
    """A candidate that mends a share of the champion's mistakes, breaks a share of its right answers, and moves
    from one wrong label to another in a share of the mistakes it does not mend."""
    rng = np.random.default_rng(seed)
    rows_N = np.arange(HELD_OUT_VOTES)
    truth_N = rng.integers(0, LABELS, HELD_OUT_VOTES)
    was_right_N = rng.random(HELD_OUT_VOTES) < ACCURACY
    old_wrong_N, new_wrong_N = (_other_label(truth_N, rng) for _ in range(2))
    old_N = np.where(was_right_N, truth_N, old_wrong_N)
    is_right_N = np.where(was_right_N, rng.random(HELD_OUT_VOTES) >= breaks, rng.random(HELD_OUT_VOTES) < mends)
    moved_N = was_right_N | (rng.random(HELD_OUT_VOTES) < moves)
    new_N = np.where(is_right_N, truth_N, np.where(moved_N, new_wrong_N, old_wrong_N))
    noise_NK = rng.normal(0.0, 1.0, (HELD_OUT_VOTES, LABELS))
    certainty_N = sharp + rng.normal(0.0, 1.0, HELD_OUT_VOTES)
    champion_NK, candidate_NK = (_served(noise_NK, certainty_N, label_N) for label_N in (old_N, new_N))
    drawn_N = (champion_NK.cumsum(axis=1) < rng.random((HELD_OUT_VOTES, 1))).sum(axis=1).clip(max=LABELS - 1)
    up_N = (drawn_N == truth_N) ^ (rng.random(HELD_OUT_VOTES) < WRONG_THUMBS)
    assert champion_NK[rows_N, drawn_N].min() >= FLOOR / LABELS
    return ClassifyEvidence(
        votes=Votes(0, 0, {}, 0),
        latency=Latency([], []),
        labels_N=drawn_N,
        rewards_N=up_N.astype(np.float64),
        logged_NK=champion_NK,
        champion_NK=champion_NK,
        candidate_NK=candidate_NK,
    )


def _other_label(truth_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (truth_N + rng.integers(1, LABELS, len(truth_N))) % LABELS


def _served(noise_NK: Floats, certainty_N: Floats, label_N: np.ndarray) -> Floats:
    """Softmax of noisy logits that favour `label_N`, mixed with the floor."""
    logits_NK = noise_NK.copy()
    logits_NK[np.arange(len(label_N)), label_N] += certainty_N
    odds_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray((1 - FLOOR) * odds_NK / odds_NK.sum(axis=1, keepdims=True) + FLOOR / LABELS)


EVEN = ACCURACY / (1 - ACCURACY)
GENERATE_WORTHLESS: ReplySorts = {
    "as good as the champion": _replies,
    "a little worse": partial(_replies, gain=-0.1),
    "only longer, which the reward model pays": partial(_replies, longer=8.0, per_token=0.08),
    "better on 1 prompt in 20, worse on the others": _few_great_prompts,
}
GENERATE_WORTHY: ReplySorts = {
    "gains a quarter of the scores' spread": partial(_replies, gain=0.25),
    "gains as much, and is longer": partial(_replies, gain=0.35, longer=4.0, per_token=0.02),
}
CLASSIFY_WORTHLESS: LabelSorts = {
    "mends a tenth, breaks as many": partial(_labels, mends=0.1, breaks=0.1 / EVEN),
    "mends four tenths, breaks as many": partial(_labels, mends=0.4, breaks=0.4 / EVEN),
    "sharper, mends four tenths, breaks as many": partial(_labels, mends=0.4, breaks=0.4 / EVEN, sharp=7.0),
    "breaks one right answer in 20": partial(_labels, mends=0.0, breaks=0.05),
}
CLASSIFY_WORTHY: LabelSorts = {
    "mends half": partial(_labels, mends=0.5, breaks=0.02, moves=0.3),
    "mends half, sharper": partial(_labels, mends=0.5, breaks=0.02, moves=0.3, sharp=7.0),
}
CLASSIFY_DOUBTFUL: LabelSorts = {
    "find mistakes but put other mistakes in their place": partial(_labels, mends=0.0, breaks=0.0, moves=0.5)
}


if __name__ == "__main__":
    main()
