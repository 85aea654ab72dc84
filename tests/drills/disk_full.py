"""The outbox's disk is full while the broker is away: answers go on, votes are refused, what had its OK is kept."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from balance_sheet import Sheet
from books import balance
from voting import POLICY, Ledger, load
from yard import Service, Yard, kafka_settings

from thumbwheel.client import AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.errors import Unavailable

ROOM_BYTES = 400_000
UNLOGGED = 2_000
HELD_BACK = 20
_LOOK_S = 0.05
_PATIENCE_S = 180.0


def drill(yard: Yard) -> Sheet:
    broker, url = yard.broker(), yard.database(yard.postgres())
    ledger = Ledger()
    service = Service(yard.home(url), yard.flags(kafka_settings(broker), url))
    with service.running() as process:
        held_back = asyncio.run(_ask(service.target, ledger))
        with load(service.target, ledger) as voting:
            voting.wait_for(100)
            broker.kill()
            _let_files_grow_to(process.pid, _largest(service.home) + ROOM_BYTES)
            yard.say("the disk is about to be full")
            _wait_until_unlogged(ledger, yard.times(UNLOGGED))
            refused = asyncio.run(_vote(service.target, held_back, ledger))
            _let_files_grow_to(process.pid, resource.RLIM_INFINITY)
            broker.start()
            yard.say("the disk has room again")
            voting.wait_for(100)
        asyncio.run(_vote(service.target, held_back, ledger))
        service.settle()
    sheet = balance(Sheet("disk-full", yard.seed), url, ledger)
    sheet.expect("votes refused with the disk full", HELD_BACK, refused)
    sheet.expect("refusals that are not `Unavailable`", 0, ledger.refused.total() - ledger.refused["Unavailable"])
    sheet.facts["answers served though nothing could be logged"] = f"{ledger.not_logged:,}"
    return sheet


async def _ask(target: str, ledger: Ledger) -> Sequence[tuple[str, str]]:
    """Ask, and vote later. Return each answer's id and token."""
    async with AsyncClient(target) as client:
        ledger.asked |= (texts := {f"voted on later {number}" for number in range(HELD_BACK)})
        answers = [await client.classify(text, POLICY, user="votes later") for text in texts]
        ledger.answers |= {answer.response_id for answer in answers}
        return [(answer.response_id, answer.receipt.token) for answer in answers]


async def _vote(target: str, tokens: Sequence[tuple[str, str]], ledger: Ledger) -> int:
    """Vote once on each, without a second try. Return how many votes were refused for want of room."""
    refused = 0
    async with AsyncClient(target, retry=RetryPolicy(attempts=1)) as client:
        for response_id, token in tokens:
            vote = f"later {response_id}"
            ledger.sent.add(vote)
            try:
                await client.ballot(response_id, token, "votes later").thumbs_up(comment=vote)
                ledger.votes.add(vote)
            except Unavailable:
                refused += 1
    return refused


def _wait_until_unlogged(ledger: Ledger, answers: int) -> None:
    """Return when so many answers were served without being logged."""
    ends = time.monotonic() + _PATIENCE_S
    while ledger.not_logged < answers:
        if time.monotonic() > ends:
            raise RuntimeError(f"the disk did not become full; refused: {ledger.refusals}")
        time.sleep(_LOOK_S)


def _let_files_grow_to(pid: int, size_bytes: int) -> None:
    """Bound the size of every file that a process writes: what it then sees is what a full disk shows."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, most))


def _largest(home: Path) -> int:
    return max(file.stat().st_size for file in home.glob("log.sqlite*"))
