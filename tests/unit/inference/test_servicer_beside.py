"""What the door tells beside answering, by real calls on loopback: how a trial's requests went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest

from thumbwheel.config.settings import Serve, Settings
from thumbwheel.hosts.local import PUBLIC, LocalHost, Registration
from thumbwheel.inference.beside import Beside
from thumbwheel.inference.engine import EngineLimits, Labelled, Progress, Tagged
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.servicer import InferenceServicer
from thumbwheel.inference.swap import Served, ServedPolicies
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub, add_InferenceServiceServicer_to_server
from thumbwheel.records import Channel, PolicyKind, VersionRef
from thumbwheel.registry.serving_tally import BUCKETS_S, slower_than
from thumbwheel.registry.trial import Split
from thumbwheel.telemetry.metrics import Metrics

TRIAL = 7
SERVICE = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name


class Log:
    async def append(self, records: Sequence[object]) -> None:
        """Keep nothing."""


class Somebody:
    def sign(self, *_: object) -> str:
        return "token"

    def user_hash(self, user_id: str) -> str:
        return user_id

    def rater(self, user_id: str, response_id: str) -> str:
        return "somebody"


class Labels:
    """Labels a text; what says "hang" never."""

    kind = PolicyKind.CLASSIFY
    limits = EngineLimits(max_input_tokens=64, labels=("a", "b"))
    healthy = True

    async def classify(self, text: str, greedy: bool) -> Labelled:
        if text == "hang":
            await asyncio.Event().wait()
        return Labelled(0, (0.75, 0.25), sampled=True)

    async def close(self) -> None:
        """Nothing to free."""


class Desk:
    """A door on loopback, with one version of a policy behind it that is on trial."""

    def __init__(self, engine: Any, asks_per_user_per_minute: int = 0) -> None:
        self.policies, self.metrics, settings = ServedPolicies(), Metrics(), Settings()
        self.policies.learn_of({"desk": engine.kind})
        self.policies.learn_splits({"desk": Split(TRIAL, "salt", 0)})
        self.serve(Channel.CHAMPION, "v1", engine)
        self.beside = Beside.of(self.policies, settings.canary, self.metrics.shadow, asks_per_user_per_minute)
        somebody: Any = Somebody()
        log = RequestLog(Log(), somebody, somebody, self.metrics.log)
        limits = settings.generate, settings.classify, settings.tag
        self.servicer = InferenceServicer(self.policies, log, *limits, self.metrics.queue, self.beside)

    def serve(self, channel: Channel, version: str, engine: Any) -> None:
        self.policies.install(Served(VersionRef("desk", version, f"sha256:{version}"), channel, engine))

    @asynccontextmanager
    async def door(self) -> AsyncIterator[Any]:
        server = grpc.aio.server()
        add_InferenceServiceServicer_to_server(self.servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield InferenceServiceStub(channel)
        finally:
            await server.stop(None)
            await self.beside.shadows.close()
            await self.policies.close()

    async def counted(self, requests: int) -> tuple[int, int, tuple[int, ...]]:
        """Requests, failures and latencies, once as many requests have ended."""
        async with asyncio.timeout(30):
            while not (found := self.beside.tally.so_far()) or found[TRIAL, "v1"].requests < requests:
                await asyncio.sleep(0.01)
        one = found[TRIAL, "v1"]
        return one.requests, one.failures, tuple(one.latencies)

    def count(self, name: str, version: str, **labels: str) -> float:
        """A counter of the policy."""
        of = {"policy": "desk", "policy_version": version, **labels}
        return self.metrics.registry.get_sample_value(f"thumbwheel_{name}_total", of) or 0.0


ALLOWED_S = 0.3
HANG = pb.ClassifyRequest(text="hang")


async def test_requests_whose_deadline_runs_out_are_failures_that_took_so_long() -> None:
    desk = Desk(Labels())
    async with desk.door() as stub:
        await stub.Classify(pb.ClassifyRequest(text="x"))
        for call in [stub.Classify(HANG, timeout=ALLOWED_S) for _ in range(20)]:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call
            assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        requests, failures, latencies = await desk.counted(21)
    assert (requests, failures) == (21, 20)
    below = max(bucket for bucket, end_s in enumerate(BUCKETS_S) if end_s < 0.9 * ALLOWED_S)
    assert slower_than(latencies, below) == (20, 1)


@pytest.mark.parametrize("timeout_s", [60.0, None])
async def test_who_hangs_up_early_counts_by_the_time_he_waited_and_as_no_failure(timeout_s: float | None) -> None:
    desk = Desk(Labels())
    async with desk.door() as stub:
        calls = [stub.Classify(HANG, timeout=timeout_s) for _ in range(5)]
        while desk.policies.served("desk")[0].leases < len(calls):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        for call in calls:
            call.cancel()
        requests, failures, latencies = await desk.counted(5)
    assert (requests, failures) == (5, 0)
    assert slower_than(latencies, max(b for b, end_s in enumerate(BUCKETS_S) if end_s < 0.09)) == (5, 0)


async def test_a_user_who_asks_too_often_is_told_when_to_ask_again_and_others_are_answered() -> None:
    desk = Desk(Labels(), asks_per_user_per_minute=30)
    add = partial(add_InferenceServiceServicer_to_server, desk.servicer)
    host = LocalHost(Serve(port=0, admin_port=0, drain_s=0), [Registration(SERVICE, add)], desk.metrics.rpc)
    await host.start()
    try:
        async with grpc.aio.insecure_channel(host.addresses[PUBLIC]) as channel:
            ask = InferenceServiceStub(channel).Classify
            for _ in range(30):
                await ask(pb.ClassifyRequest(text="x", user=pb.User(id="ann")))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(pb.ClassifyRequest(text="x", user=pb.User(id="ann")))
            for _ in range(31):
                await ask(pb.ClassifyRequest(text="x"))  # nobody known
            await ask(pb.ClassifyRequest(text="x", user=pb.User(id="bob")))
    finally:
        await host.drain()
        await desk.beside.shadows.close()
        await desk.policies.close()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (refused.value.details() or "").startswith("user.id: more than 30 requests in a minute by this user (auth.")
    hint_ms = int(dict(refused.value.trailing_metadata() or ())["grpc-retry-pushback-ms"])
    assert 0 < hint_ms <= 2_000  # 30 a minute: one in two seconds


class Tags:
    """Gives some words a tag, all others none."""

    kind = PolicyKind.TAG
    limits = EngineLimits(max_input_tokens=64, labels=("O", "B-city", "I-city"))
    healthy = True

    def __init__(self, index_of: Mapping[str, int]) -> None:
        self._index_of = index_of

    async def tag(self, words: Sequence[str], greedy: bool) -> Tagged:
        return Tagged(tuple(self._index_of.get(word, 0) for word in words), (0.5, 0.25, 0.25) * len(words), True)

    async def close(self) -> None:
        """Nothing to free."""


async def test_the_shadow_of_a_tagger_is_asked_and_compared_word_by_word() -> None:
    desk = Desk(Tags({"Rome": 1}))
    desk.serve(Channel.SHADOW, "v2", Tags({"Rome": 1, "Oslo": 1}))
    asked, counts = ("to Rome", "from Rome", "to Oslo"), [0.0, 0.0]
    async with desk.door() as stub:
        for number, text in enumerate(asked, start=1):
            await stub.Tag(pb.TagRequest(text=text))
            async with asyncio.timeout(30):
                while sum(counts) < number:
                    await asyncio.sleep(0.01)
                    counts = [desk.count("shadow_requests", "v2", outcome=one) for one in ("same", "other")]
    assert counts == [2.0, 1.0]


class Writing:
    """Draws seven tokens, of which five have been told when it hangs."""

    tokens = 0

    async def __aiter__(self) -> AsyncIterator[Progress]:
        self.tokens = 5
        yield Progress(0, "five tokens")
        self.tokens = 7
        await asyncio.Event().wait()


class Chat:
    """Begins an answer and never ends it."""

    kind = PolicyKind.GENERATE
    limits = EngineLimits(max_input_tokens=64, max_new_tokens=64)
    healthy = True

    def encode(self, messages: Sequence[object]) -> list[int]:
        return [1, 2]

    @asynccontextmanager
    async def generate(self, *_: object, stream: bool) -> AsyncIterator[Writing]:
        yield Writing()

    async def close(self) -> None:
        """Nothing to free."""


@pytest.mark.parametrize("timeout_s", [60.0, 0.3])
async def test_tokens_that_were_drawn_before_the_caller_went_away_are_counted(timeout_s: float) -> None:
    desk = Desk(Chat())
    async with desk.door() as stub:
        call = stub.StreamGenerate(pb.GenerateRequest(prompt="hello"), timeout=timeout_s)
        assert (await call.read()).text_delta == "five tokens"
        if timeout_s > 1:
            call.cancel()
        requests, failures, _ = await desk.counted(1)
        assert (requests, failures) == (1, int(timeout_s < 1))
        async with asyncio.timeout(30):
            while not (counted := desk.count("generated_tokens", "v1")):
                await asyncio.sleep(0.01)
    assert counted == 7
