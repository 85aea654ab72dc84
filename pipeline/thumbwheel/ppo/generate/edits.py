"""Replies as users corrected them: what the policy should have said, for those who let it learn from that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.policy.prompt import encode_reply
from thumbwheel.records import FeedbackKind, GenerateAnswer


@dataclass(frozen=True, slots=True)
class EditedReply:
    """The tokens of a prompt, and those of the reply that a user wrote in place of the one served, end token last."""

    prompt_ids: tuple[int, ...]
    reply_ids: tuple[int, ...]


def edited_replies(rows: Iterable[SnapshotRow], tokenizer: PreTrainedTokenizerBase) -> list[EditedReply]:
    """Return every correction with some text in it, in the snapshot's order."""
    return [
        EditedReply(answer.prompt_token_ids, tuple(encode_reply(tokenizer, vote.edit.text)))
        for row in rows
        if isinstance(answer := row.response.answer, GenerateAnswer) and answer.prompt_token_ids
        for vote in row.votes
        if vote.kind is FeedbackKind.EDIT and vote.edit is not None and vote.edit.text.strip()
    ]
