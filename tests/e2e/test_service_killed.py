"""The service is killed in the middle of bursts of votes: what it acknowledged is there once, and it starts again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from live_service import make_policies
from service_ledger import (
    FREE_PORTS,
    Acknowledged,
    ask_and_vote,
    demand_balance,
    wait_until_ingested,
    wait_until_serving,
)

from thumbwheel.config.settings import Settings
from thumbwheel.simulate.service import ServiceProcess

KILLS = 20


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_acknowledged_votes_survive_kills(tmp_path: Path) -> None:
    home, told, rng = tmp_path / "home", Acknowledged(), Random(20)
    home.mkdir()
    make_policies(Settings(home=home))
    for _ in range(KILLS):
        service = ServiceProcess(home, {**FREE_PORTS, "feedback.max_per_rater_per_minute": 100_000})
        with service:
            target = service.addresses["grpc"]
            asyncio.run(wait_until_serving(target))
            asyncio.run(ask_and_vote(target, told, rng.randint(1, 120), service.kill))
    with ServiceProcess(home, FREE_PORTS) as last:
        dead_letters = wait_until_ingested(last.addresses["admin"])
    assert len(told.votes) >= KILLS
    demand_balance(home, told)
    assert dead_letters == 0
