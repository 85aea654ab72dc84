"""What an update tells of itself while it goes on, and the names under which the field knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

Metrics = Mapping[str, float]
"""Figures by name."""
RoundDone = Callable[[int, int, Metrics], None]
"""Called with (done, total, the round's figures) after each: an iteration of `generate`, an epoch of `classify`."""

# As TRL's PPO trainer calls them (its documentation, "Explanation of the logged metrics"), so that curves of both can
# lie in one picture. What is not here goes by its own name, or, without a group, below `train/`.
_FIELD_NAMES: Final[Mapping[str, str]] = {
    "policy/approxkl": "policy/approxkl_avg",
    "policy/clipfrac": "policy/clipfrac_avg",
    "loss/policy": "loss/policy_avg",
    "loss/value": "loss/value_avg",
    "policy_loss": "loss/policy_avg",
    "seed_loss": "loss/seed_labels_avg",
    "approx_kl": "policy/approxkl_avg",
    "clip_fraction": "policy/clipfrac_avg",
    "entropy": "policy/entropy_avg",
    "ratio": "val/ratio",
    "learning_rate": "lr",
    "gradient_norm": "policy/gradnorm_avg",
    "validation_value": "val/laid_aside_reward",
    "kept": "val/epoch_kept",
    "lr": "lr",
    "episode": "episode",
    "beta": "objective/beta",
}


def field_name(name: str) -> str:
    """Return the name of a figure as other tools have it: `objective/kl`, `policy/approxkl_avg`, `val/ratio`, ..."""
    return _FIELD_NAMES.get(name, name if "/" in name else f"train/{name}")
