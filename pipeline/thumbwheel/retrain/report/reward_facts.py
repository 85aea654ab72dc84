"""What the report says of the reward model in words: its data, its choice, what it pays for."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from thumbwheel.reward.fit import RewardQuality
from thumbwheel.reward.probes import Sycophancy

_READOUTS = {"surprise": "states and surprise of every token", "pooled": "mean state"}
_UNKNOWN = "not known of every vote, so its heads are not kept apart by raters: nobody is weighed by trust"


def reward_facts(told: Mapping[str, Any], quality: RewardQuality, agreement: Sycophancy) -> dict[str, str]:
    """Name and sentence of each fact there is; `told` is what fitting left in the reward model."""
    facts = {
        "Learned from": _learned_from(told),
        "Reads": _readouts(told),
        "Raters": raters_told(told.get("trust", {})) if told.get("apart", True) else _UNKNOWN,
        "Who rates": _who_rates(told.get("propensity", {})),
        "Foretells": _foretells(quality),
        "Temperature": _temperature(told),
        "Length": f"correlation of its probability with the number of tokens {quality.length_correlation:+.2f}",
        "Agreement": _agreement(agreement),
    }
    return {name: text for name, text in facts.items() if text}


def _learned_from(told: Mapping[str, Any]) -> str:
    kinds = ", ".join(f"{count:,} {_of(count, kind)}" for kind, count in told.get("kinds", {}).items())
    too_long = told.get("too_long", 0)
    return f"{kinds}; corrections left out, longer than the policy reads: {too_long:,}" if too_long else kinds


def _of(count: int, kind: str) -> str:
    return kind.removesuffix("s") if count == 1 else kind


def _readouts(told: Mapping[str, Any]) -> str:
    aucs = told.get("left_out_auc", {})
    each = ", ".join(f"{_READOUTS.get(name, name)} {auc:.3f}" for name, auc in aucs.items())
    chosen = _READOUTS.get(told.get("readout", ""), "")
    whom = "raters whom it had not learned from" if told.get("apart", True) else "votes that it had not learned from"
    return f"{chosen}: AUC on training {whom}: {each}" if each else ""


def raters_told(trust: Mapping[str, float]) -> str:
    """What `RaterTrust.figures` come to, in words; empty where nobody is weighed."""
    if not trust.get("raters"):
        return ""
    low = int(trust["below_half"])
    return (
        f"{trust['raters']:.0f}, weighed by how far they go along with others: {trust['least']:.2f} to"
        f" {trust['most']:.2f}, half of them below {trust['median']:.2f}; {low} below 0.5"
    )


def _temperature(told: Mapping[str, Any]) -> str:
    if "temperature" not in told:
        return ""
    if not told.get("apart", True):
        return "none: without the raters nothing is known to calibrate by; probabilities are as its heads say them"
    return f"{told['temperature']:.2f}: above 1, its heads were too sure"


def _who_rates(figures: Mapping[str, float]) -> str:
    if not figures:
        return ""
    return (
        f"{figures['share_rated']:.0%} of answers are rated; votes weigh {figures['least']:.2f} to"
        f" {figures['most']:.2f} by 1 / P(rated), as good as {figures['effective_share']:.0%} of them unweighted"
    )


def _foretells(quality: RewardQuality) -> str:
    if not quality.votes:
        return ""
    return f"{quality.accuracy:.1%} of held-out votes; who always says what most say, {quality.majority:.1%}"


def _agreement(agreement: Sycophancy) -> str:
    if not isfinite(agreement.gain):
        return ""
    return (
        f"a reply that agrees with the user gains {agreement.gain:+.2f} ± {agreement.error:.2f} (standard error over"
        f" {agreement.pairs} pairs), in standard deviations of the reward; 0 is best"
    )
