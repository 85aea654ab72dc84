"""Which iteration of PPO was taken, by its replies to prompts set aside: in the run's folder, and in the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from thumbwheel.ppo.generate.improve import Improvement
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.retrain.report.data import Curve
from thumbwheel.retrain.run_folder import RunFolder

_RISES = "It rises, and the lower bound gets above 0; where it falls again learning went too far."
_LEVELS_OFF = "It levels off; if it keeps growing, replies drift away from the champion's."

Choice = Mapping[str, Any]
"""As JSON: the iteration that was taken, of how many; the evaluations; the weights that learned, of how many, rank."""


def choice_of(done: Improvement, settings: PpoSettings) -> dict[str, Any]:
    """What is kept of an improvement beside its history."""
    return {
        "iteration": done.iteration,
        "iterations": len(done.history),
        "planned": settings.iterations,
        "evaluations": [asdict(evaluation) for evaluation in done.evaluations],
        "learned": done.learned,
        "weights": done.weights,
        "lora_rank": settings.lora_rank,
    }


def read_choice(folder: RunFolder) -> Choice | None:
    """What a run kept; None where a version is judged that was learned elsewhere."""
    if not folder.choice.exists():
        return None
    choice: Choice = json.loads(folder.choice.read_text(encoding="utf-8"))
    return choice


def told_choice(choice: Choice | None) -> dict[str, str]:
    """The choice in words: which iteration, and how much of the policy learned."""
    if choice is None:
        return {}
    return {"Taken after": _taken(choice), "Weights that learned": _learned(choice)}


def held_out_curves(choice: Choice | None) -> list[Curve]:
    """Reward and drift on the prompts set aside, from the champion's on; none where nothing was evaluated."""
    seen = choice["evaluations"] if choice else []
    if not seen:
        return []
    at = [one["iteration"] for one in seen]
    reward = {"reward": [one["reward"] for one in seen], "lower bound": [one["low"] for one in seen]}
    drift = {"KL": [one["kl"] for one in seen]}
    return [
        Curve("Reward less KL, prompts set aside", reward, at=at, look_for=_RISES),
        Curve("KL to the champion, prompts set aside", drift, "nats a reply", at=at, look_for=_LEVELS_OFF),
    ]


def _taken(choice: Choice) -> str:
    which = f"iteration {choice['iteration']} of {choice['iterations']}"
    if choice["iterations"] < choice["planned"]:
        which += f" ({choice['planned']} were planned; it grew no better)"
    looks = sum(one["iteration"] > 0 for one in choice["evaluations"])
    if not looks:
        return f"{which}: the last"
    return f"{which}: the latest of {looks} looks at prompts set aside that was not worse than the best of them"


def _learned(choice: Choice) -> str:
    if choice["lora_rank"] == 0:
        return f"all {choice['learned']:,}"
    return f"{choice['learned']:,} of adapters of rank {choice['lora_rank']}, merged into {choice['weights']:,}"
