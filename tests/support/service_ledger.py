"""Clients that keep a ledger of what a service acknowledged, and the books of its store to hold against it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, func, select

from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.database import schema
from thumbwheel.database.engine import connect
from thumbwheel.database.transactions import reading
from thumbwheel.errors import ThumbwheelError

CALLERS = 8
FREE_PORTS = {"serve.port": 0, "serve.admin_port": 0, "serve.web_port": 0}
_LOOK_S = 0.05


@dataclass
class Acknowledged:
    """What clients were told: ids of votes that got OK, ids of answers that were said to be logged."""

    votes: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refusals: list[ThumbwheelError] = field(default_factory=list)


async def ask_and_vote(target: str, told: Acknowledged, votes: int, then: Callable[[], None] | None = None) -> None:
    """Ask and vote from many callers until `votes` more are acknowledged; `then` is called while others are under way.

    A caller ends with the first refusal.
    """
    wanted = len(told.votes) + votes
    async with AsyncClient(target, retry=RetryPolicy(attempts=1), timeout_s=5.0) as client:

        async def caller(user: str) -> None:
            while len(told.votes) < wanted:
                try:
                    answer = await client.classify("where is my parcel", "topics", user=user)
                    told.answers.append(answer.response_id)
                    told.votes.append(await answer.thumbs_up())
                except ThumbwheelError as error:
                    told.refusals.append(error)
                    return
                if len(told.votes) == wanted and then is not None:
                    then()

        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(caller(f"user-{number}"))


async def wait_until_serving(target: str) -> None:
    """Return once every policy is served."""
    async with AsyncClient(target) as client:
        while not all(one.served for one in await client.describe()):
            await asyncio.sleep(_LOOK_S)


def wait_until_ingested(target: str) -> int:
    """Return how many dead letters there are once everything acknowledged is in the store."""
    with AdminClient(target) as admin:
        while (status := admin.status()).log_backlog_events or status.orphan_votes or status.log_problem:
            time.sleep(_LOOK_S)
        return status.dead_letters


def demand_home_balance(home: Path, told: Acknowledged) -> None:
    """Hold the books of the store in a home against the ledger."""
    engine = connect(f"sqlite:///{home}/store.sqlite")
    try:
        demand_balance(engine, told)
    finally:
        engine.dispose()


def demand_balance(books: Engine, told: Acknowledged) -> None:
    """Hold the store's books against the ledger: everything acknowledged is there, each once."""
    with reading(books) as store:
        votes = Counter(store.scalars(select(schema.feedback_events.c.feedback_id)))
        answers = Counter(store.scalars(select(schema.responses.c.response_id)))
        current = store.scalar(select(func.count()).select_from(schema.current_votes))
        letters = store.scalars(select(schema.dead_letters.c.reason)).all()
        waiting = store.scalars(select(schema.orphans.c.response_id)).all()
    elsewhere = f"dead letters: {letters}; votes that wait for their answer: {waiting}"
    assert [(vote, votes[vote]) for vote in told.votes if votes[vote] != 1] == [], elsewhere
    assert [(answer, answers[answer]) for answer in told.answers if answers[answer] != 1] == [], elsewhere
    assert max(votes.values()) == max(answers.values()) == 1
    assert current == len(votes)
