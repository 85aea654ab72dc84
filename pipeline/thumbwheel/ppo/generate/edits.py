"""Replies as users corrected them: what the policy should have said, for those who let it learn from that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.records import GenerateAnswer
from thumbwheel.reward.correction import Corrections


@dataclass(frozen=True, slots=True)
class EditedReply:
    """The tokens of a prompt, and those of the reply that a user wrote in place of the one served, end token last."""

    prompt_ids: tuple[int, ...]
    reply_ids: tuple[int, ...]


def edited_replies(rows: Iterable[SnapshotRow], corrections: Corrections) -> list[EditedReply]:
    """Return every correction that can be read, in the snapshot's order."""
    return [
        EditedReply(answer.prompt_token_ids, corrected)
        for row in rows
        if isinstance(answer := row.response.answer, GenerateAnswer) and answer.prompt_token_ids
        for vote in row.votes
        if (corrected := corrections.reply_ids(answer, vote))
    ]
