"""The crowd before a service in memory: what it was told is what it counts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from random import Random

import pytest
from demo_facts import HELPDESK, PLACES, TOPICS
from demo_service import DemoService

from thumbwheel.client import AsyncClient
from thumbwheel.records import PolicyKind
from thumbwheel.simulate.crowd import ONE_TRY, Crowd, Ledger, Question
from thumbwheel.simulate.users import SimulatedUser, tags_quality


@pytest.fixture
def service() -> Iterator[DemoService]:
    running = DemoService.start()
    yield running
    running.stop()


def crowd(client: AsyncClient, policy: str, kind: PolicyKind, user: SimulatedUser) -> Crowd:
    right = Question("where is my delivery", lambda answer: float("delivery" in answer))
    return Crowd(client, policy, kind, repeat(right), [user], Random(0))


@pytest.mark.parametrize(("policy", "kind"), [(TOPICS, PolicyKind.CLASSIFY), (HELPDESK, PolicyKind.GENERATE)])
async def test_votes_follow_the_truth(service: DemoService, policy: str, kind: PolicyKind) -> None:
    ledger, told = Ledger(), []
    async with AsyncClient(service.target, retry=ONE_TRY) as client:
        honest = crowd(client, policy, kind, SimulatedUser("ann", noise=0.0))
        await honest.ask(6, 3, ledger, lambda: told.append(1))
    [tally] = ledger.by_version.values()
    assert (tally.answers, tally.ups, tally.downs, tally.mean_quality, len(told)) == (6, 6, 0, 1.0, 6)
    assert ledger.acknowledged == len(service.world.votes) == 6
    assert not ledger.dropped and not ledger.lost_votes


async def test_tags_are_judged_word_by_word(service: DemoService) -> None:
    ledger = Ledger()
    question = Question("to Rome now", lambda tags: tags_quality(tags.split(), ["O", "B-city", "O"]))
    async with AsyncClient(service.target, retry=ONE_TRY) as client:
        user = SimulatedUser("ann", noise=0.0)
        await Crowd(client, PLACES, PolicyKind.TAG, repeat(question), [user], Random(0)).ask(2, 1, ledger)
    [tally] = ledger.by_version.values()
    assert (tally.answers, tally.ups, tally.mean_quality) == (2, 2, 1.0)


async def test_a_liar_votes_the_other_way_and_the_silent_not_at_all(service: DemoService) -> None:
    liar, silent = Ledger(), Ledger()
    async with AsyncClient(service.target, retry=ONE_TRY) as client:
        await crowd(client, TOPICS, PolicyKind.CLASSIFY, SimulatedUser("bob", noise=1.0)).ask(3, 1, liar)
        quiet = SimulatedUser("cid", rates_pleased=0.0, rates_displeased=0.0)
        await crowd(client, TOPICS, PolicyKind.CLASSIFY, quiet).ask(3, 1, silent)
    assert [tally.downs for tally in liar.by_version.values()] == [3]
    assert (silent.answered, silent.acknowledged) == (3, 0)


async def test_a_service_that_is_gone_is_counted_not_raised(service: DemoService) -> None:
    ledger = Ledger()
    service.stop()
    async with AsyncClient(service.target, retry=ONE_TRY) as client:
        await crowd(client, TOPICS, PolicyKind.CLASSIFY, SimulatedUser("ann")).ask(2, 1, ledger)
    assert (ledger.answered, len(ledger.dropped)) == (0, 2)
    assert ledger.dropped[0].startswith("Unreachable")
