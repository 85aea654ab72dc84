"""The demo world's intents: how much of what true labels would teach do thumbs teach?

    python benchmarks/classify_demo.py

Prints held-out accuracy after every round of votes, and a table: the first policy, PPO on votes, supervision on the
thumbs-up alone, and the same network when it is told every true label of the same rows.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from random import Random

import torch
from transformers.utils import logging

from classify_rounds import METHODS, Experiment, accuracy
from record import record
from thumbwheel.ppo.classify import ClassifyPpoSettings
from thumbwheel.pretrain.classify import ClassifyRecipe
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.simulate.users import SimulatedUser
from thumbwheel.simulate.world import World

GOAL = 0.9
HELD_OUT = 1000


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    world, rng = World(options.seed), Random(f"rows {options.seed}")
    messages = [world.message(rng) for _ in range(options.rows + HELD_OUT)]
    rows = [LabelledText(message.text, message.intent) for message in messages]
    with tempfile.TemporaryDirectory(prefix="thumbwheel-demo-") as work:
        experiment = Experiment(
            train=rows[HELD_OUT:],
            held_out=rows[:HELD_OUT],
            work=Path(work),
            rounds=options.votes // options.votes_a_round,
            votes_a_round=options.votes_a_round,
            user=SimulatedUser(noise=options.noise),
            settings=ClassifyPpoSettings(),
            recipe=ClassifyRecipe(labels_per_class=options.labels_per_class, seed=options.seed),
        )
        _run(experiment, options)


def _run(experiment: Experiment, options: argparse.Namespace) -> None:
    first = experiment.first()
    start = accuracy(first, experiment.held_out)
    print(f"first policy, {options.labels_per_class} labels a class: {start:.3f}", flush=True)
    ends = {method: experiment.learn(method, first, lambda line: print(line, flush=True))[-1] for method in METHODS}
    everything = experiment.all_labels()
    print("\n| policy | held-out accuracy | of what all labels reach |\n|---|---|---|")
    for name, reached in (
        (f"first policy, {options.labels_per_class} labels a class", start),
        (f"PPO on {options.votes} votes, {options.noise:.0%} wrong", ends["ppo"]),
        ("supervised on the thumbs-up of as many votes", ends["thumbs-up"]),
        (f"told all true labels of {options.rows} rows", everything),
    ):
        print(f"| {name} | {reached:.3f} | {reached / everything:.3f} |")
    record(
        "classify: demo world, thumbs against all true labels",
        ends["ppo"] / everything,
        "ratio of accuracies",
        f">= {GOAL}",
        ends["ppo"] >= GOAL * everything,
        "python benchmarks/classify_demo.py",
        f"accuracy {start:.3f} to {ends['ppo']:.3f} by {options.votes} votes, {options.noise:.0%} wrong; "
        f"all true labels of the same {options.rows} rows {everything:.3f}; thumbs-up alone {ends['thumbs-up']:.3f}",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000, help="messages users ask about")
    parser.add_argument("--votes", type=int, default=6000)
    parser.add_argument("--votes-a-round", type=int, default=1000)
    parser.add_argument("--labels-per-class", type=int, default=5)
    parser.add_argument("--noise", type=float, default=0.1, help="share of thumbs that are wrong")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
