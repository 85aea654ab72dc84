"""A user's own labelled file: from a few labels a class to a good classifier by thumbs alone.

    python benchmarks/classify_banking77.py --data ../shared/data

Prints held-out accuracy after every round of votes, and a table: the first policy, PPO on votes, supervision on the
thumbs-up alone, and the same network when it is told every true label.
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
from thumbwheel.ppo.vote_training import VoteTrainingSettings
from thumbwheel.pretrain.classify import ClassifyRecipe
from thumbwheel.pretrain.corpus import read_labelled
from thumbwheel.simulate.users import SimulatedUser

GOAL = 0.85
MOST_VOTES = 30_000


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    rows = read_labelled(options.data / "banking77" / "train.jsonl")
    Random(f"split {options.seed}").shuffle(rows)
    held_out = len(rows) // 5
    training = VoteTrainingSettings(learning_rate=options.learning_rate)
    with tempfile.TemporaryDirectory(prefix="thumbwheel-banking77-") as work:
        experiment = Experiment(
            train=rows[held_out:],
            held_out=rows[:held_out],
            work=Path(work),
            rounds=options.votes // options.votes_a_round,
            votes_a_round=options.votes_a_round,
            user=SimulatedUser(noise=options.noise),
            settings=ClassifyPpoSettings(training=training),
            recipe=ClassifyRecipe(labels_per_class=options.labels_per_class, seed=options.seed),
        )
        _run(experiment, options)


def _run(experiment: Experiment, options: argparse.Namespace) -> None:
    first = experiment.first()
    start = accuracy(first, experiment.held_out)
    print(f"first policy, {options.labels_per_class} labels a class: {start:.3f}", flush=True)
    ends = {method: experiment.learn(method, first, lambda line: print(line, flush=True))[-1] for method in METHODS}
    everything = experiment.all_labels()
    print("\n| policy | held-out accuracy |\n|---|---|")
    print(f"| first policy, {options.labels_per_class} labels a class | {start:.3f} |")
    print(f"| PPO on {options.votes} votes, {options.noise:.0%} wrong | {ends['ppo']:.3f} |")
    print(f"| supervised on the thumbs-up of as many votes | {ends['thumbs-up']:.3f} |")
    print(f"| told all true labels | {everything:.3f} |")
    record(
        "classify: banking77 accuracy from thumbs",
        ends["ppo"],
        "accuracy",
        f">= {GOAL} at <= {MOST_VOTES} votes",
        ends["ppo"] >= GOAL and options.votes <= MOST_VOTES,
        "python benchmarks/classify_banking77.py",
        f"first policy {start:.3f}, {options.votes} votes in rounds of {options.votes_a_round}, {options.noise:.0%} "
        f"wrong; thumbs-up alone {ends['thumbs-up']:.3f}; all true labels {everything:.3f}; seed {options.seed}",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds banking77/")
    parser.add_argument("--votes", type=int, default=MOST_VOTES)
    parser.add_argument("--votes-a-round", type=int, default=1000)
    parser.add_argument("--labels-per-class", type=int, default=5)
    parser.add_argument("--noise", type=float, default=0.1, help="share of thumbs that are wrong")
    parser.add_argument("--learning-rate", type=float, default=VoteTrainingSettings().learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
