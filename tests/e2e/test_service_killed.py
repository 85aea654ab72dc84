"""The service is killed in the middle of bursts of votes: what it acknowledged is there once, and it starts again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from live_service import make_policies

from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.errors import ThumbwheelError
from thumbwheel.simulate.service import ServiceProcess

KILLS = 20
CALLERS = 8
FREE_PORTS = {"serve.port": 0, "serve.admin_port": 0, "serve.web_port": 0}


class Acknowledged:
    """What clients were told: ids of votes that got OK, ids of answers that were said to be logged."""

    def __init__(self) -> None:
        self.votes: list[str] = []
        self.answers: list[str] = []


async def burst(target: str, told: Acknowledged, service: ServiceProcess, votes: int) -> None:
    """Ask and vote from many callers; after `votes` acknowledged ones, while others are under way, kill."""
    wanted = len(told.votes) + votes
    async with AsyncClient(target, retry=RetryPolicy(attempts=1), timeout_s=5.0) as client:

        async def caller(user: str) -> None:
            while service.pid:
                try:
                    answer = await client.classify("where is my parcel", "topics", user=user)
                    told.answers.append(answer.response_id)
                    told.votes.append(await answer.thumbs_up())
                except ThumbwheelError:
                    return
                if len(told.votes) == wanted:
                    service.kill()

        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(caller(f"user-{number}"))


async def wait_until_serving(target: str) -> None:
    async with AsyncClient(target) as client:
        while not all(one.served for one in await client.describe()):
            await asyncio.sleep(0.05)


def wait_until_ingested(target: str) -> int:
    with AdminClient(target) as admin:
        while (status := admin.status()).log_backlog_events or status.orphan_votes:
            pass
        return status.dead_letters


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_acknowledged_votes_survive_kills(tmp_path: Path) -> None:
    home, told, rng = tmp_path / "home", Acknowledged(), Random(20)
    home.mkdir()
    make_policies(home)
    for _ in range(KILLS):
        service = ServiceProcess(home, {**FREE_PORTS, "feedback.max_per_rater_per_minute": 100_000})
        with service:
            asyncio.run(wait_until_serving(service.addresses["grpc"]))
            asyncio.run(burst(service.addresses["grpc"], told, service, rng.randint(1, 120)))
    with ServiceProcess(home, FREE_PORTS) as last:
        dead_letters = wait_until_ingested(last.addresses["admin"])
    with sqlite3.connect(home / "store.sqlite") as store:
        votes = Counter(row[0] for row in store.execute("SELECT feedback_id FROM feedback_events"))
        answers = Counter(row[0] for row in store.execute("SELECT response_id FROM responses"))
        current = store.execute("SELECT count(*) FROM current_votes").fetchone()[0]
    assert len(told.votes) >= KILLS
    assert not [vote for vote in told.votes if votes[vote] != 1]
    assert not [answer for answer in told.answers if answers[answer] != 1]
    assert max(votes.values()) == max(answers.values()) == 1
    assert current == len(votes)
    assert dead_letters == 0
