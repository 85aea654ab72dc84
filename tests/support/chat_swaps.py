"""The champion of `chat` moved among its versions under load, across two replicas; and every answer replayed.

Works on a home that `scaled_service.make_home` made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from scaled_service import CHATS

from thumbwheel.client import AdminClient
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.policy.loading import load_causal
from thumbwheel.policy.scoring import score_replies
from thumbwheel.records import GenerateAnswer, LoggedResponse
from thumbwheel.simulate.service import ServiceProcess

CLIENTS = 6
_SCORES_APART = 5e-4
_LOOK_S = 0.05


@dataclass(slots=True)
class Swapped:
    """What clients saw. `mixed` are answers whose messages name more than one response or version."""

    answers: int = 0
    mixed: int = 0
    errors: list[grpc.aio.AioRpcError] = field(default_factory=list)


async def swap_under_load(service: ServiceProcess, swaps: int) -> Swapped:
    """Move the champion so often, each time until both replicas serve it, while clients generate and stream."""
    stop, seen = asyncio.Event(), Swapped()
    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(_ask_on(service.addresses["grpc"], stop, number, seen))
        with AdminClient(service.addresses["admin"]) as admin:
            for index in range(swaps):
                version = CHATS[(index + 1) % len(CHATS)]
                await asyncio.to_thread(admin.promote, "chat", version, actor="test", reason="swap under load")
                while not await asyncio.to_thread(_all_serve, service, f"chat {version}"):
                    await asyncio.sleep(_LOOK_S)
        stop.set()
    return seen


def replayed(home: Path, logged: Sequence[LoggedResponse]) -> Mapping[str, int]:
    """How many answers each version has whose tokens have their logged probabilities on it, and on no other."""
    models = {version: load_causal(home / "versions" / "chat" / version) for version in CHATS}
    replays = dict.fromkeys(CHATS, 0)
    for one in logged:
        answer = one.answer
        assert isinstance(answer, GenerateAnswer)
        gaps = {}
        for version, policy in models.items():
            [scores] = score_replies(policy.model, [answer.prompt_token_ids], [answer.token_ids], answer.temperature)
            gaps[version] = max(abs(a - b) for a, b in zip(scores, answer.logprobs, strict=True))
        named = one.ref.version
        replays[named] += gaps[named] < _SCORES_APART and min(gaps, key=lambda version: gaps[version]) == named
    return replays


async def _ask_on(target: str, stop: asyncio.Event, number: int, seen: Swapped) -> None:
    """Generate, or stream, until stopped."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = InferenceServiceStub(channel)
        sampling = pb.Sampling(max_new_tokens=12, temperature=0.5 + 0.25 * number)
        while not stop.is_set():
            request = pb.GenerateRequest(policy="chat", prompt=f"client {number}", sampling=sampling)
            try:
                if number % 2:
                    messages = [message async for message in stub.StreamGenerate(request)]
                    stamps = [message.stamp for message in messages if message.HasField("stamp")]
                    seen.mixed += len({(one.response_id, one.policy_version) for one in stamps}) != 1
                else:
                    await stub.Generate(request)
                seen.answers += 1
            except grpc.aio.AioRpcError as error:
                seen.errors.append(error)


def _all_serve(service: ServiceProcess, what: str) -> bool:
    parts = httpx.get(f"{service.addresses['probes']}/healthz").json()["parts"]
    return len(parts) == 2 and all(what in part for part in parts.values())
