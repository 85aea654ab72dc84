"""A canary under load: each user gets one version all the time, every answer says which, and nobody sees a shadow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from voted import vote_on

from thumbwheel.canary.watcher import Watcher
from thumbwheel.config.settings import Canary
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.trial import Conclusion, NewTrial, Trial, TrialKind, TrialState
from thumbwheel.store.sql import SqlStore

USERS = 120
SHARE = 0.3


def start(home: Any, share: float = SHARE) -> Trial:
    home.publish("intent", PolicyKind.CLASSIFY, 1)
    home.publish("intent", PolicyKind.CLASSIFY, 2, promote=False)
    canary = NewTrial(TrialKind.CANARY, "v2", "v1", share)
    trial: Trial = home.registry.trials.start_canary("intent", canary, actor="ann", reason="try")
    return trial


async def until(service: Any, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            service.inference.reconciler.nudge()
            await asyncio.sleep(0.02)


def serves(service: Any, channel: Channel, version: str) -> bool:
    served = service.inference.policies.current("intent", channel)
    return bool((served.ref.version if served else "") == version)


async def ask(service: Any, user: str, text: str = "hello") -> Any:
    response = await service.stub.Classify(pb.ClassifyRequest(policy="intent", text=text, user=pb.User(id=user)))
    return response.stamp


async def test_users_are_split_as_drawn_and_keep_their_version_under_load(home: Any, serve: Any) -> None:
    trial = start(home)
    async with serve() as service:
        await until(service, lambda: serves(service, Channel.CANARY, "v2"))
        users = [f"user {number}" for number in range(USERS)]
        rounds = [await asyncio.gather(*(ask(service, user) for user in users)) for _ in range(3)]
        anonymous = await asyncio.gather(*(ask(service, "") for _ in range(20)))

        for user, *stamps in zip(users, *rounds, strict=True):
            drawn = trial.split.is_drawn(home.raters.user_hash(user))
            wanted = ("v2", "canary") if drawn else ("v1", "champion")
            assert {(stamp.policy_version, stamp.channel) for stamp in stamps} == {wanted}
        on_canary = sum(stamp.policy_version == "v2" for stamp in rounds[0])
        assert abs(on_canary - SHARE * USERS) < 4 * (USERS * SHARE * (1 - SHARE)) ** 0.5
        assert {stamp.policy_version for stamp in anonymous} == {"v1"}

        tallied = service.inference.beside.tally.so_far()
        assert tallied[trial.trial_id, "v2"].requests == 3 * on_canary
        assert sum(counted.requests for counted in tallied.values()) == 3 * USERS + 20
        assert all(counted.failures == 0 for counted in tallied.values())
    logged = {(one.ref.version, one.channel) for one in home.logged()}
    assert logged == {("v1", Channel.CHAMPION), ("v2", Channel.CANARY)}


async def test_a_canary_that_ends_under_load_drops_no_request(home: Any, serve: Any) -> None:
    trial = start(home, 0.5)
    async with serve() as service:
        await until(service, lambda: serves(service, Channel.CANARY, "v2"))
        stop = asyncio.Event()

        async def load(user: str) -> set[str]:
            seen = set()
            while not stop.is_set():
                seen.add((await ask(service, user)).policy_version)
            return seen

        asking = [asyncio.create_task(load(f"user {number}")) for number in range(8)]
        await asyncio.sleep(0.3)
        end = Conclusion(TrialState.ROLLED_BACK, "bad", "{}")
        await asyncio.to_thread(home.registry.trials.conclude, trial, end, actor="canary")
        await until(service, lambda: serves(service, Channel.CANARY, ""))
        assert {(await ask(service, f"user {number}")).policy_version for number in range(20)} == {"v1"}
        stop.set()
        seen = await asyncio.gather(*asking)  # raises what any request raised
        assert {"v1", "v2"} <= set().union(*seen)


async def test_nobody_sees_a_shadow_and_it_is_left_out_under_load(home: Any, serve: Any) -> None:
    home.publish("intent", PolicyKind.CLASSIFY, 1)
    home.publish("intent", PolicyKind.CLASSIFY, 2, promote=False)
    home.registry.move("intent", Channel.SHADOW, "v2", actor="ann", reason="look")
    async with serve(canary={"shadow_limit": 1}) as service:
        await until(service, lambda: serves(service, Channel.SHADOW, "v2"))
        stamps = await asyncio.gather(*(ask(service, f"user {number}", f"text {number}") for number in range(60)))
        assert {(stamp.policy_version, stamp.channel) for stamp in stamps} == {("v1", "champion")}

        def counted(*outcomes: str) -> int:
            labels = {"policy": "intent", "policy_version": "v2"}
            name = "thumbwheel_shadow_requests_total"
            return int(sum(service.metric(name, **labels, outcome=outcome) for outcome in outcomes))

        every = "same", "other", "left out"
        await until(service, lambda: counted(*every) == 60)
        assert counted("same", "other") >= 1
        assert counted("left out") >= 1
    assert {one.ref.version for one in home.logged()} == {"v1"}


async def test_a_new_champion_that_users_dislike_is_rolled_back_while_it_serves(home: Any, serve: Any) -> None:
    """From the promotion with its watch, over the votes in the store, to the version that answers."""
    home.publish("intent", PolicyKind.CLASSIFY, 1)
    home.publish("intent", PolicyKind.CLASSIFY, 2, promote=False)
    store = SqlStore(home.database)
    users = [f"u{number:032x}" for number in range(150)]
    vote_on(store, "intent", "v1", users, lambda number: number % 10 < 8)
    watch = NewTrial(TrialKind.WATCH, "v2", "v1")
    home.registry.trials.promote_watched("intent", watch, actor="run", reason="won", evidence_digest="d")
    watcher = Watcher(store, home.registry, Canary(check_s=0.05))
    async with serve() as service:
        await until(service, lambda: serves(service, Channel.CHAMPION, "v2"))
        assert (await ask(service, "ann")).policy_version == "v2"
        vote_on(store, "intent", "v2", users[:100], lambda number: number % 10 < 3)
        watcher.start()
        try:
            await until(service, lambda: serves(service, Channel.CHAMPION, "v1"))
        finally:
            await asyncio.to_thread(watcher.stop)
        assert (await ask(service, "ann")).policy_version == "v1"
    [ended] = home.registry.trials.newest("intent")
    assert ended.state is TrialState.ROLLED_BACK
    assert home.registry.history("intent")[0].actor == "canary"
