"""PPO for `generate` beside TRL's: the same first policy, reward model, prompts, lengths, minibatches and epochs.

    make peers                               # TRL's environment, .venv-trl
    python benchmarks/ppo_vs_trl.py [--turns 2] [--iterations 20] [--peer .venv-trl/bin/python]

TRL's PPO (`trl.experimental.ppo`, last in 1.12) lives in an environment of its own, and each side runs in a process of
its own, one thread each, in turns: episodes a second and peak memory are those of training alone. What both have
learned is then looked at by the same code: the reward model's score, the world's quality, and the KL from the first
policy, of replies to prompts that neither has seen.

What differs is what each does by itself. TRL trains a second model for values, here a head on the policy's own does.
Here the terms that hold customers' text and liked replies are switched off, since TRL has none, and so is the choice
of a state on prompts set aside; the KL's coefficient is fixed on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, LlamaForSequenceClassification

from record import BUILD, record
from thumbwheel.policy.loading import CausalPolicy, load_causal
from thumbwheel.policy.prompt import decode_reply, encode_prompt, end_token_id
from thumbwheel.policy.scoring import score_replies
from thumbwheel.ppo.generate.improve import improve_generate
from thumbwheel.ppo.generate.rollout import Sampling, sample_replies
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.pretrain.generate import train_first_policy
from thumbwheel.records import Message
from thumbwheel.simulate.helpdesk import reply_questions
from thumbwheel.simulate.world import World, small_desk

COMMAND = "python benchmarks/ppo_vs_trl.py"
HERE = Path(__file__).resolve().parent
CHATS, PROMPTS, HELD_OUT, RATED = 6000, 2000, 400, 2400
ROWS = 64
SIDES = ("ours", "trl")


@dataclass(frozen=True)
class Found:
    """What one side came to in one turn."""

    side: str
    episodes_per_s: float
    peak_mib: float
    score: float
    quality: float
    kl: float


class Judge:
    """The reward model, as both sides read it: a number at the last token of prompt and reply."""

    def __init__(self, folder: Path) -> None:
        self.model = LlamaForSequenceClassification.from_pretrained(folder).eval()

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]) -> list[float]:
        rows = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
        parts = [last_score(self.model, rows[start : start + ROWS]) for start in range(0, len(rows), ROWS)]
        return [float(score) for part in parts for score in part]


def main() -> None:
    asked = _options()
    torch.set_num_threads(1)
    if asked.side:
        train_ours(asked.work, asked.seed)
        return
    prepare(asked.work, asked.iterations)
    found = [turn(asked, side, seed) for seed in range(asked.turns) for side in SIDES]
    print(_table(found))
    _record(found, asked.turns)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, default=HERE.parent / ".venv-trl/bin/python", help="TRL's interpreter")
    parser.add_argument("--work", type=Path, default=BUILD / "ppo_vs_trl", help="what is kept for another run")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not asked.side and not asked.peer.exists():
        parser.error(f"--peer: {asked.peer} is not there: `make peers` makes it")
    return asked


# --- what both start from -----------------------------------------------------------------------------------
def prepare(work: Path, iterations: int) -> None:
    """The first policy, the reward model and the prompts, made once."""
    work.mkdir(parents=True, exist_ok=True)
    world = small_desk(0)
    if not (work / "first/config.json").exists():
        train_first_policy(_chats(world), work / "first", 0)
    first = load_causal(work / "first")
    asked = _asked(world, first)
    if not (work / "reward/config.json").exists():
        fit_judge(work, first, asked[:RATED])
    settings = settings_of(iterations)
    shared = {
        "prompts": [prompt for prompt, _ in asked[:PROMPTS]],
        "end_id": end_token_id(first.tokenizer),
        "iterations": settings.iterations,
        "episodes": settings.episodes,
        "minibatch": settings.minibatch,
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "beta": settings.beta,
        "new_tokens": settings.max_new_tokens,
        "unfinished_penalty": settings.unfinished_penalty,
    }
    (work / "shared.json").write_text(json.dumps(shared))


def settings_of(iterations: int) -> PpoSettings:
    """What TRL has an equal of; a KL coefficient whose horizon is out of sight stays as it is."""
    return PpoSettings(
        iterations=iterations,
        anchor_weight=0.0,
        liked_weight=0.0,
        evaluate_every=0,
        kl_horizon=10**12,
        final_rate_share=0.0,
        max_update_kl=float("inf"),
    )


def _chats(world: World) -> list[tuple[Message, Message]]:
    rng = Random("chats")
    requests = [world.message(rng) for _ in range(CHATS)]
    return [(Message("user", one.text), Message("assistant", world.mixed_reply(one, rng))) for one in requests]


def _asked(world: World, first: CausalPolicy) -> list[tuple[list[int], Any]]:
    """Prompts, and what tells a reply's true quality."""
    questions = list(islice(reply_questions(world, Random("prompts")), RATED + HELD_OUT))
    return [(encode_prompt(first.tokenizer, [Message("user", one.text)], 190), one.quality) for one in questions]


def fit_judge(work: Path, first: CausalPolicy, asked: Sequence[tuple[list[int], Any]]) -> None:
    """Teach a copy of the first policy's body the true quality of its own replies, in deviations from their mean."""
    prompts = [prompt for prompt, _ in asked]
    replies = sample_replies(first.model, prompts, _sampling(first), torch.Generator().manual_seed(1))
    truth_B = torch.tensor(
        [quality(decode_reply(first.tokenizer, reply)) for (_, quality), reply in zip(asked, replies, strict=True)]
    )
    target_B = (truth_B - truth_B.mean()) / truth_B.std()
    config = AutoConfig.from_pretrained(work / "first", num_labels=1, pad_token_id=first.tokenizer.pad_token_id)
    torch.manual_seed(0)
    model = LlamaForSequenceClassification.from_pretrained(work / "first", config=config)
    torch.nn.init.zeros_(model.score.weight)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    rows, rng = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)], Random(0)
    for _ in range(3):
        order = rng.sample(range(len(rows)), len(rows))
        for start in range(0, len(rows), ROWS):
            chosen = order[start : start + ROWS]
            loss = F.mse_loss(last_score(model, [rows[i] for i in chosen]), target_B[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    model.save_pretrained(work / "reward")


def last_score(model: LlamaForSequenceClassification, rows: Sequence[Sequence[int]]) -> Tensor:
    """The model's number at the last token of each row, (B,)."""
    longest = max(len(row) for row in rows)
    ids_BT = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    lengths_B = torch.tensor([len(row) for row in rows])
    mask_BT = (torch.arange(longest) < lengths_B.unsqueeze(1)).long()
    hidden_BTD = model.model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    last_BD: Tensor = hidden_BTD[torch.arange(len(rows)), lengths_B - 1]
    scores_B: Tensor = model.score(last_BD).squeeze(-1)
    return scores_B


# --- the turns ----------------------------------------------------------------------------------------------
def turn(asked: argparse.Namespace, side: str, seed: int) -> Found:
    """Let one side train in a process of its own, and look at what it has learned."""
    out = asked.work / f"{side}-{seed}"
    if side == "ours":
        command = [sys.executable, __file__, "--side", "--work", str(asked.work), "--seed", str(seed)]
    else:
        command = [str(asked.peer), str(HERE / "trl_ppo.py"), str(asked.work), str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if side == "trl":
        environment.pop("PYTHONPATH", None)
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    told = json.loads((out / "told.json").read_text())
    score, quality, kl = look(asked.work, out / "policy")
    found = Found(side, told["episodes"] / told["seconds"], told["peak_mib"], score, quality, kl)
    print(_row(found), flush=True)
    return found


def train_ours(work: Path, seed: int) -> None:
    shared = json.loads((work / "shared.json").read_text())
    out = work / f"ours-{seed}"
    out.mkdir(exist_ok=True)
    settings = settings_of(shared["iterations"])
    judge = Judge(work / "reward")
    began = time.perf_counter()
    improved = improve_generate(work / "first", judge, shared["prompts"], out / "policy", seed=seed, settings=settings)
    tell(out, settings.episodes * len(improved.history), time.perf_counter() - began)


def tell(out: Path, episodes: int, seconds: float) -> None:
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (out / "told.json").write_text(json.dumps({"episodes": episodes, "seconds": seconds, "peak_mib": peak_mib}))


@torch.no_grad()
def look(work: Path, folder: Path) -> tuple[float, float, float]:
    """(reward model's score, the world's quality, KL from the first policy in nats), means over unseen prompts."""
    first, learned, judge = load_causal(work / "first"), load_causal(folder), Judge(work / "reward")
    asked = _asked(small_desk(0), first)[RATED:]
    prompts = [prompt for prompt, _ in asked]
    replies = sample_replies(learned.model, prompts, _sampling(first), torch.Generator().manual_seed(2))
    texts = [decode_reply(first.tokenizer, reply) for reply in replies]
    quality = fmean(quality(text) for (_, quality), text in zip(asked, texts, strict=True))
    own, reference = (score_replies(model, prompts, replies) for model in (learned.model, first.model))
    kl = fmean(sum(new) - sum(old) for new, old in zip(own, reference, strict=True))
    return fmean(judge(prompts, replies)), quality, kl


def _sampling(policy: CausalPolicy) -> Sampling:
    return Sampling(end_token_id(policy.tokenizer), 1.0, PpoSettings().max_new_tokens)


# --- the figures --------------------------------------------------------------------------------------------
def _table(found: Sequence[Found]) -> str:
    head = "| side | episodes/s | peak MiB | score | quality | KL, nats |\n|---|---|---|---|---|---|"
    return "\n".join([head, *(_row(one) for one in found)])


def _row(one: Found) -> str:
    figures = f"{one.episodes_per_s:.1f} | {one.peak_mib:.0f} | {one.score:.2f} | {one.quality:.3f} | {one.kl:.2f}"
    return f"| {one.side} | {figures} |"


def _record(found: Sequence[Found], turns: int) -> None:
    def mid(side: str, name: str) -> float:
        values: list[float] = [getattr(one, name) for one in found if one.side == side]
        return median(values)

    told = "; ".join(
        f"{side}: {mid(side, 'episodes_per_s'):.1f} episodes/s, {mid(side, 'peak_mib'):.0f} MiB, score "
        f"{mid(side, 'score'):.2f}, quality {mid(side, 'quality'):.3f}, KL {mid(side, 'kl'):.2f}"
        for side in SIDES
    )
    note = f"medians of {turns} turns, one thread each; {told}"
    speed = mid("ours", "episodes_per_s") / mid("trl", "episodes_per_s")
    memory = mid("ours", "peak_mib") / mid("trl", "peak_mib")
    above = mid("ours", "score") - mid("trl", "score")
    record("PPO generate beside TRL: episodes/s", speed, "ratio", ">= 3", speed >= 3, COMMAND, note)
    record("PPO generate beside TRL: peak memory", memory, "ratio", "stated", True, COMMAND, note)
    record("PPO generate beside TRL: reward model's score", above, "difference", ">= 0", above >= 0, COMMAND, note)


if __name__ == "__main__":
    main()
