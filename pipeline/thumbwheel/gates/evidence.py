"""What the gates look at: plain numbers, measured by the run.

Everything except `Votes` comes from users whose votes were not learned from. Wherever champion and candidate
stand side by side, entry i of both belongs to the same prompt, text or vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = Sequence[float] | NDArray[np.floating] | NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """The votes the candidate learned from.

    `positive` and `negative` count votes by the sign of their reward; `not_finite` counts rewards and logged
    log-probabilities that are NaN or infinite; `least` is the number of votes below which nothing is learned.
    """

    positive: int
    negative: int
    per_rater: Mapping[str, int]
    least: int
    not_finite: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Latency:
    """Least seconds each request took on both versions, on the same machine, taken in turns."""

    champion_s: Numbers
    candidate_s: Numbers

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        same_length(champion_s=self.champion_s, candidate_s=self.candidate_s)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of a candidate of any kind."""

    votes: Votes
    latency: Latency


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutVotes:
    """The reward model on held-out votes: `thumbs_up` is 1 or 0, `probabilities` what it predicted, in [0, 1]."""

    thumbs_up: Numbers
    probabilities: Numbers

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        same_length(thumbs_up=self.thumbs_up, probabilities=self.probabilities)


@dataclass(frozen=True, slots=True, eq=False)
class TextLosses:
    """Negative log-likelihood of each text under both versions, nats a text, and its length in tokens."""

    champion_nats: Numbers
    candidate_nats: Numbers
    tokens: Numbers

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        same_length(champion_nats=self.champion_nats, candidate_nats=self.candidate_nats, tokens=self.tokens)


@dataclass(frozen=True, slots=True, eq=False)
class GenerateEvidence(Evidence):
    """What is known of a `generate` candidate. Replies are sampled on held-out prompts at the served temperature.

    `champion_scores` and `candidate_scores` are the reward model's, one pair a prompt; `champion_lengths` and
    `candidate_lengths` count the tokens of those replies; `kl_per_reply` is
    sum over tokens of log(candidate) - log(champion) on replies sampled from the candidate, in nats.
    `champion_texts` and `candidate_texts` are those replies, `prompt_texts` what they reply to; `users_texts` are the
    texts of the users whose votes were learned from, by user.
    """

    reward_model: HeldOutVotes
    champion_scores: Numbers
    candidate_scores: Numbers
    champion_lengths: Numbers
    candidate_lengths: Numbers
    kl_per_reply: Numbers
    good_replies: TextLosses
    customer_texts: TextLosses
    candidate_texts: Sequence[str]
    champion_texts: Sequence[str] = ()
    prompt_texts: Sequence[str] = ()
    users_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse pairs of different length."""
        same_length(
            champion_scores=self.champion_scores,
            candidate_scores=self.candidate_scores,
            champion_lengths=self.champion_lengths,
            candidate_lengths=self.candidate_lengths,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ClassifyEvidence(Evidence):
    """What is known of a `classify` candidate: N held-out votes on labels that were served by chance, K labels.

    `labels_N` is the index of the label served and `rewards_N` its vote's reward; `logged_NK` the probability of
    every label when it was served, as logged, `champion_NK` and `candidate_NK` what both versions would serve for
    the same texts, all with the probability floor. Votes on answers of several versions may stand together.
    `raters_N` says whose votes they are; where it is empty each counts as a rater's of its own.
    """

    labels_N: NDArray[np.int64]
    rewards_N: Floats
    logged_NK: Floats
    champion_NK: Floats
    candidate_NK: Floats
    raters_N: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse columns of different length, and versions with different labels."""
        shapes = {self.logged_NK.shape, self.champion_NK.shape, self.candidate_NK.shape}
        if len(shapes) > 1:
            raise ValueError(f"probabilities must be of one shape (votes, labels), got {sorted(shapes)}")
        same_length(labels_N=self.labels_N, rewards_N=self.rewards_N, logged_NK=self.logged_NK[:, 0])
        if self.raters_N and len(self.raters_N) != len(self.labels_N):
            raise ValueError(f"{len(self.raters_N)} raters for {len(self.labels_N)} votes")


@dataclass(frozen=True, slots=True, eq=False)
class EditedTexts:
    """Champion and candidate, each by its likeliest tags, against held-out edits: E texts, their right BIO tags."""

    right: Sequence[Sequence[str]] = ()
    champion: Sequence[Sequence[str]] = ()
    candidate: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True, eq=False)
class TagEvidence(Evidence):
    """What is known of a `tag` candidate: held-out votes on P words of several texts, K labels.

    `texts_P` numbers the text (the vote) of each word, from 0 on and ascending. `rewards_P` in [0, 1] is what the vote
    says of the word: an edit 1 or 0, any other vote the reward of the whole text. The tables are as in
    `ClassifyEvidence`, with the probability floor. `raters_N`: who gave each text's vote; empty: not known.
    """

    texts_P: NDArray[np.int64]
    labels_P: NDArray[np.int64]
    rewards_P: Floats
    logged_PK: Floats
    champion_PK: Floats
    candidate_PK: Floats
    edited: EditedTexts = EditedTexts()
    raters_N: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse columns of different length, and versions with different labels."""
        shapes = {self.logged_PK.shape, self.champion_PK.shape, self.candidate_PK.shape}
        if len(shapes) > 1:
            raise ValueError(f"probabilities must be of one shape (words, labels), got {sorted(shapes)}")
        same_length(
            texts_P=self.texts_P, labels_P=self.labels_P, rewards_P=self.rewards_P, logged_PK=self.logged_PK[:, 0]
        )


def as_floats(numbers: Numbers) -> Floats:
    """The numbers as a float64 array of one dimension."""
    return np.asarray(numbers, dtype=np.float64).reshape(-1)


def same_length(**columns: Numbers) -> None:
    """Raise ValueError, naming the lengths, when the columns are not equally long."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns must be equally long, got {lengths}")


def trouble(least: int, noun: str, *columns: Numbers) -> str:
    """Why the columns can not be used: too short, or a number that is NaN or infinite. Empty when they can."""
    for column in columns:
        numbers = as_floats(column)
        if len(numbers) < least:
            return f"There are only {len(numbers)} {noun}, and it takes {least} to say anything."
        broken = int(np.count_nonzero(~np.isfinite(numbers)))
        if broken:
            return f"{broken} of {len(numbers)} {noun} gave a number that is NaN or infinite."
    return ""
