"""Serving through Ray, against Ray's own gRPC proxy and against one process; and swaps across two replicas.

    python benchmarks/serve_on_ray.py [--seconds 8] [--rounds 3] [--callers 32] [--swaps 20]

The same servicer, engines and requests (`Classify` by a tiny policy) each time, with Kafka behind the outbox:

- `ray`: `thumbwheel serve --on ray`, two replicas behind HAProxy;
- `proxy`: the same two replicas behind Ray Serve's own gRPC proxy, Ray as it comes;
- `here`: `thumbwheel serve`, one process without Ray.

`here` runs beside each of the others, and both are loaded in turn: the yardstick of what else the machine does. The
champion of `chat` moves among three versions while clients ask `ray` at a fixed pace; a call counts to "during swaps"
when it meets the time from a move to the moment when both replicas serve the new version.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from unittest import mock

import grpc.aio
import httpx

from record import record

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))  # how real servers are started

import kafka_server
from scaled_service import CHATS, make_home, new_topics, serving, settings_of
from service_ledger import wait_until_serving

from thumbwheel.client import AdminClient
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from thumbwheel.simulate import service as service_process
from thumbwheel.simulate.service import ServiceProcess

Span = tuple[float, float]
Figures = dict[str, dict[str, float]]
CHANNELS = 4
PACE_S = 0.2
CLIENTS = 8
AS_IT_COMES = {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "0"}
PLAIN = service_process.COMMAND
OWN_PROXY = "--own-proxy"  # used inside: serve with it
COMMAND = "python benchmarks/serve_on_ray.py"


def serve_as_ray_comes(arguments: list[str]) -> None:
    """Run the command line, but let Ray have its own proxy and its own ways."""
    from thumbwheel.cli.main import main as command_line
    from thumbwheel.hosts.ray import cluster

    shared = cluster._shared_environment
    cluster._shared_environment = lambda settings: {**shared(settings), **AS_IT_COMES}
    sys.argv = ["thumbwheel", *arguments]
    command_line()


@contextmanager
def started(home: Path, settings: Mapping[str, object], name: str) -> Iterator[ServiceProcess]:
    """Run one of the three services, until the block ends."""
    command = (sys.executable, __file__, OWN_PROXY) if name == "proxy" else PLAIN
    on = "here" if name == "here" else "ray"
    with mock.patch.object(service_process, "COMMAND", command), serving(home, settings, on) as service:
        asyncio.run(wait_until_serving(service.addresses["grpc"]))
        yield service


async def load(target: str, callers: int, seconds: float) -> dict[str, float]:
    """Ask from `callers` in turn for `seconds`."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(target, options=options) for _ in range(CHANNELS)]
    stubs: list[Any] = [InferenceServiceStub(channel) for channel in channels]
    took: list[float] = []
    ends = perf_counter() + seconds

    async def caller(number: int) -> None:
        request = pb.ClassifyRequest(policy="topics", text="where is my parcel", user=pb.User(id=f"user-{number}"))
        while (begun := perf_counter()) < ends:
            await stubs[number % CHANNELS].Classify(request)
            took.append(perf_counter() - begun)

    await asyncio.gather(*(caller(number) for number in range(callers)))
    for channel in channels:
        await channel.close()
    took.sort()
    return {"rate": len(took) / seconds, "p50_ms": took[len(took) // 2] * 1e3, "p99_ms": quantile(took, 0.99) * 1e3}


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def loaded(target: str, callers: int, seconds: float) -> dict[str, float]:
    """Load from a process of its own."""
    command = [sys.executable, __file__, "--load", target, "--callers", str(callers), "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


async def ask_on(target: str, number: int, stop: asyncio.Event, spans: list[Span], errors: list[str]) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = InferenceServiceStub(channel)
        request = pb.GenerateRequest(policy="chat", prompt=f"parcel {number}", sampling=pb.Sampling(max_new_tokens=16))
        while not stop.is_set():
            begun = perf_counter()
            try:
                await stub.Generate(request, timeout=60)
            except grpc.aio.AioRpcError as error:
                errors.append(f"{error.code().name}: {error.details()}")
            spans.append((begun, perf_counter()))
            await asyncio.sleep(max(0.0, begun + PACE_S - perf_counter()))


async def swaps(service: ServiceProcess, count: int) -> tuple[float, float, list[str], int]:
    """Return p99 in seconds steady and during swaps, the errors, and how many calls met a swap."""
    stop, spans, errors, moves = asyncio.Event(), list[Span](), list[str](), []
    target = service.addresses["grpc"]
    tasks = [asyncio.create_task(ask_on(target, number, stop, spans, errors)) for number in range(CLIENTS)]
    await asyncio.sleep(5)
    with AdminClient(service.addresses["admin"]) as admin:
        for index in range(count):
            version = CHATS[(index + 1) % 3]
            begun = perf_counter()
            await asyncio.to_thread(admin.promote, "chat", version, actor="benchmark", reason="a swap")
            while not await asyncio.to_thread(all_serve, service, f"chat {version}"):
                await asyncio.sleep(0.05)
            moves.append((begun, perf_counter()))
            await asyncio.sleep(1.5)
    stop.set()
    await asyncio.gather(*tasks)
    during = sorted(end - begun for begun, end in spans if any(begun < b and end > a for a, b in moves))
    steady = sorted(end - begun for begun, end in spans if not any(begun < b and end > a for a, b in moves))
    return quantile(steady, 0.99), quantile(during, 0.99), errors, len(during)


def all_serve(service: ServiceProcess, what: str) -> bool:
    parts = httpx.get(f"{service.addresses['probes']}/healthz", timeout=30).json()["parts"]
    return len(parts) == 2 and all(what in part for part in parts.values())


def compare(targets: dict[str, str], callers: int, seconds: float, rounds: int) -> Figures:
    """Load each in turn, several times; the median of each figure."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in targets}
    for target in targets.values():
        loaded(target, callers, 2)
    for number in range(rounds):
        for name in list(targets) if number % 2 else reversed(list(targets)):
            found[name].append(loaded(targets[name], callers, seconds))
            print(name, {key: round(value, 1) for key, value in found[name][-1].items()}, flush=True)
    return {name: {key: median(one[key] for one in runs) for key in runs[0]} for name, runs in found.items()}


def measure(arguments: argparse.Namespace) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "kafka").mkdir()
        libs = kafka_server.libs()
        assert libs is not None, kafka_server.CURE
        broker = stack.enter_context(kafka_server.running_broker(libs, folder / "kafka"))
        here = stack.enter_context(new(broker, folder, "here"))
        with new(broker, folder, "ray") as ray:
            by_ray = beside(here, "ray", ray, arguments)
            report_alone(compare(targets_of(here, "ray", ray), 1, arguments.seconds, 1))
            report_swaps(*asyncio.run(swaps(ray, arguments.swaps)), arguments.swaps)
        with new(broker, folder, "proxy") as proxy:
            by_proxy = beside(here, "proxy", proxy, arguments)
    report(by_ray, by_proxy, arguments)


def new(broker: kafka_server.KafkaBroker, folder: Path, name: str) -> AbstractContextManager[ServiceProcess]:
    make_home(folder / name)
    return started(folder / name, settings_of(new_topics(broker)), name)


def targets_of(here: ServiceProcess, name: str, other: ServiceProcess) -> dict[str, str]:
    return {"here": str(here.addresses["grpc"]), name: str(other.addresses["grpc"])}


def beside(here: ServiceProcess, name: str, other: ServiceProcess, arguments: argparse.Namespace) -> Figures:
    return compare(targets_of(here, name, other), arguments.callers, arguments.seconds, arguments.rounds)


def report(by_ray: Figures, by_proxy: Figures, arguments: argparse.Namespace) -> None:
    over_here = by_ray["ray"]["rate"] / by_ray["here"]["rate"]
    over_proxy = over_here / (by_proxy["proxy"]["rate"] / by_proxy["here"]["rate"])
    told = "; ".join(", ".join(f"{name} {_told(one)}" for name, one in found.items()) for found in (by_ray, by_proxy))
    note = f"{arguments.callers} callers of Classify, medians of {arguments.rounds} rounds in turn: {told}"
    figure = "Ray: calls/s through HAProxy over Ray's own proxy"
    record(figure, over_proxy, "ratio", ">= 3", over_proxy >= 3, COMMAND, note)
    record("Ray: calls/s of 2 replicas over one process without Ray", over_here, "ratio", "stated", True, COMMAND, note)


def _told(one: dict[str, float]) -> str:
    return f"{one['rate']:.0f} calls/s, p50 {one['p50_ms']:.1f} ms"


def report_alone(found: Figures) -> None:
    told = ", ".join(f"{name} {one['p50_ms']:.1f} ms" for name, one in found.items())
    cost = found["ray"]["p50_ms"] - found["here"]["p50_ms"]
    record("Ray: p50 of one caller beyond that of one process", cost, "ms", "stated", True, COMMAND, told)


def report_swaps(steady_s: float, during_s: float, errors: list[str], calls: int, count: int) -> None:
    ratio = during_s / steady_s
    note = (
        f"{count} swaps across 2 replicas, {calls} calls met one: {during_s * 1e3:.0f} against {steady_s * 1e3:.0f} ms"
    )
    record("Ray: p99 during swaps over p99 steady", ratio, "ratio", "<= 2", ratio <= 2, COMMAND, note)
    record("Ray: errors in swaps under load", len(errors), "errors", "0", not errors, COMMAND, "; ".join(errors[:3]))


def main() -> None:
    if sys.argv[1:2] == [OWN_PROXY]:
        serve_as_ray_comes(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", metavar="TARGET", help="load a service and print what was found; used inside")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--swaps", type=int, default=20)
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(asyncio.run(load(arguments.load, arguments.callers, arguments.seconds))))
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
