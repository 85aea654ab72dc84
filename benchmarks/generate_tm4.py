"""`generate` on real dialogues: a first policy from human-written coffee orders, thumbs by a stated rule.

    python benchmarks/generate_tm4.py --data FOLDER

The rule depends on where the dialogue stands. A user is pleased by a finished sentence of at most 15 words, all of
them words that the clerks of the corpus use (five times or more), none twice in a row, that

- asks something back, as long as the order is being taken;
- says when it comes (ready, minute, minutes, moment, soon, shortly) and asks nothing, once the customer has confirmed.

One vote in ten is the opposite.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random

import torch

from generate_trial import Outcome, Question, Trial
from record import BUILD, record
from thumbwheel.policy.prompt import encode_prompt
from thumbwheel.ppo.generate.settings import PpoSettings
from thumbwheel.pretrain.corpus import Chat, read_chats
from thumbwheel.pretrain.generate import FirstPolicySettings
from thumbwheel.pretrain.tokenizer import train_tokenizer

COMMAND = "python benchmarks/generate_tm4.py --data FOLDER"
GOAL = 0.15
RULE = (
    "rule: a finished sentence of at most 15 words clerks use, none twice in a row, that asks back while the order is "
    "taken and says when it comes once it is confirmed"
)
MOST_WORDS = 15
MOST_WORDS_OF_ASSENT = 8
LEAST_USES = 5
MOST_PROMPT_TOKENS = 120
TIME_WORDS = frozenset(("ready", "minute", "minutes", "moment", "soon", "shortly"))
ASSENT = frozenset(("yes", "yeah", "yep", "yup", "correct", "right", "perfect", "sure", "great", "good"))


@dataclass(frozen=True)
class Rule:
    """What pleases, given the words clerks use."""

    clerks_words: frozenset[str]

    def quality(self, asked: Chat, reply: str) -> float:
        """1 if the reply pleases, else 0."""
        words = _words(reply)
        sound = reply.endswith((".", "?", "!")) and 0 < len(words) <= MOST_WORDS and self.clerks_words.issuperset(words)
        stutters = any(word == after for word, after in pairwise(words))
        return float(sound and not stutters and _fits(asked, words, asks=reply.endswith("?")))


def rule_of(chats: Sequence[Chat]) -> Rule:
    """The rule with the words of the clerks in `chats`."""
    uses = Counter(word for chat in chats for turn in chat if turn.role == "assistant" for word in _words(turn.content))
    return Rule(frozenset(word for word, count in uses.items() if count >= LEAST_USES))


def _fits(asked: Chat, words: list[str], *, asks: bool) -> bool:
    """Whether the reply does what is due at this turn."""
    last = _words(asked[-1].content)
    confirmed = len(asked) > 1 and len(last) <= MOST_WORDS_OF_ASSENT and not ASSENT.isdisjoint(last)
    return (not asks and not TIME_WORDS.isdisjoint(words)) if confirmed else asks


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def questions(chats: Sequence[Chat], rule: Rule) -> list[Question]:
    """One question for each assistant turn whose context is short enough."""
    size = FirstPolicySettings()
    texts = (turn.content for chat in chats for turn in chat)
    tokenizer = train_tokenizer(texts, size.vocabulary, size.max_tokens, chat=True)
    found = []
    for chat in chats:
        for i, turn in enumerate(chat):
            if turn.role == "assistant" and i and len(encode_prompt(tokenizer, chat[:i], 10_000)) <= MOST_PROMPT_TOKENS:
                found.append(Question(chat[:i], partial(rule.quality, chat[:i]), turn.content))
    return found


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    chats = read_chats(options.data / "tm4_dialogs" / "corpus.txt")
    Random(f"split {options.seed}").shuffle(chats)
    train_chats = chats[len(chats) // 8 :]
    rule = rule_of(train_chats)
    held_out, train = questions(chats[: len(chats) // 8], rule), questions(train_chats, rule)

    def ask(count: int, rng: Random) -> list[Question]:
        return rng.choices(train, k=count) if count > options.held_out else rng.choices(held_out, k=count)

    options.work.mkdir(parents=True, exist_ok=True)
    settings = PpoSettings(max_new_tokens=40)
    trial = Trial(options.work, options.seed, train_chats, ask, held_out=options.held_out, settings=settings)
    _tell(trial.run(), sum(question.quality(question.good_reply) for question in held_out) / len(held_out))


def _tell(outcome: Outcome, human: float) -> None:
    rates = {
        "first policy": outcome.first,
        "supervised on thumbs-up": outcome.supervised,
        "PPO": outcome.ppo,
        "best of 8": outcome.best_of_8,
        "the corpus itself": human,
    }
    print("\n| replies of | thumbs-up rate |\n|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.3f} |")
    drift = f"KL {outcome.kl:.2f} nats a reply; perplexity of the corpus's replies {outcome.good_text:.3f} times, "
    drift += f"of its customers' text {outcome.customers_text:.3f} times (the demo world is held to 1.05, this is not)"
    print(drift)
    lift = outcome.ppo - outcome.first
    note = "; ".join((", ".join(f"{name} {rate:.3f}" for name, rate in rates.items()), drift, RULE))
    record(
        "generate, tm4 dialogues: rise of the thumbs-up rate", lift, "of 1", f">= {GOAL}", lift >= GOAL, COMMAND, note
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds tm4_dialogs/corpus.txt")
    parser.add_argument("--work", type=Path, default=BUILD / "generate_tm4", help="scratch folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    main()
