"""Replies as users corrected them, in the tokens of a policy."""

from __future__ import annotations

from dataclasses import dataclass

from thumbwheel.policy.loading import CausalPolicy
from thumbwheel.policy.prompt import encode_reply
from thumbwheel.records import Feedback, FeedbackKind, GenerateAnswer


@dataclass(slots=True)
class Corrections:
    """Makes a policy's tokens of corrections; `too_long` counts those that were longer than the policy reads."""

    policy: CausalPolicy
    too_long: int = 0

    def reply_ids(self, answer: GenerateAnswer, vote: Feedback) -> tuple[int, ...]:
        """The tokens of what a user wrote in place of a reply, end token last; outer blanks are no part of it.

        None where the vote is no edit, where it says nothing or what the reply says, and where it is too long: prompt
        and correction together must fit into the policy's positions.
        """
        text = vote.edit.text.strip() if vote.kind is FeedbackKind.EDIT and vote.edit is not None else ""
        if not text or text == answer.text.strip():
            return ()
        ids = tuple(encode_reply(self.policy.tokenizer, text))
        if len(answer.prompt_token_ids) + len(ids) > self.policy.max_tokens:
            self.too_long += 1
            return ()
        return ids
