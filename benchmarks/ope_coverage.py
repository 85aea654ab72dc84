"""How often do intervals of off-policy estimates hold the truth, and how often do they see a gain that is there?

    python benchmarks/ope_coverage.py                       synthetic logs whose truth can be summed
    python benchmarks/ope_coverage.py --obd FOLDER          and Open Bandit's sample: each policy by the other's log

Synthetic: texts of 30 labels, a champion and a candidate as sure of themselves as the demo world's, thumbs of which
10 % are wrong, as many votes as a run of the demo holds out. What is estimated is the gain over the champion, paired by
vote, as the gates do it. Prints, for every estimator and interval, coverage, mean width and the share of logs in which
the lower bound lies above 0: power where there is a gain, false alarms where there is none.

Open Bandit (Saito et al. 2021, arXiv 2008.07146): the value of the Thompson sampling policy by the random policy's log,
and the other way round, beside what each earned itself. FOLDER holds `random_men.csv.gz` and `bts_men.csv.gz`.

Shape suffixes: M texts there are, N votes of a log, K labels.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from record import record
from thumbwheel.gates.outcome_model import label_features, predict_rewards
from thumbwheel.ope.bounded import betting, empirical_bernstein
from thumbwheel.ope.estimators import direct_method_terms, doubly_robust_terms, ips_terms, snips_terms
from thumbwheel.ope.intervals import Interval, bootstrap, student_t_interval
from thumbwheel.ope.outcome_model import fit_error_terms
from thumbwheel.ope.weights import Floats, Indices, clipped, effective_sample_size, importance_weights

FLOOR = 0.02
LABELS = 30
WRONG_THUMBS = 0.1
CONFIDENCE = 0.95
COLUMNS = ("position", "item_id", "click", "propensity_score")
COMMAND = "python benchmarks/ope_coverage.py"


@dataclass(frozen=True)
class Population:
    """All texts: the true label, and what champion and candidate serve with their floor."""

    truth_M: Indices
    champion_MK: Floats
    candidate_MK: Floats

    @property
    def gain(self) -> float:
        """What the candidate earns more, an answer: the right label gets 1 - 2 * .1 more thumbs up than another."""
        rows_M = np.arange(len(self.truth_M))
        more_M = (self.candidate_MK - self.champion_MK)[rows_M, self.truth_M]
        return float((1 - 2 * WRONG_THUMBS) * more_M.mean())


@dataclass(frozen=True)
class Log:
    """Votes on labels that the champion served."""

    champion_NK: Floats
    candidate_NK: Floats
    labels_N: Indices
    rewards_N: Floats
    predicted_NK: Floats
    cut: float = math.inf
    """Where weights are cut off."""

    @property
    def weights_N(self) -> Floats:
        return clipped(importance_weights(self.candidate_NK, self.champion_NK, self.labels_N), self.cut)


def population(seed: int, gain: float, texts: int = 3_000) -> Population:
    """Two classifiers that see the true label through correlated noise; the candidate's signal is larger by `gain`."""
    rng = np.random.default_rng(seed)
    truth_M = rng.integers(0, LABELS, texts)
    signal_MK = np.eye(LABELS)[truth_M] * (2.7 + rng.normal(0.0, 0.8, (texts, 1)))
    shared_MK, own_MK = rng.normal(size=(2, texts, LABELS))
    champion_MK = _served(2.4 * (signal_MK + shared_MK))
    seen_MK = signal_MK + gain * np.eye(LABELS)[truth_M] + 0.8 * shared_MK + 0.6 * own_MK
    return Population(truth_M, champion_MK, _served(3.0 * seen_MK))


def _served(logits_MK: Floats) -> Floats:
    odds_MK = np.exp(logits_MK - logits_MK.max(axis=1, keepdims=True))
    return np.asarray((1 - FLOOR) * odds_MK / odds_MK.sum(axis=1, keepdims=True) + FLOOR / LABELS)


def draw(there: Population, votes: int, rng: np.random.Generator) -> Log:
    """Texts drawn with repetition, labels by the champion, thumbs by users who err."""
    rows_N = rng.integers(0, len(there.truth_M), votes)
    champion_NK = there.champion_MK[rows_N]
    labels_N = (champion_NK.cumsum(axis=1) < rng.random((votes, 1))).sum(axis=1).clip(max=LABELS - 1)
    up_N = (labels_N == there.truth_M[rows_N]) ^ (rng.random(votes) < WRONG_THUMBS)
    candidate_NK, rewards_N = there.candidate_MK[rows_N], up_N.astype(np.float64)
    predicted_NK = predict_rewards(champion_NK, candidate_NK, labels_N, rewards_N)
    return Log(champion_NK, candidate_NK, labels_N, rewards_N, predicted_NK)


def _ips(log: Log) -> Floats:
    return ips_terms(log.weights_N, log.rewards_N) - log.rewards_N


def _snips(log: Log) -> Floats:
    return snips_terms(log.weights_N, log.rewards_N) - log.rewards_N


def _direct(log: Log) -> Floats:
    return direct_method_terms(log.predicted_NK, log.candidate_NK - log.champion_NK)


def _robust(log: Log) -> Floats:
    rest = (log.rewards_N, log.labels_N, log.predicted_NK)
    candidate_N = doubly_robust_terms(log.weights_N, *rest, log.candidate_NK)
    return candidate_N - doubly_robust_terms(np.ones(len(log.labels_N)), *rest, log.champion_NK)


def _robust_with_error(log: Log) -> Floats:
    slopes_NK = log.candidate_NK - log.champion_NK
    slopes_NK[np.arange(len(log.labels_N)), log.labels_N] -= log.weights_N - 1.0
    features_NKF = label_features(log.champion_NK, log.candidate_NK)
    return _robust(log) + fit_error_terms(features_NKF, log.labels_N, log.rewards_N, log.predicted_NK, slopes_NK)


GAINS: Mapping[str, Callable[[Log], Floats]] = {
    "clipped IPS": _ips,
    "SNIPS": _snips,
    "direct method": _direct,
    "doubly robust": _robust,
    "doubly robust, the prediction's error told": _robust_with_error,
}
CUTS: Mapping[str, Callable[[int], float]] = {"square root": math.sqrt, "cube root": lambda votes: votes ** (1 / 3)}
GATES = {"SNIPS": "SNIPS", "doubly robust": "doubly robust, the prediction's error told"}
"""What the gates look at, with Student's t and weights cut off at the cube root of the number of votes."""


def _intervals(terms_N: Floats, cut: float, with_bootstrap: bool) -> Iterator[tuple[str, Interval]]:
    """Gains lie within the largest weight and 1 more on either side."""
    yield "Student t", student_t_interval(terms_N, CONFIDENCE)
    yield "empirical Bernstein", empirical_bernstein(terms_N, -cut - 1, cut + 1, CONFIDENCE)
    yield "betting", betting(terms_N, -cut - 1, cut + 1, CONFIDENCE)
    if with_bootstrap:
        yield "bootstrap, percentile", bootstrap(np.mean, terms_N, confidence=CONFIDENCE)
        yield "bootstrap, BCa", bootstrap(np.mean, terms_N, confidence=CONFIDENCE, method="BCa")


@dataclass
class Tally:
    """What became of one estimator with one interval over all logs."""

    logs: int = 0
    covered: int = 0
    too_high: int = 0
    above_0: int = 0
    width: float = 0.0
    value: float = 0.0

    def count(self, found: Interval, truth: float) -> None:
        self.logs += 1
        self.covered += found.low <= truth <= found.high
        self.too_high += found.low > truth
        self.above_0 += found.low > 0.0
        self.width += found.high - found.low
        self.value += found.value

    def row(self) -> str:
        shares = (self.covered, self.too_high, self.above_0)
        told = " | ".join(f"{share / self.logs:.3f}" for share in shares)
        return f"{self.value / self.logs:+.4f} | {told} | {self.width / self.logs:.4f}"


Tallies = dict[tuple[str, str, str], Tally]
"""By estimator, where weights are cut off, and interval."""


def tally(there: Population, votes: int, draws: int, bootstraps: int, seed: int = 0) -> Tallies:
    """Every estimator with every interval on `draws` logs; the bootstraps, which take long, on the first of them."""
    rng, truth = np.random.default_rng(seed), there.gain
    found: Tallies = {}
    for number in range(draws):
        drawn = draw(there, votes, rng)
        for cut, at in CUTS.items():
            log = replace(drawn, cut=at(votes))
            for name, gains in GAINS.items():
                for how, interval in _intervals(gains(log), log.cut, number < bootstraps):
                    found.setdefault((name, cut, how), Tally()).count(interval, truth)
    return found


def _show(title: str, there: Population, found: Tallies) -> None:
    accuracy = [(probs.argmax(axis=1) == there.truth_M).mean() for probs in (there.champion_MK, there.candidate_MK)]
    print(f"\n{title}: accuracy {accuracy[0]:.3f} -> {accuracy[1]:.3f}, true gain {there.gain:+.4f}")
    print("| estimator | cut at | interval | mean | coverage | low above the truth | low above 0 | width |")
    print("|---|---|---|---|---|---|---|---|")
    for (name, cut, how), counted in found.items():
        print(f"| {name} | {cut} | {how} | {counted.row()} |", flush=True)


def _record(gained: Tallies, none: Tallies, votes: int) -> None:
    for name, estimator in GATES.items():
        counted, idle = (found[estimator, "cube root", "Student t"] for found in (gained, none))
        note = f"{counted.logs} logs of {votes} votes"
        covered, missed = counted.covered / counted.logs, idle.above_0 / idle.logs
        record(f"ope: coverage of {name} with Student's t", covered, "share", ">= 0.95", covered >= 0.95, COMMAND, note)
        power = counted.above_0 / counted.logs
        record(f"ope: power of {name} with Student's t", power, "share", ">= 0.8", power >= 0.8, COMMAND, note)
        record(f"ope: false alarms of {name}", missed, "share", "<= 0.05", missed <= 0.05, COMMAND, note)


@dataclass(frozen=True)
class Rounds:
    """Open Bandit rows of one behaviour policy: an item shown at a position, and whether it was clicked."""

    cells_N: Indices
    clicks_N: Floats
    shown_N: Floats

    def policy(self, cells: int) -> Floats:
        """Mean probability of each (position, item), normalised within the position: the policy sees no more here."""
        sums, counts = np.zeros(cells), np.zeros(cells)
        np.add.at(sums, self.cells_N, self.shown_N)
        np.add.at(counts, self.cells_N, 1.0)
        table = (sums / np.maximum(counts, 1.0)).reshape(3, -1)
        return np.asarray((table / table.sum(axis=1, keepdims=True)).reshape(-1))


def read_rounds(file: Path, items: int) -> Rounds:
    """Read one file of the sample."""
    with gzip.open(file, "rt", encoding="utf-8") as text:
        rows = [[row[name] for name in COLUMNS] for row in csv.DictReader(text)]
    position_N, item_N, click_N, shown_N = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return Rounds(((position_N - 1) * items + item_N).astype(np.int64), click_N, shown_N)


def open_bandit(folder: Path, items: int = 34) -> None:
    """Estimate each policy by the other's log, and set what it earned itself beside."""
    logs = {name: read_rounds(folder / f"{name}_men.csv.gz", items) for name in ("random", "bts")}
    print("\n| value of | by the log of | ESS | IPS | SNIPS | clipped IPS, betting | what it earned itself |")
    print("|---|---|---|---|---|---|---|")
    for target, logged in (("bts", "random"), ("random", "bts")):
        held, own = logs[logged], logs[target]
        weights_N = own.policy(3 * items)[held.cells_N] / held.shown_N
        most = min(float(weights_N.max()), math.sqrt(len(weights_N)))
        cut = betting(ips_terms(weights_N, held.clicks_N, most), 0.0, most, CONFIDENCE)
        plain, normalised = (terms_of(weights_N, held.clicks_N) for terms_of in (ips_terms, snips_terms))
        told = (student_t_interval(plain), student_t_interval(normalised), cut, student_t_interval(own.clicks_N))
        cells = [_percent(interval) for interval in told]
        print(f"| {target} | {logged} | {effective_sample_size(weights_N):,.0f} | {' | '.join(cells)} |")


def _percent(found: Interval) -> str:
    return f"{found.value:.2%} ({found.low:.2%} to {found.high:.2%})"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=500, help="logs")
    parser.add_argument("--bootstraps", type=int, default=50, help="logs on which the bootstraps are tried, too")
    parser.add_argument("--votes", type=int, default=600, help="held-out votes of a log")
    parser.add_argument("--obd", type=Path, help="folder of the Open Bandit sample")
    given = parser.parse_args(arguments)
    sorts = {"a gain": population(1, gain=0.6), "no gain": population(2, gain=-0.1)}
    found = {name: tally(there, given.votes, given.draws, given.bootstraps) for name, there in sorts.items()}
    for name, there in sorts.items():
        _show(name, there, found[name])
    _record(found["a gain"], found["no gain"], given.votes)
    if given.obd is not None:
        open_bandit(given.obd)


if __name__ == "__main__":
    main()
