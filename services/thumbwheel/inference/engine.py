"""What serves a version: the engine of each kind, as the servicer and the swap see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from thumbwheel.inference.sampling import Finish, Sampling
from thumbwheel.records import Message, PolicyKind


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What an engine takes and gives. Fields that don't belong to its kind are 0 or empty."""

    max_input_tokens: int = 0
    max_new_tokens: int = 0
    labels: tuple[str, ...] = ()
    probability_floor: float = 0.0


@dataclass(frozen=True, slots=True)
class Generated:
    """A finished candidate. `logprobs[i]` is of `token_ids[i]`, full softmax at the served temperature, in nats."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish


@dataclass(frozen=True, slots=True)
class Progress:
    """News of one candidate: text that was added, and the whole of it once it is finished."""

    candidate: int
    delta: str
    finished: Generated | None = None


class Drawing(Protocol):
    """The candidates of one request while they are drawn: an iterable of their progress."""

    @property
    def tokens(self) -> int:
        """How many tokens were drawn so far, of all candidates, whether or not there was progress with them yet."""

    def __aiter__(self) -> AsyncIterator[Progress]:
        """Begin to read."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A served label. `probabilities[k]` is of label k, as it was drawn from; `sampled` is False for an argmax."""

    label_index: int
    probabilities: tuple[float, ...]
    sampled: bool


@dataclass(frozen=True, slots=True)
class Tagged:
    """Served tags, one a word. `probabilities`, row by row (words x tags), are as they were drawn from."""

    tag_indices: tuple[int, ...]
    probabilities: tuple[float, ...]
    sampled: bool


class Engine(Protocol):
    """A loaded and warm version."""

    @property
    def kind(self) -> PolicyKind:
        """What it does."""

    @property
    def limits(self) -> EngineLimits:
        """What it takes and gives."""

    @property
    def healthy(self) -> bool:
        """False once it can't compute any more and has to be loaded anew."""

    async def close(self) -> None:
        """Stop computing and free the memory. Requests still in it fail."""


class GenerateEngine(Engine, Protocol):
    """Engine of a `generate` policy."""

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt's token ids. Raises InvalidInput, also when the prompt is too long."""

    def generate(
        self, prompt_ids: Sequence[int], sampling: Sampling, candidates: int, stream: bool
    ) -> AbstractAsyncContextManager[Drawing]:
        """Draw `candidates` answers; leaving the context stops those that are not finished.

        With `stream` there is progress as text is made, else one for each finished candidate.

        Raises:
            Overloaded: the queue is full.
            Unavailable: the engine stops.
        """


class ClassifyEngine(Engine, Protocol):
    """Engine of a `classify` policy."""

    async def classify(self, text: str, greedy: bool) -> Labelled:
        """Serve one label. Cancelling the call takes the text out of the queue.

        Raises:
            InvalidInput: the text has too many tokens.
            Overloaded: the queue is full.
            Unavailable: the engine stops.
        """


class TagEngine(Engine, Protocol):
    """Engine of a `tag` policy."""

    async def tag(self, words: Sequence[str], greedy: bool) -> Tagged:
        """Serve a tag for each word. Cancelling the call takes the text out of the queue.

        Raises:
            InvalidInput: too many words or tokens.
            Overloaded: the queue is full.
            Unavailable: the engine stops.
        """
