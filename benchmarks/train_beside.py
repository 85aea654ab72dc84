"""How much a training run on the same cores slows the answers down: unary p99 while it trains, against before it.

    python benchmarks/train_beside.py [--votes 3000] [--callers 4]

The service is a process of its own with a `classify` policy of the help desk. Callers ask without pause: first with
nothing beside, then while a run of the same policy trains. Both in one run, on the same home.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from random import Random
from time import perf_counter

from record import record
from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.records import PolicyKind, RunState
from thumbwheel.simulate.crowd import Crowd, Ledger
from thumbwheel.simulate.helpdesk import intent_questions, write_labelled
from thumbwheel.simulate.service import ServiceProcess, run_command
from thumbwheel.simulate.users import crowd_of
from thumbwheel.simulate.world import World

GOAL = 3.0
POLICY = "helpdesk-intent"
IDLE_S = 15.0
SETTINGS = {"serve.port": 0, "serve.admin_port": 0, "serve.web_port": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=3_000)
    parser.add_argument("--callers", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, data = Path(folder) / "home", Path(folder) / "intents.jsonl"
        write_labelled(World(), 2_000, Random(0), data)
        run_command(home, "policy", "init", POLICY, "--kind", "classify", "--data", str(data))
        with ServiceProcess(home, SETTINGS) as service:
            idle_s, beside_s = asyncio.run(compare(service.addresses, asked.votes, asked.callers))
    idle, beside = p99(idle_s), p99(beside_s)
    print("| while | calls | p50 ms | p99 ms |")
    print("|---|---|---|---|")
    for name, took_s in (("idle", idle_s), ("training", beside_s)):
        half = sorted(took_s)[len(took_s) // 2]
        print(f"| {name} | {len(took_s)} | {half * 1e3:.2f} | {p99(took_s) * 1e3:.2f} |")
    note = f"{asked.callers} callers without pause; p99 {idle * 1e3:.1f} ms idle, {beside * 1e3:.1f} ms beside training"
    command = "python benchmarks/train_beside.py"
    record(
        "unary p99 while training / idle", beside / idle, "ratio", f"<= {GOAL}", beside / idle <= GOAL, command, note
    )


async def compare(addresses: dict[str, str], votes: int, callers: int) -> tuple[list[float], list[float]]:
    async with AsyncClient(addresses["grpc"]) as client:
        with AdminClient(addresses["admin"]) as admin:
            while not all(one.served for one in await client.describe()):
                await asyncio.sleep(0.1)
            questions = intent_questions(World(), Random(1))
            crowd = Crowd(client, POLICY, PolicyKind.CLASSIFY, questions, crowd_of(100), Random(2))
            await crowd.ask(votes, 16, Ledger())
            while (await asyncio.to_thread(admin.status)).log_backlog_events:
                await asyncio.sleep(0.1)
            idle_s = await _timed(client, callers, asyncio.create_task(asyncio.sleep(IDLE_S)))
            run_id = await asyncio.to_thread(admin.start_run, POLICY, actor="benchmark")
            beside_s = await _timed(client, callers, asyncio.create_task(_ended(admin, run_id)))
    return idle_s, beside_s


async def _ended(admin: AdminClient, run_id: str) -> None:
    """Wait until the run was judged. Raises RuntimeError for one that came to no verdict: it has not trained."""
    while not (run := await asyncio.to_thread(admin.run, run_id)).state.is_final:
        await asyncio.sleep(0.5)
    if run.state is RunState.FAILED or not run.gates:
        raise RuntimeError(f"the run came to no verdict: {run.state}, {run.error or run.summary}")


async def _timed(client: AsyncClient, callers: int, until: asyncio.Task[None]) -> list[float]:
    took_s: list[float] = []
    world, rng = World(), Random(3)

    async def caller() -> None:
        while not until.done():
            text, started = world.message(rng).text, perf_counter()
            await client.classify(text, POLICY)
            took_s.append(perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    await until
    return took_s


def p99(took_s: list[float]) -> float:
    return sorted(took_s)[int(len(took_s) * 0.99)]


if __name__ == "__main__":
    main()
