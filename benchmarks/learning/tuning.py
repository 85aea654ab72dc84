"""Settings, chosen on a validation split of banking77 and on seeds that are not reported.

Ours and Vowpal Wabbit's are tried alike: as many values of each, by accuracy after 10,000 votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import cast

from learning.piece import Page, Result
from learning.thumbs import PPO, SOFTMAX, SQUARECB, Thumbs
from learning.vowpal import Explorer

SEEDS = (100, 101)
VOTES = 10_000

RATES = {"encoder": (1e-3, 3e-3, 1e-2), "scratch": (5e-4, 1e-3, 2e-3)}
PAST_WEIGHTS = (0.0, 0.3, 1.0)
GAMMAS, LAMBDAS, VOWPAL_RATES = (10, 100, 1000), (5, 20, 80), (0.5, 2.0, 8.0)


def tuning_units(small: bool) -> list[Thumbs]:
    """Every value on the encoder; on the network from scratch, which takes longer, learning rates."""
    if small:
        learn = (("classify_learning_rate", 1e-3),)
        return [Thumbs("banking77", "scratch", PPO, "plain", 100, 600, 300, 400, True, learn)]
    ours = [
        (("classify_learning_rate", rate), ("classify_past_weight", weight))
        for rate in RATES["encoder"]
        for weight in PAST_WEIGHTS
    ]
    theirs = [
        (method, Explorer(f"--{flags}", rate))
        for method, all_flags in (
            (SQUARECB, [f"squarecb --gamma_scale {gamma}" for gamma in GAMMAS]),
            (SOFTMAX, [f"softmax --lambda {lam} --epsilon 0.02" for lam in LAMBDAS]),
        )
        for flags in all_flags
        for rate in VOWPAL_RATES
    ]
    units = [_ours("encoder", seed, learn) for learn in ours for seed in SEEDS]
    units += [_ours("scratch", SEEDS[0], (("classify_learning_rate", rate),)) for rate in RATES["scratch"]]
    return units + [
        Thumbs("banking77", network, method, "plain", seed, VOTES, validation=True, explorer=explorer)
        for network in ("encoder", "scratch")
        for method, explorer in theirs
        for seed in SEEDS[: 2 if network == "encoder" else 1]
    ]


def _ours(network: str, seed: int, learn: tuple[tuple[str, float], ...]) -> Thumbs:
    return Thumbs("banking77", network, PPO, "plain", seed, VOTES, validation=True, learn=learn)


def tuning_page(results: Sequence[Result]) -> Page:
    """Every trial, the best of each method first."""
    trials: dict[tuple[str, str, str], list[float]] = {}
    for unit, found in results:
        one = cast(Thumbs, unit)
        tried = ", ".join(f"{name} {value:g}" for name, value in one.learn)
        tried = tried or (f"{one.explorer.flags} -l {one.explorer.learning_rate}" if one.explorer else "")
        trials.setdefault((one.network, one.method, tried), []).append(found["at"][str(one.votes)])
    lines = [
        f"Accuracy on the validation split of banking77 after {VOTES:,} votes, mean over seeds {SEEDS}.",
        "",
        "| network | method | tried | accuracy |",
        "|---|---|---|---|",
    ]
    ordered = sorted(trials.items(), key=lambda item: (item[0][:2], -fmean(item[1])))
    lines += [f"| {' | '.join(about)} | {fmean(values):.3f} |" for about, values in ordered]
    return Page("\n".join(lines))
