"""What TLS and the check of an API key cost on the whole unary path, with a policy that costs nothing, against plain.

    python benchmarks/trust_cost.py [--rounds 8] [--calls 1000] [--clients 32]

Three services, processes of their own, called in turns by the same client over connections that stay open: in plain
text, by TLS, and in plain text with `auth.mode = "keys"`. A handshake is not in it, nor the first sight of a key.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import grpc.aio
import uvloop

from record import record
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.records import ApiKey, PolicyKind, Scope
from unary_overhead import METHOD, REQUEST, FreeLoader, _told_to_stop

Figures = dict[str, list[tuple[float, float]]]
GOALS = {"tls": 0.15, "keys": 0.03}


@dataclass(frozen=True)
class Reached:
    """A service, and what a caller of it brings."""

    address: str
    ca: bytes | None = None
    key: str = ""


def certificates(folder: Path) -> dict[str, Path]:
    """An authority's certificate for loopback."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from certificates import authority

    known = authority(folder)
    pair = known.sign(folder, "127.0.0.1")
    return {"certificate_file": pair[0], "key_file": pair[1], "ca_file": known.file}


def made_key(home: Path) -> str:
    """An API key in the home's database."""
    from thumbwheel.access.api_keys import new_key
    from thumbwheel.app.admission import open_api_keys
    from thumbwheel.config.settings import Settings

    shown, key_id, verifier = new_key()
    with closing(open_api_keys(Settings(home=home))) as table:
        table.add(ApiKey(key_id, "benchmark", (Scope.INFER,), verifier, time.time_ns() // 1_000, "benchmark"), "figure")
    return shown


async def service(name: str, pipe: multiprocessing.connection.Connection) -> None:
    """Serve the whole path until told to stop."""
    from embedded_service import embedded_service
    from thumbwheel.inference.torch_runtime import prepare_torch, spare_the_collector

    prepare_torch(0)
    spare_the_collector()  # as the real loader does before its first model
    with tempfile.TemporaryDirectory() as scratch:
        home, folder = Path(scratch) / "home", Path(scratch) / "free"
        home.mkdir()
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"")
        tls = certificates(Path(scratch)) if name == "tls" else {}
        key = made_key(home) if name == "keys" else ""
        sections: dict[str, Any] = {"tls": tls, "auth": {"mode": "keys" if key else "off"}}
        policy = ("free", PolicyKind.CLASSIFY, [folder], FreeLoader())
        async with embedded_service(home, *policy, **sections) as running:
            pipe.send(Reached(running.address, tls["ca_file"].read_bytes() if tls else None, key))
            await _told_to_stop(pipe)


def serve(name: str, pipe: multiprocessing.connection.Connection) -> None:
    uvloop.run(service(name, pipe))  # as `thumbwheel up` does


def channel_to(reached: Reached) -> grpc.aio.Channel:
    options = [("grpc.use_local_subchannel_pool", 1)]
    if reached.ca is None:
        return grpc.aio.insecure_channel(reached.address, options=options)
    return grpc.aio.secure_channel(reached.address, grpc.ssl_channel_credentials(reached.ca), options=options)


async def measure(services: dict[str, Reached], rounds: int, calls: int, clients: int) -> Figures:
    """For each service the (calls a second, p50 in ms) of every round, the services taking turns."""
    from embedded_service import closed_loop

    figures: Figures = {name: [] for name in services}
    channels = {name: channel_to(reached) for name, reached in services.items()}
    metadata = {name: (("authorization", f"Bearer {one.key}"),) if one.key else None for name, one in services.items()}
    for turn in range(-1, rounds):
        for name, channel in channels.items():
            method = channel.unary_unary(METHOD, pb.ClassifyRequest.SerializeToString, lambda data: data)
            started = perf_counter()
            seconds = await closed_loop(
                calls, clients, lambda method=method, name=name: method(REQUEST, metadata=metadata[name])
            )
            if turn >= 0:  # the first one warms
                figures[name].append((calls / (perf_counter() - started), median(seconds) * 1e3))
    for channel in channels.values():
        await channel.close()
    return figures


def run(rounds: int, calls: int, clients: int) -> Figures:
    """Start the services, measure, stop them."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Any] = {}
    for name in ("plain", *GOALS):
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, theirs), daemon=True).start()
    try:
        return asyncio.run(measure({name: pipe.recv() for name, pipe in pipes.items()}, rounds, calls, clients))
    finally:
        for pipe in pipes.values():
            pipe.send("stop")
        for process in multiprocessing.active_children():
            process.join(30)


def told(figures: Figures, name: str, clients: int) -> bool:
    """Print and record what `name` costs; True when the goal is reached."""
    pairs = list(zip(figures[name], figures["plain"], strict=True))
    fewer = 1 - median(one[0] / plain[0] for one, plain in pairs)
    later = median(one[1] / plain[1] for one, plain in pairs) - 1
    what = {"tls": "TLS", "keys": "the check of an API key"}[name]
    print(f"{what}: {fewer:+.1%} fewer calls/s, p50 {later:+.1%}   goal <= {GOALS[name]:.0%}")
    rates = {one: median(rate for rate, _ in rows) for one, rows in figures.items()}
    note = f"plain {rates['plain']:.0f} calls/s, with it {rates[name]:.0f}; medians of rounds in turn"
    command = "python benchmarks/trust_cost.py"
    for measured, value in (("calls/s lost", fewer), ("p50 added", later)):
        goal = f"<= {GOALS[name]}"
        record(f"{measured} by {what}, {clients} clients", value, "fraction", goal, value <= GOALS[name], command, note)
    return max(fewer, later) <= GOALS[name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    figures = run(options.rounds, options.calls, options.clients)
    return 0 if all([told(figures, name, options.clients) for name in GOALS]) else 1


if __name__ == "__main__":
    sys.exit(main())
