"""What gRPC costs a stream: 32 streams through the whole service, against the same engine driven directly.

    python benchmarks/generate_streams.py [--rounds 5] [--streams 32] [--requests 96] [--tokens 48]

One process serves; for the direct rounds it drives its own engine, for the others a client in a process of its own
reads streams. The two take turns, so that the ratio holds on a noisy machine. Both sides stream: the direct one makes
the same pieces of text at the same `generate.stream_interval_ms` (its default) and throws them away; what the other
adds is gRPC, the service's own path and the request log.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import sys
import tempfile
from concurrent import futures
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import uvloop

from record import record
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.records import Message, PolicyKind

PROMPT = "my parcel has not come, where is it?"


async def serve(pipe: multiprocessing.connection.Connection, requests: int, streams: int, tokens: int) -> None:
    """Serve; on each "direct" drive the engine from within and answer with its tokens a second."""
    from embedded_service import embedded_service
    from small_policies import write_small_causal

    with tempfile.TemporaryDirectory() as scratch, futures.ThreadPoolExecutor(1) as thread:
        folder = write_small_causal(Path(scratch) / "made", 0)
        home = Path(scratch) / "home"
        home.mkdir()
        async with embedded_service(home, "chat", PolicyKind.GENERATE, [folder]) as service:
            pipe.send(service.address)
            while await asyncio.get_running_loop().run_in_executor(thread, pipe.recv) == "direct":
                engine = service.inference.policies.served("chat")[0].engine
                pipe.send(await drive(engine, requests, streams, tokens))


async def drive(engine: Any, requests: int, streams: int, tokens: int) -> float:
    """Tokens a second of the engine alone."""
    from embedded_service import closed_loop
    from thumbwheel.inference.sampling import Sampling

    done = 0

    async def one() -> None:
        nonlocal done
        prompt = engine.encode([Message("", PROMPT)])
        async with engine.generate(prompt, Sampling(max_new_tokens=tokens), 1, stream=True) as progress:
            async for step in progress:
                if step.finished is not None:
                    done += len(step.finished.token_ids)

    started = perf_counter()
    await closed_loop(requests, streams, one)
    return done / (perf_counter() - started)


async def read_streams(address: str, requests: int, streams: int, tokens: int) -> float:
    """Tokens a second through gRPC."""
    from embedded_service import closed_loop, open_channel

    done = 0
    request = pb.GenerateRequest(prompt=PROMPT, sampling=pb.Sampling(max_new_tokens=tokens))

    async def one() -> None:
        nonlocal done
        async for message in stub.StreamGenerate(request):
            done += message.completion_tokens

    async with open_channel(address) as channel:
        stub: Any = InferenceServiceStub(channel)
        started = perf_counter()
        await closed_loop(requests, streams, one)
        return done / (perf_counter() - started)


def start(*arguments: Any) -> None:
    from thumbwheel.inference.torch_runtime import prepare_torch

    prepare_torch(0)
    uvloop.run(serve(*arguments))  # as `thumbwheel up` does


def run(rounds: int, requests: int, streams: int, tokens: int) -> list[tuple[float, float]]:
    """(direct, through gRPC) in tokens a second, of each round."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    server = context.Process(target=start, args=(theirs, requests, streams, tokens))
    server.start()
    address = pipe.recv()
    figures = []
    for _ in range(rounds + 1):
        pipe.send("direct")
        direct = pipe.recv()
        figures.append((direct, asyncio.run(read_streams(address, requests, streams, tokens))))
    pipe.send("stop")
    server.join(30)
    return figures[1:]  # the first one warms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    figures = run(options.rounds, options.requests, options.streams, options.tokens)
    ratio = median(grpc / direct for direct, grpc in figures)
    direct = median(direct for direct, _ in figures)
    print(f"{'':10}{'tokens/s':>10}   median of {options.rounds} rounds, {options.streams} streams")
    print(f"{'direct':10}{direct:10.0f}")
    print(f"{'gRPC':10}{median(grpc for _, grpc in figures):10.0f}")
    print(f"{'ratio':10}{ratio:10.2f}   goal >= 0.85")
    note = (
        f"{options.streams} streams of {options.tokens} tokens; direct {direct:.0f} tokens/s, "
        "with the same pieces of text at the same default interval"
    )
    command = "python benchmarks/generate_streams.py"
    record("generate streams through gRPC against the engine", ratio, "ratio", ">= 0.85", ratio >= 0.85, command, note)
    return 0 if ratio >= 0.85 else 1


if __name__ == "__main__":
    sys.exit(main())
