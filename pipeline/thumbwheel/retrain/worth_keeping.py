"""Texts on which forgetting is measured: a policy brings them along, or held-out votes say what they are.

Replies people liked and what customers write are kept apart: a policy may forget one and keep the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import InvalidInput
from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import encode_prompt, encode_reply
from thumbwheel.policy.scoring import score_replies
from thumbwheel.pretrain.corpus import Chat, read_chats
from thumbwheel.records import GenerateAnswer

# Beside a version's weights: chats with replies worth keeping, handed on from version to version.
WORTH_KEEPING_FILE = "worth_keeping.jsonl"
MOST_TEXTS = 300

TokenIds = Sequence[int]


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens to be scored, after the tokens they follow."""

    before: TokenIds
    text: TokenIds


@dataclass(frozen=True, slots=True)
class WorthKeeping:
    """Replies that are good, and what customers write; at most `MOST_TEXTS` of each."""

    good_replies: Sequence[Passage]
    customer_texts: Sequence[Passage]


def worth_keeping(champion: Path, tokenizer: PreTrainedTokenizerBase, held_out: Iterable[SnapshotRow]) -> WorthKeeping:
    """From the file beside the champion's weights; without one, held-out questions and the replies with a thumb up."""
    if (champion / WORTH_KEEPING_FILE).is_file():
        return _from_chats(read_chats(champion / WORTH_KEEPING_FILE), tokenizer)
    return _from_votes(held_out)


def hand_on(champion: Path, candidate: Path) -> None:
    """Copy the champion's texts worth keeping, if it has any, beside the candidate's weights."""
    if (champion / WORTH_KEEPING_FILE).is_file():
        shutil.copyfile(champion / WORTH_KEEPING_FILE, candidate / WORTH_KEEPING_FILE)


def nats(policy: CausalPolicy, passages: Sequence[Passage]) -> list[float]:
    """Negative log-likelihood of each passage, in nats."""
    scores = score_replies(policy.model, [p.before for p in passages], [p.text for p in passages])
    return [-sum(row) for row in scores]


def _from_chats(chats: Iterable[Chat], tokenizer: PreTrainedTokenizerBase) -> WorthKeeping:
    replies: list[Passage] = []
    customers: list[Passage] = []
    for chat in chats:
        asked, reply = (chat[:-1], chat[-1]) if chat[-1].role == "assistant" else (chat, None)
        try:
            prompt = encode_prompt(tokenizer, asked, tokenizer.model_max_length)
        except InvalidInput:
            continue  # longer than the policy reads
        customers.append(_customer(prompt))
        if reply:
            replies.append(Passage(prompt, encode_reply(tokenizer, reply.content)))
    return WorthKeeping(replies[:MOST_TEXTS], _worth_scoring(customers))


def _from_votes(rows: Iterable[SnapshotRow]) -> WorthKeeping:
    replies: list[Passage] = []
    customers: dict[tuple[int, ...], Passage] = {}
    for row in rows:
        answer = row.response.answer
        assert isinstance(answer, GenerateAnswer)
        customers.setdefault(answer.prompt_token_ids, _customer(answer.prompt_token_ids))
        if answer.token_ids and any(vote.thumb_up for vote in row.votes):
            replies.append(Passage(answer.prompt_token_ids, answer.token_ids))
    return WorthKeeping(replies[:MOST_TEXTS], _worth_scoring(customers.values()))


def _customer(prompt: TokenIds) -> Passage:
    """The prompt itself, scored from its second token on."""
    return Passage(prompt[:1], prompt[1:])


def _worth_scoring(passages: Iterable[Passage]) -> list[Passage]:
    return [passage for passage in passages if passage.text][:MOST_TEXTS]
