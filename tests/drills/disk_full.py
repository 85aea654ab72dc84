"""The outbox's disk is full while the broker is away: answers go on, votes are refused, what had its OK is kept.

The broker comes back while the disk is still full: the outbox is shipped and makes room for itself, and votes are taken
again. The disk is a small one, mounted on the home: that takes root.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence

from balance_sheet import Sheet
from books import balance
from small_disk import fill_disk, small_disk
from voting import POLICY, Ledger, load
from yard import Service, Yard, kafka_settings

from thumbwheel.client import AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.errors import LogUnavailable, Unavailable

DISK_BYTES = 96 << 20
ROOM_BYTES = 400_000
UNLOGGED = 2_000
HELD_BACK = 20
_LOOK_S = 0.05
_PATIENCE_S = 180.0


def drill(yard: Yard) -> Sheet:
    broker, url = yard.broker(), yard.database(yard.postgres())
    ledger = Ledger()
    home = yard.home(url)
    service = Service(home, yard.flags(kafka_settings(broker), url, feedback_durability="outbox"))
    with small_disk(home, DISK_BYTES), service.running():
        held_back = asyncio.run(_ask(service.target, ledger))
        with load(service.target, ledger) as voting:
            voting.wait_for(100)
            broker.kill()
            filler = fill_disk(home, ROOM_BYTES)
            yard.say("the disk is about to be full")
            _wait_until_unlogged(ledger, yard.times(UNLOGGED))
            refused = asyncio.run(_vote(service.target, held_back, ledger))
            fill_disk(home)
            broker.start()
            yard.say("the broker is back, the disk is still full")
            voting.wait_for(100)
            room = shutil.disk_usage(home).free
            filler.unlink()
            yard.say("the disk has room again")
            voting.wait_for(100)
        asyncio.run(_vote(service.target, held_back, ledger))
        service.settle()
    sheet = balance(Sheet("disk-full", yard.seed), url, ledger)
    sheet.expect("votes refused with the disk full", HELD_BACK, refused)
    sheet.facts["room on the disk when votes were taken again, of the ballast alone"] = f"{room:,} bytes"
    fitting = sum(ledger.refused[kind.__name__] for kind in (Unavailable, LogUnavailable))
    sheet.expect("refusals that are not `Unavailable`", 0, ledger.refused.total() - fitting)
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
