"""`generate` on the help desk: one PPO run on 3,000 thumbs, judged by the world and not by the reward model.

    python benchmarks/generate_quality.py

About four minutes a seed on one thread; a seed that the same code has done in the work folder is not run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random
from statistics import fmean

import torch

from generate_trial import Outcome, Question, Trial
from record import BUILD, record
from thumbwheel.records import Message
from thumbwheel.simulate.world import World, small_desk

COMMAND = "python benchmarks/generate_quality.py"
CHATS = 8000
STEPS = "the steps of a run one after the other, votes of 200 users in turns; no gate asked"


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    outcomes = {}
    for seed in options.seeds:
        outcomes[seed] = _trial(options.work / f"seed-{seed}", seed).run()
        print(_row(str(seed), outcomes[seed]), flush=True)
    print(_table(outcomes))
    if len(outcomes) >= 5:
        _record(list(outcomes.values()))


def _trial(work: Path, seed: int) -> Trial:
    world = small_desk(seed)
    rng = Random(f"chats {seed}")
    chats = []
    for _ in range(CHATS):
        request = world.message(rng)
        chats.append((Message("user", request.text), Message("assistant", world.mixed_reply(request, rng))))
    return Trial(work, seed, chats, lambda n, source: [_question(world, source) for _ in range(n)])


def _question(world: World, rng: Random) -> Question:
    request = world.message(rng)
    return Question(
        (Message("user", request.text),),
        lambda reply: world.reply_quality(request, reply),
        world.good_reply(request),
    )


def _table(outcomes: dict[int, Outcome]) -> str:
    head = (
        "| seed | first | supervised | PPO | best of 8 | lift | KL, nats | good text | customers' text "
        "| AUC votes | AUC truth | first policy s | reward s | PPO s |\n" + "|---" * 14 + "|"
    )
    rows = [_row(str(seed), outcome) for seed, outcome in outcomes.items()]
    return "\n".join([head, *rows])


def _row(name: str, o: Outcome) -> str:
    quality = f"| {name} | {o.first:.3f} | {o.supervised:.3f} | {o.ppo:.3f} | {o.best_of_8:.3f} | {o.ppo - o.first:.3f}"
    drift = f"| {o.kl:.2f} | {o.good_text:.3f} | {o.customers_text:.3f} | {o.auc_votes:.3f} | {o.auc_truth:.3f}"
    return f"{quality} {drift} | {o.first_policy_s:.0f} | {o.reward_s:.0f} | {o.ppo_s:.0f} |"


def _record(outcomes: list[Outcome]) -> None:
    first, best = fmean(o.first for o in outcomes), fmean(o.best_of_8 for o in outcomes)
    ppo, supervised = fmean(o.ppo for o in outcomes), fmean(o.supervised for o in outcomes)
    means = f"first {first:.3f}, supervised {supervised:.3f}, PPO {ppo:.3f}, best of 8 {best:.3f}; {STEPS}"
    lifts = [o.ppo - o.first for o in outcomes]
    _keep("lift of true quality, mean", fmean(lifts), "of 1", 0.25, means)
    _keep("lift of true quality, worst seed", min(lifts), "of 1", 0.15, _each(lifts))
    margins = [o.ppo - o.supervised for o in outcomes]
    _keep("above supervision on thumbs-up alone, worst seed", min(margins), "of 1", 0.0, _each(margins))
    for name, unit, ceiling, values in (
        ("KL from the first policy", "nats a reply", 3.0, [o.kl for o in outcomes]),
        ("perplexity of good replies", "times", 1.05, [o.good_text for o in outcomes]),
        ("perplexity of customers' text", "times", 1.05, [o.customers_text for o in outcomes]),
    ):
        _keep(f"{name}, worst seed", max(values), unit, -ceiling, _each(values))


def _each(values: list[float]) -> str:
    return "by seed: " + ", ".join(f"{value:.3f}" for value in values)


def _keep(name: str, value: float, unit: str, goal: float, note: str = "") -> None:
    """A positive goal is a floor, a negative one a ceiling."""
    reached = value >= goal if goal >= 0 else value <= -goal
    record(
        f"generate, demo world: {name}",
        value,
        unit,
        f"{'>=' if goal >= 0 else '<='} {abs(goal)}",
        reached,
        COMMAND,
        note,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--work", type=Path, default=BUILD / "generate_quality", help="scratch folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
