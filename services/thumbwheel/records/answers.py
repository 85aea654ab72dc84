"""What a policy has said, and how likely that was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from thumbwheel.records.versions import Channel, VersionRef

ROLES: Final = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, `role` one of `ROLES`. A bare prompt is a single message of role `""`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class GenerateAnswer:
    """A logged text answer: what was asked, what was sampled, and how likely each token was."""

    messages: tuple[Message, ...]
    text: str
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    finish_reason: str
    candidate: int
    candidates: int


@dataclass(frozen=True, slots=True)
class ClassifyAnswer:
    """A logged label: the text, the label served, and the probability of every label as served."""

    text: str
    label_index: int
    label: str
    probabilities: tuple[float, ...]
    probability_floor: float
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TagAnswer:
    """Logged tags: the text, its words, the tag served for each, and the probability of every tag of every word.

    `starts` and `ends` are code points of each of `tokens` in `text`. `tag_indices` index `labels`; `probabilities`
    are as served, row by row, tokens x labels.
    """

    text: str
    tokens: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    tag_indices: tuple[int, ...]
    probabilities: tuple[float, ...]
    probability_floor: float
    labels: tuple[str, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """The served tag of each token."""
        return tuple(self.labels[index] for index in self.tag_indices)

    @property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """Each token's probabilities, in the order of `labels`."""
        width = len(self.labels)
        return tuple(self.probabilities[at * width : (at + 1) * width] for at in range(len(self.tokens)))


Answer = GenerateAnswer | ClassifyAnswer | TagAnswer
"""What a policy of any kind has said."""


@dataclass(frozen=True, slots=True)
class LoggedResponse:
    """An answer as the store keeps it.

    `not_learnable` is empty, or says why the policy must not learn from it as from a draw of its own: no importance
    ratio, not held likely. A reward model may still read how it was rated.
    """

    response_id: str
    request_id: str
    ref: VersionRef
    channel: Channel
    tenant: str
    user_hash: str
    client_request_id: str
    time_us: int
    not_learnable: str
    answer: Answer
