"""The clock of the service's machine jumps back by an hour while users vote, and users change their minds."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from balance_sheet import Sheet
from books import balance, counting, earliest_us
from voting import POLICY, Ledger, load
from yard import Service, Yard, kafka_settings

from thumbwheel.client import AsyncClient

HOUR_S = 3_600.0
MINDS = 20
VOTES = 2_000
SHIFTED = Path(__file__).parent / "shifted_clock"


def drill(yard: Yard) -> Sheet:
    url, ledger = yard.database(yard.postgres()), Ledger()
    service = Service(yard.home(url), yard.flags(kafka_settings(yard.broker()), url))
    minds, began_us = yard.times(MINDS, 5), time.time_ns() // 1_000
    with _clock(yard.folder / "clock") as set_back_s, service.running():
        with load(service.target, ledger) as voting:
            voting.wait_for(yard.times(VOTES))
            changed = asyncio.run(_change_minds(service.target, minds, ledger, lambda: set_back_s(HOUR_S)))
            yard.say("the clock is an hour back")
            voting.wait_for(yard.times(VOTES))
            set_back_s(0.0)
            yard.say("the clock is right again")
            voting.wait_for(yard.times(VOTES))
        service.settle()
    sheet = balance(Sheet("clock-back", yard.seed), url, ledger, changed=minds)
    sheet.expect("calls refused", 0, ledger.refused.total())
    sheet.expect("votes changed after the jump, that count", minds, len(changed & counting(url)))
    sheet.expect("the service has seen the jump", 1, int(earliest_us(url) < began_us - HOUR_S * 0.9e6))
    return sheet


async def _change_minds(target: str, count: int, ledger: Ledger, jump: Callable[[], None]) -> set[str]:
    """Ask and vote up; after the jump vote down on the same answers. Return the ids of the votes down."""
    async with AsyncClient(target) as client:
        ledger.asked |= (texts := {f"a change of mind {number}" for number in range(count)})
        answers = [await client.classify(text, POLICY, user="changes its mind") for text in texts]
        for number, answer in enumerate(answers):
            await answer.thumbs_up(comment=_noted(ledger, f"first {number}"))
        jump()
        return {
            await answer.thumbs_down(comment=_noted(ledger, f"second {number}"))
            for number, answer in enumerate(answers)
        }


def _noted(ledger: Ledger, vote: str) -> str:
    """Write a vote into the ledger; it is demanded since a refusal ends the drill."""
    ledger.sent.add(vote)
    ledger.votes.add(vote)
    return vote


@contextmanager
def _clock(file: Path) -> Iterator[Callable[[float], None]]:
    """Let the services that start in the block follow a clock; yield what sets it back by so many seconds."""
    file.write_bytes(struct.pack("d", 0.0))
    added = {"DRILL_CLOCK": str(file), "PYTHONPATH": os.pathsep.join([str(SHIFTED), os.environ.get("PYTHONPATH", "")])}
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)

    def set_back_s(by_s: float) -> None:
        with file.open("r+b") as clock:
            clock.write(struct.pack("d", -by_s))

    try:
        yield set_back_s
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
