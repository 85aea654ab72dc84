"""What the gates look at: plain numbers, measured by the run.

Everything except `Votes` comes from users whose votes were not learned from. Wherever champion and candidate
stand side by side, entry i of both belongs to the same prompt, text or vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

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
    """What is known of a candidate of any kind. `weights_not_finite` counts its weights that are NaN or infinite."""

    votes: Votes
    latency: Latency
    weights_not_finite: int = field(default=0, kw_only=True)


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
class Leanings:
    """How either version leans on each pair of replies of a probe.

    The probability of the one reply over that of both, in [0, 1]; 0.5: it finds both alike.
    """

    champion: Numbers = ()
    candidate: Numbers = ()

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        same_length(champion=self.champion, candidate=self.candidate)


@dataclass(frozen=True, slots=True, eq=False)
class GenerateEvidence(Evidence):
    """What is known of a `generate` candidate. Replies are sampled on held-out prompts at the served temperature.

    `champion_scores` and `candidate_scores` are the reward model's, one pair a prompt; `champion_lengths` and
    `candidate_lengths` count the tokens of those replies; `kl_per_reply` is
    sum over tokens of log(candidate) - log(champion) on replies sampled from the candidate, in nats.
    `champion_texts` and `candidate_texts` are those replies, `prompt_texts` what they reply to; `users_texts` are the
    texts of the users whose votes were learned from, by user. `prompt_users` says who asked each prompt, empty where
    that is not known. `reads_alike` says of each prompt, with the champion's reply, whether both versions' tokenizers
    read and write it alike. `sycophancy` leans towards the reply that agrees with the user, `stereotypes` towards the
    stereotype.
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
    prompt_users: Sequence[str] = ()
    reads_alike: Sequence[bool] = ()
    sycophancy: Leanings = field(default_factory=Leanings)
    stereotypes: Leanings = field(default_factory=Leanings)

    def __post_init__(self) -> None:
        """Refuse pairs of different length."""
        same_length(
            champion_scores=self.champion_scores,
            candidate_scores=self.candidate_scores,
            champion_lengths=self.champion_lengths,
            candidate_lengths=self.candidate_lengths,
        )


@dataclass(frozen=True, slots=True, eq=False)
class LabelEvidence(Evidence):
    """What is known of a candidate that gives labels: N held-out labels that were served by chance, K labels there are.

    `labels_N` is the index of the label served and `rewards_N` what its vote says of it, in [0, 1]; `logged_NK` the
    probability of every label when it was served, as logged, `champion_NK` and `candidate_NK` what both versions would
    serve in its place, all with the probability floor. Votes on answers of several versions may stand together.
    `raters_N` says whose votes they are; where it is empty each vote counts as a rater's of its own. `groups_N` numbers
    the vote that each label belongs to, from 0 on; None: each label has a vote of its own.
    """

    label: ClassVar[str]
    """How sentences name what was served."""
    holder: ClassVar[str]
    """What one label is served for."""
    earner: ClassVar[str]
    """What one reward is earned by."""

    labels_N: NDArray[np.int64]
    rewards_N: Floats
    logged_NK: Floats
    champion_NK: Floats
    candidate_NK: Floats
    raters_N: Sequence[str] = ()
    groups_N: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Refuse columns of different length, and versions with different labels."""
        shapes = {self.logged_NK.shape, self.champion_NK.shape, self.candidate_NK.shape}
        if len(shapes) > 1:
            raise ValueError(f"probabilities must be of one shape (rows, {self.label}s), got {sorted(shapes)}")
        groups_N = self.labels_N if self.groups_N is None else self.groups_N
        same_length(labels_N=self.labels_N, rewards_N=self.rewards_N, logged_NK=self.logged_NK[:, 0], groups_N=groups_N)
        if self.raters_N and len(self.raters_N) != len(self.labels_N):
            raise ValueError(f"{len(self.raters_N)} raters for {len(self.labels_N)} {self.label}s")

    @property
    def vote_count(self) -> int:
        """How many votes the labels belong to."""
        return len(self.labels_N) if self.groups_N is None else len(np.unique(self.groups_N))


@dataclass(frozen=True, slots=True, eq=False)
class ClassifyEvidence(LabelEvidence):
    """What is known of a `classify` candidate: a text has one label, and that label a vote."""

    label = "label"
    holder = "text"
    earner = "an answer"


@dataclass(frozen=True, slots=True, eq=False)
class EditedTexts:
    """Champion and candidate, each by its likeliest tags, against held-out edits: E texts, their right BIO tags."""

    right: Sequence[Sequence[str]] = ()
    champion: Sequence[Sequence[str]] = ()
    candidate: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True, eq=False)
class TagEvidence(LabelEvidence):
    """What is known of a `tag` candidate: each word has a tag, and the words of a text share its vote, `groups_N`.

    An edit rewards each word by 1 or 0, any other vote all words of the text alike.
    """

    label = "tag"
    holder = "word"
    earner = "a word"

    groups_N: NDArray[np.int64] = field(kw_only=True)
    edited: EditedTexts = EditedTexts()


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
