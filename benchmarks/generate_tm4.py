"""`generate` on real dialogues: a first policy from human-written coffee orders, thumbs by a stated rule.

    python benchmarks/generate_tm4.py --data ../shared/data --work /tmp/generate_tm4

The rule: a user in a hurry is pleased by a finished sentence of at most 12 words that says when the order comes
(ready, minutes, soon, shortly, moment) or asks something back. One vote in ten is the opposite.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from random import Random

import torch

from generate_trial import Question, Trial
from record import record
from thumbwheel.policy.prompt import encode_prompt
from thumbwheel.ppo.generate_settings import PpoSettings
from thumbwheel.pretrain.corpus import Chat, read_chats
from thumbwheel.pretrain.generate import FirstPolicySettings
from thumbwheel.pretrain.tokenizer import train_tokenizer

COMMAND = "python benchmarks/generate_tm4.py --data ../shared/data"
GOAL = 0.15
MOST_WORDS = 12
MOST_PROMPT_TOKENS = 120
TIME_WORDS = frozenset(("ready", "minutes", "soon", "shortly", "moment"))


def pleases(reply: str) -> float:
    words = re.findall(r"[a-z']+", reply.lower())
    short = reply.endswith((".", "?", "!")) and len(words) <= MOST_WORDS
    return float(short and (reply.endswith("?") or not TIME_WORDS.isdisjoint(words)))


def questions(chats: list[Chat]) -> list[Question]:
    """One question for each assistant turn whose context is short enough."""
    size = FirstPolicySettings()
    texts = (turn.content for chat in chats for turn in chat)
    tokenizer = train_tokenizer(texts, size.vocabulary, size.max_tokens, chat=True)
    found = []
    for chat in chats:
        for i, turn in enumerate(chat):
            if turn.role == "assistant" and i and len(encode_prompt(tokenizer, chat[:i], 10_000)) <= MOST_PROMPT_TOKENS:
                found.append(Question(chat[:i], pleases, turn.content))
    return found


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    chats = read_chats(options.data / "tm4_dialogs" / "corpus.txt")
    Random(f"split {options.seed}").shuffle(chats)
    held_out, train = questions(chats[: len(chats) // 8]), questions(chats[len(chats) // 8 :])

    def ask(count: int, rng: Random) -> list[Question]:
        return rng.choices(train, k=count) if count > options.held_out else rng.choices(held_out, k=count)

    options.work.mkdir(parents=True, exist_ok=True)
    settings = PpoSettings(max_new_tokens=40)
    trial = Trial(
        options.work, options.seed, chats[len(chats) // 8 :], ask, held_out=options.held_out, settings=settings
    )
    outcome = trial.run()
    human = sum(pleases(q.good_reply) for q in held_out) / len(held_out)
    print("\n| replies of | thumbs-up rate |\n|---|---|")
    for name, rate in (("first policy", outcome.first), ("supervised on thumbs-up", outcome.supervised)):
        print(f"| {name} | {rate:.3f} |")
    print(f"| PPO | {outcome.ppo:.3f} |\n| best of 8 | {outcome.best_of_8:.3f} |\n| the corpus itself | {human:.3f} |")
    print(f"KL {outcome.kl:.2f} nats a reply, perplexity of the corpus's replies {outcome.good_text:.3f} times")
    lift = outcome.ppo - outcome.first
    note = (
        f"{outcome.first:.3f} to {outcome.ppo:.3f}; supervised {outcome.supervised:.3f}, best of 8 "
        f"{outcome.best_of_8:.3f}; KL {outcome.kl:.2f}; rule: a finished sentence of at most {MOST_WORDS} words "
        "that says when the order comes or asks back"
    )
    record(
        "generate, tm4 dialogues: rise of the thumbs-up rate", lift, "of 1", f">= {GOAL}", lift >= GOAL, COMMAND, note
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("/tmp/thumbwheel-generate-tm4"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    main()
