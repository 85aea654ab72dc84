"""Texts on which forgetting is measured: a policy brings them along, or held-out votes say what they are.

Replies people liked and what customers write are kept apart: a policy may forget one and keep the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.errors import InvalidInput
from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import encode_prompt, encode_reply
from thumbwheel.policy.scoring import score_replies
from thumbwheel.pretrain.corpus import Chat, read_chats
from thumbwheel.records import GenerateAnswer, Split
from thumbwheel.retrain.draw import draw

# Beside a version's weights: chats with replies worth keeping, handed on from version to version.
WORTH_KEEPING_FILE = "worth_keeping.jsonl"
MOST_TEXTS = 300

TokenIds = Sequence[int]


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens to be scored, after the tokens they follow."""

    before: TokenIds
    text: TokenIds


_Passages = Sequence[tuple[Passage, bool]]


@dataclass(frozen=True, slots=True)
class WorthKeeping:
    """Replies that are good, and what customers write; at most `MOST_TEXTS` of each."""

    good_replies: Sequence[Passage]
    customer_texts: Sequence[Passage]


def worth_keeping(champion: Path, policy: CausalPolicy, votes: Snapshot, seed: str) -> WorthKeeping:
    """From the file beside the champion's weights; without one, held-out questions and the replies with a thumb up.

    Where there are too many, `seed` draws; of what was voted on, all of the newest slice is in. `policy` is the
    champion; what is longer than it reads is left out.
    """
    if (champion / WORTH_KEEPING_FILE).is_file():
        return _from_chats(read_chats(champion / WORTH_KEEPING_FILE), policy, seed)
    return _from_votes(votes, seed)


def hand_on(champion: Path, candidate: Path) -> None:
    """Copy the champion's texts worth keeping, if it has any, beside the candidate's weights."""
    if (champion / WORTH_KEEPING_FILE).is_file():
        shutil.copyfile(champion / WORTH_KEEPING_FILE, candidate / WORTH_KEEPING_FILE)


def nats(policy: CausalPolicy, passages: Sequence[Passage]) -> list[float]:
    """Negative log-likelihood of each passage, in nats."""
    scores = score_replies(policy.model, [p.before for p in passages], [p.text for p in passages])
    return [-sum(row) for row in scores]


def _from_chats(chats: Iterable[Chat], policy: CausalPolicy, seed: str) -> WorthKeeping:
    replies: list[Passage] = []
    customers: list[Passage] = []
    for chat in chats:
        asked, reply = (chat[:-1], chat[-1]) if chat[-1].role == "assistant" else (chat, None)
        try:
            prompt = encode_prompt(policy.tokenizer, asked, policy.max_tokens)
        except InvalidInput:
            continue  # longer than the policy reads
        customers.append(_customer(prompt))
        said = encode_reply(policy.tokenizer, reply.content) if reply else []
        if said and len(prompt) + len(said) <= policy.max_tokens:
            replies.append(Passage(prompt, said))
    return _drawn([(reply, False) for reply in replies], [(customer, False) for customer in customers], seed)


def _from_votes(votes: Snapshot, seed: str) -> WorthKeeping:
    replies: list[tuple[Passage, bool]] = []
    asked: dict[tuple[int, ...], bool] = {}
    for row in votes.rows(Split.HELD_OUT):
        answer, newest = row.response.answer, row.response.time_us >= votes.manifest.time_cut_us
        assert isinstance(answer, GenerateAnswer)
        asked[answer.prompt_token_ids] = newest or asked.get(answer.prompt_token_ids, False)
        if answer.token_ids and any(vote.thumb_up for vote in row.votes):
            replies.append((Passage(answer.prompt_token_ids, answer.token_ids), newest))
    return _drawn(replies, [(_customer(prompt), newest) for prompt, newest in asked.items()], seed)


def _customer(prompt: TokenIds) -> Passage:
    """The prompt itself, scored from its second token on."""
    return Passage(prompt[:1], prompt[1:])


def _drawn(replies: _Passages, customers: _Passages, seed: str) -> WorthKeeping:
    """At most `MOST_TEXTS` of both; with each passage, whether it is of the newest slice."""
    worth_scoring = [(passage, newest) for passage, newest in customers if passage.text]
    return WorthKeeping(draw(replies, MOST_TEXTS, f"replies {seed}"), draw(worth_scoring, MOST_TEXTS, f"texts {seed}"))
