"""Swaps under steady load: errors, exactness of the stamp, and what users feel of them.

    python benchmarks/swap_under_load.py [--swaps 15] [--clients 8] [--interval 0.25] [--steady 1.5]

Clients ask at a fixed pace over gRPC, half unary and half streamed, while the champion moves among three versions.
A call counts to "during swaps" when any part of it lies between the move of the pointer and the old version's end,
else to "steady". Afterwards every answer is scored anew, from the log, on the checkpoint that its client was told, and
on the two others: it must fit its own and be far from those. One that is not in the log fits none.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import sys
import tempfile
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc.aio
import uvloop

from record import record
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.records import GenerateAnswer, LoggedResponse, PolicyKind

VERSIONS = ("v1", "v2", "v3")
TOLERANCE = 1e-3  # nats a token: fp32 sums in another order


@dataclass
class Calls:
    """What the clients saw."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stamps: dict[str, str] = field(default_factory=dict)
    """The version that each answer was stamped with, by response id, as the client has it."""
    stop: bool = False


async def serve(pipe: multiprocessing.connection.Connection, home: Path, folders: list[Path]) -> None:
    """Serve; swap to each version named, answering when the one before is freed; at last send the log."""
    from embedded_service import embedded_service

    with futures.ThreadPoolExecutor(1) as thread:
        receive = asyncio.get_running_loop().run_in_executor
        async with embedded_service(home, "chat", PolicyKind.GENERATE, folders) as service:
            pipe.send(service.address)
            policies = service.inference.policies
            while version := await receive(thread, pipe.recv):
                moved = asyncio.Event()
                policies.watch(moved.set)
                await service.promote("chat", version)
                while policies.served("chat")[0].ref.version != version:
                    await moved.wait()
                    moved.clear()
                await policies.settled()
                pipe.send(service.inference.reconciler.last_swap["chat"].duration_s)
            pipe.send(service.logged())


def start(pipe: multiprocessing.connection.Connection, home: Path, folders: list[Path]) -> None:
    from thumbwheel.inference.torch_runtime import prepare_torch

    prepare_torch(0)
    uvloop.run(serve(pipe, home, folders))  # as `thumbwheel up` does


async def client(stub: Any, index: int, calls: Calls, clients: int, interval: float) -> None:
    """Ask every `interval` seconds, or at once when the answer before took longer."""
    request = pb.GenerateRequest(prompt=f"where is parcel {index}?", sampling=pb.Sampling(max_new_tokens=16))
    await asyncio.sleep(interval * index / clients)
    while not calls.stop:
        started, stamp = perf_counter(), pb.Stamp()
        try:
            if index % 2:
                async for piece in stub.StreamGenerate(request):
                    stamp = piece.stamp if piece.HasField("stamp") else stamp
            else:
                stamp = (await stub.Generate(request)).candidates[0].stamp
            calls.stamps[stamp.response_id] = stamp.policy_version
        except grpc.aio.AioRpcError as error:
            calls.errors.append(f"{error.code()}: {error.details()}")
        calls.spans.append((started, perf_counter()))
        await asyncio.sleep(max(0.0, started + interval - perf_counter()))


async def drive(
    pipe: multiprocessing.connection.Connection, swaps: int, clients: int, interval: float, steady: float
) -> tuple[Calls, list[tuple[float, float]], list[float]]:
    """The calls, the spans of the swaps, and how long each took to serve the new version."""
    from embedded_service import open_channel

    calls, spans, durations = Calls(), [], []
    address = pipe.recv()
    with futures.ThreadPoolExecutor(1) as thread:
        async with open_channel(address) as channel:
            stub = InferenceServiceStub(channel)
            tasks = [asyncio.create_task(client(stub, index, calls, clients, interval)) for index in range(clients)]
            await asyncio.sleep(steady)
            calls.spans.clear()  # the first ones warm
            for index in range(swaps):
                await asyncio.sleep(steady)
                started = perf_counter()
                pipe.send(VERSIONS[(index + 1) % len(VERSIONS)])
                durations.append(await asyncio.get_running_loop().run_in_executor(thread, pipe.recv))
                spans.append((started, perf_counter()))
            await asyncio.sleep(steady)
            calls.stop = True
            await asyncio.gather(*tasks)
    return calls, spans, durations


def mismatches(stamps: dict[str, str], logged: list[LoggedResponse], folders: dict[str, Path]) -> int:
    """How many answers, of those that the clients got, the checkpoint they are stamped with did not make."""
    from thumbwheel.policy.loading import load_causal
    from thumbwheel.policy.scoring import score_replies

    answers = [one.answer for one in logged if isinstance(one.answer, GenerateAnswer)]
    fits: list[set[str]] = [set() for _ in answers]
    for version, folder in folders.items():
        prompts, replies = [one.prompt_token_ids for one in answers], [one.token_ids for one in answers]
        scores = score_replies(load_causal(folder).model, prompts, replies)
        for index, answer in enumerate(answers):
            if max(abs(a - b) for a, b in zip(scores[index], answer.logprobs, strict=True)) < TOLERANCE:
                fits[index].add(version)
    made_by = {one.response_id: found for one, found in zip(logged, fits, strict=True)}
    return sum(made_by.get(response_id) != {version} for response_id, version in stamps.items())


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(calls: Calls, spans: list[tuple[float, float]], durations: list[float], wrong: int) -> bool:
    """Print the table and record the figures; True when all are reached."""
    during: list[float] = []
    steady: list[float] = []
    for started, ended in calls.spans:
        overlaps = any(started < end and ended > begin for begin, end in spans)
        (during if overlaps else steady).append((ended - started) * 1e3)
    ratio = quantile(during, 0.99) / quantile(steady, 0.99)
    print(f"{'':14}{'calls':>8}{'p50 ms':>10}{'p99 ms':>10}")
    for name, values in (("steady", steady), ("during swaps", during)):
        print(f"{name:14}{len(values):8}{quantile(values, 0.5):10.1f}{quantile(values, 0.99):10.1f}")
    print(f"{len(durations)} swaps, median {quantile(durations, 0.5):.2f} s until the new version serves")
    print(f"errors {len(calls.errors)} (goal 0)")
    print(f"answers not of their stamped version {wrong} of {len(calls.stamps)} (goal 0)")
    print(f"p99 during swaps / steady {ratio:.2f} (goal <= 2)")
    for problem in sorted(set(calls.errors)):
        print(f"  {problem}")
    command, note = "python benchmarks/swap_under_load.py", f"{len(durations)} swaps, {len(calls.spans)} calls"
    errors = len(calls.errors)
    record("errors during swaps", errors, "calls", "= 0", errors == 0, command, note)
    record("answers not replayed by their stamped version", wrong, "answers", "= 0", wrong == 0, command, note)
    record("p99 during swaps against steady", ratio, "ratio", "<= 2", ratio <= 2, command, note)
    return not calls.errors and not wrong and ratio <= 2 and len(durations) >= 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=15)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--interval", type=float, default=0.25)
    parser.add_argument("--steady", type=float, default=1.5)
    options = parser.parse_args()
    from small_policies import write_small_causal

    with tempfile.TemporaryDirectory() as scratch:
        folders = [write_small_causal(Path(scratch) / version, seed) for seed, version in enumerate(VERSIONS)]
        home = Path(scratch) / "home"
        home.mkdir()
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        server = context.Process(target=start, args=(theirs, home, folders))
        server.start()
        calls, spans, durations = asyncio.run(
            drive(pipe, options.swaps, options.clients, options.interval, options.steady)
        )
        pipe.send("")
        logged = pipe.recv()
        server.join(30)
        wrong = mismatches(calls.stamps, logged, dict(zip(VERSIONS, folders, strict=True)))
    return 0 if report(calls, spans, durations, wrong) else 1


if __name__ == "__main__":
    sys.exit(main())
