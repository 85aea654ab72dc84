"""Simulated users at the service's door: they ask over gRPC, look at the answer, and give a thumb over gRPC.

Nothing is tried again by itself, so that a dropped request is seen as one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import assert_never

from thumbwheel.client import AsyncClient
from thumbwheel.client.answers import Candidate, Classification, Tagging
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.errors import ThumbwheelError
from thumbwheel.records import PolicyKind
from thumbwheel.simulate.shown import Rater, Shown

ONE_TRY = RetryPolicy(attempts=1)

Answer = Classification[Awaitable[str]] | Candidate[Awaitable[str]] | Tagging[Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Question:
    """A text to ask, and the truth about answers to it: `quality` maps an answer (tags: with blanks) to [0, 1]."""

    text: str
    quality: Callable[[str], float]


@dataclass(slots=True)
class Tally:
    """What happened to the questions that one version answered."""

    answers: int = 0
    ups: int = 0
    downs: int = 0
    quality: float = 0.0

    @property
    def up_rate(self) -> float:
        """Share of thumbs that are up; NaN without thumbs."""
        return self.ups / (self.ups + self.downs) if self.ups + self.downs else float("nan")

    @property
    def mean_quality(self) -> float:
        """Mean true quality of the answers, in [0, 1]; NaN without answers."""
        return self.quality / self.answers if self.answers else float("nan")


class Ledger:
    """What the users were told: answers by version, votes acknowledged, requests and votes that failed."""

    def __init__(self) -> None:
        """Start empty."""
        self.by_version: defaultdict[str, Tally] = defaultdict(Tally)
        self.dropped: list[str] = []
        self.lost_votes: list[str] = []

    @property
    def acknowledged(self) -> int:
        """Votes that were answered with OK."""
        return sum(tally.ups + tally.downs for tally in self.by_version.values())

    @property
    def answered(self) -> int:
        """Requests that were answered."""
        return sum(tally.answers for tally in self.by_version.values())


class Crowd:
    """Users of one policy."""

    def __init__(
        self,
        client: AsyncClient,
        policy: str,
        kind: PolicyKind,
        questions: Iterator[Question],
        raters: Sequence[Rater],
        rng: Random,
    ) -> None:
        """Let `raters` take turns with `questions`; `rng` makes them do the same again."""
        self._client = client
        self._policy = policy
        self._kind = kind
        self._questions = questions
        self._raters = raters
        self._rng = rng
        self._asks = 0
        self._asked = 0
        self._turns: Counter[str] = Counter()

    async def ask(self, asks: int, at_once: int, ledger: Ledger, told: Callable[[], None] = lambda: None) -> None:
        """Ask `asks` questions, `at_once` at the same time, and write down in `ledger` what came of them."""
        left = iter(range(asks))
        self._asks += asks

        async def one_after_the_other() -> None:
            for _ in left:
                await self._ask_one(ledger)
                told()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(asks, at_once)):
                group.create_task(one_after_the_other())

    async def keep_asking(self, pause_s: float, ledger: Ledger, stop: asyncio.Event) -> None:
        """Ask one question after the other, with pauses, until told to stop."""
        while not stop.is_set():
            await self._ask_one(ledger)
            try:
                async with asyncio.timeout(pause_s):
                    await stop.wait()
            except TimeoutError:
                pass

    async def _ask_one(self, ledger: Ledger) -> None:
        question, rater = next(self._questions), self._rng.choice(self._raters)
        try:
            answer = await self._answer(question.text, rater.user_id)
        except ThumbwheelError as error:
            ledger.dropped.append(f"{type(error).__name__}: {error}")
            return
        tally = ledger.by_version[answer.version]
        quality = question.quality(_said(answer))
        tally.answers += 1
        tally.quality += quality
        thumb = rater.vote(self._shown(question, answer, quality, rater), self._rng)
        if not answer.receipt.logged:
            ledger.dropped.append("an answer was not logged: nobody can vote on it")
            return
        if thumb is None:
            return
        try:
            await (answer.thumbs_up() if thumb else answer.thumbs_down())
        except ThumbwheelError as error:
            ledger.lost_votes.append(f"{type(error).__name__}: {error}")
            return
        tally.ups += thumb
        tally.downs += not thumb

    def _shown(self, question: Question, answer: Answer, quality: float, rater: Rater) -> Shown:
        """What the user sees; while nobody said how many questions there will be, none of them have passed."""
        passed = min(self._asked / self._asks, 1.0) if self._asks else 0.0
        shown = Shown(quality, _said(answer), question.text, answer.version, passed, self._turns[rater.user_id])
        self._asked += 1
        self._turns[rater.user_id] += 1
        return shown

    async def _answer(self, text: str, user: str) -> Answer:
        match self._kind:
            case PolicyKind.CLASSIFY:
                return await self._client.classify(text, self._policy, user=user)
            case PolicyKind.GENERATE:
                return (await self._client.generate(text, self._policy, user=user)).first
            case PolicyKind.TAG:
                return await self._client.tag(text, self._policy, user=user)
            case _:
                assert_never(self._kind)


def total(ledgers: Mapping[str, Ledger], what: Callable[[Ledger], int]) -> int:
    """Sum a number over several ledgers."""
    return sum(what(ledger) for ledger in ledgers.values())


def _said(answer: Answer) -> str:
    match answer:
        case Classification():
            return answer.label
        case Tagging():
            return " ".join(answer.tags)
        case Candidate():
            return answer.text
