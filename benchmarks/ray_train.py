"""Episodes a second of PPO with one worker and with two on Ray Train, and what Ray takes to begin.

    python benchmarks/ray_train.py [--iterations 8] [--turns 2]

The demo's size: a policy of 2 layers, 128 wide, replies of at most 64 tokens, 128 episodes a round. The work is that
of a run's `fit` and `improve` steps, by the code that runs do it with; the first round is left out. Turns of one and of
two workers follow each other, in one run; the ratio is of their medians.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

import torch

from record import record
from small_policies import write_small_causal
from thumbwheel.config.settings import Learn, Settings
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.prompt import encode_prompt, end_token_id
from thumbwheel.ppo.generate.rollout import Sampling, sample_replies
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.records import Message, PolicyKind
from thumbwheel.retrain.crew import run_work
from thumbwheel.retrain.learn_generate import improve_work
from thumbwheel.retrain.learner import Job
from thumbwheel.retrain.plan import Plan
from thumbwheel.retrain.reward_step import fit_work
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.reward.rated_reply import RatedReply
from thumbwheel.simulate.helpdesk import reply_questions
from thumbwheel.simulate.world import World

VOTES = 600


@dataclass
class Turn:
    """What one turn took: seconds until the first round was done, and until each after it."""

    workers: int
    began_s: float = field(default_factory=time.perf_counter)
    fit_s: float = 0.0
    rounds_s: list[float] = field(default_factory=list)

    def tell(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        self.rounds_s.append(time.perf_counter())
        print(f"  {self.workers} workers, round {done} of {total}", flush=True)

    def episodes_per_s(self, episodes: int) -> float:
        return episodes * (len(self.rounds_s) - 1) / (self.rounds_s[-1] - self.rounds_s[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--turns", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    settings = PpoSettings(iterations=asked.iterations)
    with tempfile.TemporaryDirectory() as folder:
        champion = write_small_causal(Path(folder) / "champion", seed=0)
        rows = rated(champion)
        turns = [
            learn(Path(folder), champion, rows, settings, workers) for _ in range(asked.turns) for workers in (1, 2)
        ]
    tell(turns, settings)


def rated(champion: Path) -> list[RatedReply]:
    """Replies of the policy and thumbs by chance: how long learning takes does not depend on what is learned."""
    policy, rng = load_causal(champion), Random(0)
    asked = [question.text for question in islice(reply_questions(World(), rng), VOTES)]
    prompts = [tuple(encode_prompt(policy.tokenizer, [Message("user", text)], 200)) for text in asked]
    sampling = Sampling(end_token_id(policy.tokenizer))
    replies = sample_replies(policy.model, prompts, sampling, torch.Generator().manual_seed(0))
    pairs = zip(prompts, replies, strict=True)
    return [RatedReply(prompt, tuple(reply), float(rng.random() < 0.5)) for prompt, reply in pairs]


def learn(folder: Path, champion: Path, rows: list[RatedReply], settings: PpoSettings, workers: int) -> Turn:
    learned = Settings(home=folder, learn=Learn(workers=workers))
    plan = Plan("run", "desk", PolicyKind.GENERATE, "v1", ("v1",), 0, 0, 0, learned)
    run, turn = RunFolder(folder / f"run-{workers}"), Turn(workers)
    job = Job(plan, run, Snapshot(run.snapshot), champion, turn.tell)
    run_work(job, partial(fit_work, rows=rows, seed=0), run.fit)
    turn.fit_s = time.perf_counter() - turn.began_s
    turn.began_s = time.perf_counter()
    prompts, liked = [row.prompt_ids for row in rows], [row for row in rows if row.target > 0.5]
    work = partial(improve_work, prompts=prompts, liked=liked, seed=0, settings=settings)
    run_work(job, work, run.candidate)
    run.clear_checkpoint()
    return turn


def tell(turns: list[Turn], settings: PpoSettings) -> None:
    speeds: dict[int, float] = {}
    print("| workers | episodes/s | fit s | first round after s |\n|---|---|---|---|")
    for workers in (1, 2):
        of_these = [turn for turn in turns if turn.workers == workers]
        speeds[workers] = median(turn.episodes_per_s(settings.episodes) for turn in of_these)
        first_s = median(turn.rounds_s[0] - turn.began_s for turn in of_these)
        fit_s = median(turn.fit_s for turn in of_these)
        print(f"| {workers} | {speeds[workers]:.1f} | {fit_s:.1f} | {first_s:.1f} |")
        begins = f"fit took {fit_s:.0f} s, the first round came after {first_s:.0f} s"
        record(
            f"PPO generate, episodes/s, {workers} Ray workers" if workers > 1 else "PPO generate, episodes/s, 1 worker",
            speeds[workers],
            "episodes/s",
            "stated",
            True,
            "python benchmarks/ray_train.py",
            begins,
        )
    record(
        "PPO generate, episodes/s, 2 Ray workers / 1 worker",
        speeds[2] / speeds[1],
        "ratio",
        "stated",
        True,
        "python benchmarks/ray_train.py",
        "2 cores, 1 thread a worker. Not twice: on each core a step still costs what no worker saves (Adam, the sum of "
        "gradients, decoding token by token, which half as many rows hardly shorten), and both cores share memory and "
        "cache with the process that drives them",
    )


if __name__ == "__main__":
    main()
