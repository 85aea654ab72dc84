"""What the service costs around the model: the whole unary path with a policy that costs nothing, against an echo.

    python benchmarks/unary_overhead.py [--rounds 8] [--calls 1500] [--clients 32 4 1]

The whole path: interceptors (correlation id, metrics, access log), validation, lease, request log durable in SQLite
before the answer, feedback token. The echo: a bare `grpc.aio` server that returns its request. The servers
are processes of their own, called in turns by the same client, so that the ratio holds on a noisy machine.

Each client calls again as soon as it is answered. Many at once share an fsync of the request log; one alone waits for
its own each time, and the p50 of many is the length of their queue: so it is told for many, for a few and for one.
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

import grpc.aio
import uvloop

from record import record
from thumbwheel.inference.engine import Engine, EngineLimits, Labelled
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.records import PolicyKind

METHOD = "/thumbwheel.inference.v1.InferenceService/Classify"
REQUEST = pb.ClassifyRequest(text="my parcel has not come, where is it?", user=pb.User(id="ann"))
LABELS = ("refund", "delivery", "other")
# The goal is set by the bare echo; the one on the service's own event loop is told beside it.
SERVERS = ("echo", "echo on uvloop", "whole")
TRIED = (
    "; tried: uvloop, one durable write for many, appends gathered for a while, few statements a write, hashes that "
    "keep the interpreter; what is left for few callers is the disk's write and the hand-overs between two threads"
)
# For each server the (calls a second, p50 in ms) of every round.
Figures = dict[str, list[tuple[float, float]]]


class FreeEngine:
    """Always the same label."""

    kind = PolicyKind.CLASSIFY
    limits = EngineLimits(max_input_tokens=64, labels=LABELS, probability_floor=0.02)
    healthy = True

    async def classify(self, text: str, greedy: bool) -> Labelled:
        return Labelled(1, (0.2, 0.7, 0.1), sampled=not greedy)

    async def close(self) -> None:
        pass


class FreeLoader:
    """Makes free engines of any folder."""

    async def load(self, kind: PolicyKind, folder: Path) -> Engine:
        return FreeEngine()

    def close(self) -> None:
        pass


async def echo(pipe: multiprocessing.connection.Connection) -> None:
    """Serve the bare echo until told to stop."""

    async def answer(request: pb.ClassifyRequest, context: Any) -> pb.ClassifyRequest:
        return request

    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=pb.ClassifyRequest.FromString,
        response_serializer=pb.ClassifyRequest.SerializeToString,
    )
    server = grpc.aio.server()
    service, method = METHOD[1:].split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    pipe.send(f"127.0.0.1:{port}")
    await _told_to_stop(pipe)
    await server.stop(0)


async def whole(pipe: multiprocessing.connection.Connection) -> None:
    """Serve the whole path until told to stop."""
    from embedded_service import embedded_service
    from thumbwheel.inference.torch_runtime import prepare_torch, spare_the_collector

    prepare_torch(0)
    spare_the_collector()  # as the real loader does before its first model
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "free"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"")
        home = Path(scratch) / "home"
        home.mkdir()
        async with embedded_service(home, "free", PolicyKind.CLASSIFY, [folder], FreeLoader()) as service:
            pipe.send(service.address)
            await _told_to_stop(pipe)


async def _told_to_stop(pipe: multiprocessing.connection.Connection) -> None:
    with futures.ThreadPoolExecutor(1) as thread:
        await asyncio.get_running_loop().run_in_executor(thread, pipe.recv)


def serve(name: str, pipe: multiprocessing.connection.Connection) -> None:
    if name == "whole":
        uvloop.run(whole(pipe))  # as `thumbwheel up` does
    else:
        (uvloop if name == "echo on uvloop" else asyncio).run(echo(pipe))


async def measure(addresses: dict[str, str], rounds: int, calls: int, clients: int) -> Figures:
    """For each server the (calls a second, p50 in ms) of every round, the servers taking turns."""
    from embedded_service import closed_loop, open_channel

    figures: Figures = {name: [] for name in addresses}
    channels = {name: open_channel(address) for name, address in addresses.items()}
    methods = {
        name: channel.unary_unary(METHOD, pb.ClassifyRequest.SerializeToString, lambda data: data)
        for name, channel in channels.items()
    }
    for turn in range(-1, rounds):
        for name, method in methods.items():
            started = perf_counter()
            seconds = await closed_loop(calls, clients, lambda method=method: method(REQUEST))
            if turn >= 0:  # the first one warms
                figures[name].append((calls / (perf_counter() - started), median(seconds) * 1e3))
    for channel in channels.values():
        await channel.close()
    return figures


def run(rounds: int, calls: int, clients: int) -> Figures:
    """Start both servers, measure, stop them."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Any] = {}
    for name in SERVERS:
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, theirs), daemon=True).start()
    try:
        addresses = {name: pipe.recv() for name, pipe in pipes.items()}
        return asyncio.run(measure(addresses, rounds, calls, clients))
    finally:
        for pipe in pipes.values():
            pipe.send("stop")
        for process in multiprocessing.active_children():
            process.join(30)


def ratios(figures: Figures, base: str) -> tuple[float, float]:
    """(calls a second, p50) of the whole path over those of `base`; the median of the rounds."""
    pairs = list(zip(figures["whole"], figures[base], strict=True))
    return median(w[0] / b[0] for w, b in pairs), median(w[1] / b[1] for w, b in pairs)


def told(clients: int, rounds: int, figures: Figures) -> bool:
    """Print the table and record the figures of so many clients; True when both goals are reached."""
    rates = {name: median(rate for rate, _ in rows) for name, rows in figures.items()}
    p50s = {name: median(p50 for _, p50 in rows) for name, rows in figures.items()}
    rate_ratio, p50_ratio = ratios(figures, "echo")
    print(f"{'':16}{'calls/s':>10}{'p50 ms':>10}   median of {rounds} rounds, {counted(clients)}")
    for name in figures:
        print(f"{name:16}{rates[name]:10.0f}{p50s[name]:10.2f}")
    print(f"{'whole / echo':16}{rate_ratio:10.2f}{p50_ratio:10.2f}   goal >= 0.50 and <= 2.00")
    same_loop = ratios(figures, "echo on uvloop")
    command = "python benchmarks/unary_overhead.py"
    note = (
        f"echo {rates['echo']:.0f}/s, p50 {p50s['echo']:.2f} ms, whole {p50s['whole']:.2f} ms; servers in own "
        f"processes; against an echo on uvloop {same_loop[0]:.2f} and {same_loop[1]:.2f}"
    )
    note += TRIED * (rate_ratio < 0.5 or p50_ratio > 2)
    of = f"against an echo, {counted(clients)}"
    record(f"unary calls/s {of}", rate_ratio, "ratio", ">= 0.5", rate_ratio >= 0.5, command, note)
    record(f"unary p50 {of}", p50_ratio, "ratio", "<= 2", p50_ratio <= 2, command, note)
    return rate_ratio >= 0.5 and p50_ratio <= 2


def counted(clients: int) -> str:
    return f"{clients} client{'s' * (clients != 1)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--clients", type=int, nargs="+", default=[32, 4, 1], help="one measurement for each")
    options = parser.parse_args()
    reached = [
        told(clients, options.rounds, run(options.rounds, options.calls, clients)) for clients in options.clients
    ]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
