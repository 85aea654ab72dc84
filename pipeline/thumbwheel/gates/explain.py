"""What a person is told of a gate: what it asks, why, its threshold, and what to do when a candidate fails it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidInput
from thumbwheel.gates.gate import Gate
from thumbwheel.gates.judge import CLASSIFY, GENERATE
from thumbwheel.gates.policy_file import SETTING_OF, range_of
from thumbwheel.records import PolicyKind

CURES: Final = {
    "data_sanity": "Collect more votes of both signs; broken log-probabilities point at a defect of what was served.",
    "rater_concentration": "Ask more users, let clients send user.id, or lower data.max_votes_per_rater.",
    "reward_auc": "Collect more votes, and look whether raters agree: what they don't agree on can't be learned.",
    "reward_calibration": "Collect more votes of held-out users; see the report's calibration curve.",
    "kl_budget": "Lower learn.kl_target or learn.ppo_iterations.",
    "held_out_reward": "The candidate is no better: collect more votes, or let it learn longer.",
    "win_rate": "The candidate is no better side by side: collect more votes, or see whether only length won.",
    "forgetting_good_replies": "Raise learn.liked_weight, or lower learn.kl_target.",
    "forgetting_customer_texts": "Lower learn.kl_target, or learn from more prompts.",
    "blocked_words": "Look at the samples with the word, or mend the list gates.blocked_words.",
    "latency": "Look whether replies have grown, and whether the machine was busy while it was measured.",
    "effective_samples": "Collect more votes on answers of the champion; the candidate is far from what was served.",
    "largest_weight": "Raise classify.probability_floor: rare labels then weigh less. Or collect more votes.",
    "off_policy_snips": "The candidate earns no more for certain: collect more votes.",
    "off_policy_doubly_robust": "The candidate earns no more for certain: collect more votes.",
    "length_ratio": "Look whether raters reward length; a reward model that does can be seen in the report.",
    "diversity": "It says the same to everybody: lower learn.kl_target, or learn from more prompts.",
    "memorised": "Lower learn.liked_weight, and erase the users whose texts are repeated.",
    "personal_data": "Erase the users whose data are repeated, and take such data out of texts.",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """A gate for people. `threshold` is None and `setting` empty where both versions are compared with each other."""

    name: str
    title: str
    kinds: tuple[str, ...]
    asks: str
    why: str
    threshold: float | None
    unit: str
    range: str
    setting: str
    cure: str


def explained(limits: Gates, name: str = "") -> list[Explained]:
    """Every gate in the order in which they are asked, or the one of a name. Raises InvalidInput for an unknown one."""
    asked: tuple[Gate[Any], ...] = (*GENERATE, *CLASSIFY)
    gates = {gate.name: gate for gate in asked}
    if name and name not in gates:
        raise InvalidInput("gate", f"there is none called {name!r}; there are: {', '.join(gates)}")
    return [_explained(gate, limits) for gate in gates.values() if name in ("", gate.name)]


def _explained(gate: Gate[Any], limits: Gates) -> Explained:
    field = SETTING_OF.get(gate.name, "")
    kinds: dict[PolicyKind, tuple[Gate[Any], ...]] = {PolicyKind.GENERATE: GENERATE, PolicyKind.CLASSIFY: CLASSIFY}
    return Explained(
        name=gate.name,
        title=gate.title,
        kinds=tuple(kind.value for kind, asked in kinds.items() if any(one.name == gate.name for one in asked)),
        asks=" ".join((type(gate).__doc__ or "").split()),
        why=gate.why,
        threshold=float(getattr(limits, field)) if field else None,
        unit=f"{gate.rule.value}, {gate.unit}",
        range=range_of(field) if field else "",
        setting=f"gates.{field}" if field else "",
        cure=CURES[gate.name],
    )
