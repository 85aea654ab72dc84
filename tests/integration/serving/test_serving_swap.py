"""Swaps: no request dropped, every answer made by the version it is stamped with, the old one really freed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from thumbwheel.inference import loading
from thumbwheel.inference.servicer import SERVICE
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.scoring import score_replies
from thumbwheel.records import GenerateAnswer, LoggedResponse, PolicyKind

SWAPS = 6


async def health(service: Any, name: str = SERVICE) -> int:
    stub = health_pb2_grpc.HealthStub(service.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    return int(answer.status)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))


class Load:
    """Steady mixed requests until told to stop; every failure is kept."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.answers = 0
        self.errors: list[grpc.aio.AioRpcError] = []
        self._stop = False

    async def run(self, swapping: Any, clients: int = 6) -> None:
        workers = [asyncio.create_task(self._work(index)) for index in range(clients)]
        await swapping
        self._stop = True
        await asyncio.gather(*workers)

    async def _work(self, index: int) -> None:
        while not self._stop:
            try:
                await self._ask(index)
                self.answers += 1
            except grpc.aio.AioRpcError as error:
                self.errors.append(error)

    async def _ask(self, index: int) -> None:
        sampling = pb.Sampling(max_new_tokens=12, temperature=0.5 + 0.25 * index, greedy=index == 0 or None)
        request = pb.GenerateRequest(prompt=f"client {index}", n=1 + index % 2, sampling=sampling)
        if index % 3 == 2:
            messages = [message async for message in self.service.stub.StreamGenerate(request)]
            stamps = [message.stamp for message in messages if message.HasField("stamp")]
            assert len({(stamp.response_id, stamp.policy_version) for stamp in stamps}) == request.n
        else:
            await self.service.stub.Generate(request)


def replay(home: Any, logged: list[LoggedResponse]) -> float:
    """The largest difference between a logged log-probability and that of the stamped checkpoint."""
    policies = {version: load_causal(home.registry.fetch("chat", version)) for version in ("v1", "v2", "v3")}
    worst = 0.0
    for one in logged:
        answer = one.answer
        assert isinstance(answer, GenerateAnswer)
        arguments = ([answer.prompt_token_ids], [answer.token_ids], answer.temperature)
        scores = {version: score_replies(policy.model, *arguments)[0] for version, policy in policies.items()}
        gaps = {
            version: max(abs(a - b) for a, b in zip(score, answer.logprobs, strict=True))
            for version, score in scores.items()
        }
        assert min(gaps, key=lambda version: gaps[version]) == one.ref.version
        worst = max(worst, gaps[one.ref.version])
    return worst


async def test_under_steady_load_swaps_drop_nothing_and_every_answer_replays_on_its_version(
    home: Any, serve: Any
) -> None:
    for seed in (1, 2, 3):
        home.publish("chat", PolicyKind.GENERATE, seed=seed, promote=seed == 1)

    async with serve() as service:

        async def swap() -> None:
            for index in range(SWAPS):
                await service.swap_to("chat", f"v{(index + 1) % 3 + 1}")
                before = load.answers
                while load.answers < before + 10 and not load.errors:
                    await asyncio.sleep(0.01)

        load = Load(service)
        await load.run(swap())
        await service.inference.policies.settled()
        last = service.inference.reconciler.last_swap["chat"]
        assert service.metric("thumbwheel_swaps_total", policy="chat", outcome="swapped") == SWAPS + 1
    assert load.errors == []
    logged = home.logged()
    versions = Counter(one.ref.version for one in logged)
    assert set(versions) == {"v1", "v2", "v3"}
    assert len(logged) >= load.answers > SWAPS * 10
    assert replay(home, logged) < 5e-4
    assert (last.previous, last.version) == (f"v{(SWAPS - 1) % 3 + 1}", f"v{SWAPS % 3 + 1}")
    assert 0 < last.duration_s < 60


@pytest.mark.parametrize(("policy", "kind"), [("chat", PolicyKind.GENERATE), ("intent", PolicyKind.CLASSIFY)])
async def test_after_a_swap_the_old_version_is_out_of_memory(
    home: Any, serve: Any, monkeypatch: pytest.MonkeyPatch, policy: str, kind: PolicyKind
) -> None:
    loads = "load_causal" if kind is PolicyKind.GENERATE else "load_classifier"
    load = getattr(loading, loads)
    models: list[weakref.ref[Any]] = []

    def noted(folder: Path) -> Any:
        loaded = load(folder)
        models.append(weakref.ref(loaded.model))
        return loaded

    monkeypatch.setattr(loading, loads, noted)
    home.publish(policy, kind, seed=1)
    home.publish(policy, kind, seed=2, promote=False)
    async with serve() as service:
        if kind is PolicyKind.GENERATE:
            await service.stub.Generate(pb.GenerateRequest(prompt="x"))
        else:
            await service.stub.Classify(pb.ClassifyRequest(text="x"))
        await service.swap_to(policy, "v2")
        await service.inference.policies.settled()
        old, new = models
        async with asyncio.timeout(30):
            # The pool's thread that stopped the engine lets go of it a moment after it has said so.
            while old() is not None:
                gc.collect()
                await asyncio.sleep(0.01)
        assert new() is not None


async def test_a_stream_finishes_on_the_version_it_started_on(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1, positions=4096)
    home.publish("chat", PolicyKind.GENERATE, seed=2, promote=False, positions=4096)
    async with serve(generate={"max_new_tokens": 1500}) as service:
        call = service.stub.StreamGenerate(
            pb.GenerateRequest(prompt="x", sampling=pb.Sampling(max_new_tokens=1500), n=8)
        )
        first = await call.read()
        await service.swap_to("chat", "v2")
        [old] = service.inference.policies.retiring()
        answered = await service.stub.Generate(pb.GenerateRequest(prompt="x", sampling=pb.Sampling(max_new_tokens=2)))
        assert old.ref.version == "v1"
        assert old.leases == 1
        rest = []
        while (message := await call.read()) is not grpc.aio.EOF:
            rest.append(message)
        await service.inference.policies.settled()
    assert first.stamp.policy_version == "v1"
    assert answered.candidates[0].stamp.policy_version == "v2"
    ends = [message.stamp for message in rest if message.finish_reason]
    assert len(ends) == 8
    assert {stamp.policy_version for stamp in ends} == {"v1"}


async def test_a_damaged_version_leaves_the_old_one_serving_until_it_is_restored(home: Any, serve: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    damaged = home.publish("chat", PolicyKind.GENERATE, seed=2, promote=False)
    weights = home.registry.fetch("chat", damaged.version) / "model.safetensors"
    whole = weights.read_bytes()
    async with serve(serve={"reconcile_s": 60}) as service:
        home.promote("chat", damaged.version)
        flip_a_byte(weights)
        await service.inference.reconciler.reconcile()
        answer = await service.stub.Generate(pb.GenerateRequest(prompt="x"))
        assert answer.candidates[0].stamp.policy_version == "v1"
        assert service.metric("thumbwheel_damaged_versions_total", policy="chat") == 1
        assert service.metric("thumbwheel_swaps_total", policy="chat", outcome="failed") == 1
        assert "v2" in service.inference.reconciler.problems()["chat"]
        assert await health(service) == health_pb2.HealthCheckResponse.SERVING

        weights.write_bytes(whole)
        service.inference.reconciler.retry_now()
        await service.inference.reconciler.reconcile()
        answer = await service.stub.Generate(pb.GenerateRequest(prompt="x"))
        assert answer.candidates[0].stamp.policy_version == "v2"
        assert service.inference.reconciler.problems() == {}


async def test_with_nothing_servable_the_process_stays_up_and_says_not_serving(home: Any, serve: Any) -> None:
    async with serve(wait=False) as service:
        await service.inference.reconciler.reconcile()
        assert await health(service) == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.stub.Generate(pb.GenerateRequest(prompt="x"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND

        home.publish("chat", PolicyKind.GENERATE, seed=1)
        await service.inference.ready()
        await service.stub.Generate(pb.GenerateRequest(prompt="x"))


async def test_a_damaged_champion_at_start_is_refused_not_fatal(home: Any, serve: Any) -> None:
    made = home.publish("chat", PolicyKind.GENERATE, seed=1)
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)
    flip_a_byte(home.registry.fetch("chat", made.version) / "model.safetensors")
    async with serve(wait=False) as service:
        await service.inference.reconciler.reconcile()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.stub.Generate(pb.GenerateRequest(prompt="x"))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        await service.stub.Classify(pb.ClassifyRequest(text="x"))
        # The door stays open for those who ask the other policy.
        assert await health(service) == health_pb2.HealthCheckResponse.SERVING


async def test_a_process_whose_only_champion_is_damaged_does_not_serve(home: Any, serve: Any) -> None:
    made = home.publish("chat", PolicyKind.GENERATE, seed=1)
    flip_a_byte(home.registry.fetch("chat", made.version) / "model.safetensors")
    async with serve(wait=False) as service:
        await service.inference.reconciler.reconcile()
        assert service.inference.reconciler.problems().keys() == {"chat"}
        assert await health(service) == health_pb2.HealthCheckResponse.NOT_SERVING
