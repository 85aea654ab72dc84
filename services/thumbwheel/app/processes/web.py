"""The pages alone: what `thumbwheel web` runs, before the gRPC doors of a service elsewhere.

Questions, votes and operators' orders go to those doors. What it reads itself are one's own votes, in the database, and
how far ingest is, in Kafka; the key file gives it the users' pseudonyms. It keeps nothing.

On SIGTERM or SIGINT it takes no new connection, and requests in flight finish.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from thumbwheel.app.admission import admitting
from thumbwheel.app.awaiting import database_there
from thumbwheel.app.lifetime import on_signals
from thumbwheel.app.pages import Behind, Doors, pages
from thumbwheel.app.probing import probing
from thumbwheel.app.settled import is_settled
from thumbwheel.app.shared_log import demand_shared_log
from thumbwheel.app.storage import open_between
from thumbwheel.app.trust import calls_tls, demand_guarded, own_key, probes_host
from thumbwheel.client import AsyncClient
from thumbwheel.config.settings import Settings
from thumbwheel.errors import ThumbwheelError
from thumbwheel.feedback.keys import load_keys
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import RETRY, Health, HealthState


@dataclass(frozen=True, slots=True)
class Started:
    """Where the pages are, where they tell of themselves, and which door is behind them."""

    pages: str
    probes: str
    behind: str


async def run(settings: Settings, address: str, admin_address: str, ready: Callable[[Started], None]) -> None:
    """Serve pages of the doors at `address` and `admin_address` until SIGTERM or SIGINT.

    Raises:
        InvalidConfig: the log is embedded, the key file is missing or can be read by others, or a port is taken.
        SchemaMismatch: a newer release wrote the database.

    A database that is away at the start is waited for, and so is a door, of which the pages say so.
    """
    demand_shared_log(settings, "web")
    demand_guarded(settings, {"serve.host": settings.serve.host, **probes_host(settings)})
    for door in (address, admin_address):
        calls_tls(settings, door)
    own_key(settings)
    stopped, metrics = on_signals(), Metrics()
    async with AsyncExitStack() as stack:
        keys = load_keys(settings.keys_path)
        if not await database_there(settings, settings.probes.web_port, "probes.web_port", metrics, stopped):
            return
        source, store = stack.enter_context(open_between(settings))
        health = await stack.enter_async_context(_watching(settings, address))

        async def settled() -> bool:
            return await is_settled(store, source)

        doors = Doors(address, admin_address, own_key(settings), stack.enter_context(admitting(settings)))
        behind = Behind(doors, store, health, metrics.registry, settled)
        url = await stack.enter_async_context(pages(settings, keys, behind))
        port = settings.probes.web_port
        probes = await stack.enter_async_context(probing(settings, port, "probes.web_port", health, metrics))
        ready(Started(url, probes, address))
        await stopped.wait()


@asynccontextmanager
async def _watching(settings: Settings, address: str) -> AsyncIterator[Callable[[], Health]]:
    """Look now and then, while the block runs, whether the door answers; yield what is known of it."""
    found = {"serve": "not asked yet"}
    healthy, tls = False, calls_tls(settings, address)

    async def look() -> None:
        nonlocal healthy
        async with AsyncClient(address, retry=RETRY, tls=tls, api_key=own_key(settings)) as client:
            while True:
                try:
                    await client.describe()
                    found["serve"], healthy = f"answers at {address}", True
                except ThumbwheelError:
                    found["serve"], healthy = f"does not answer at {address}", False
                await asyncio.sleep(settings.web.look_s)

    looking = asyncio.create_task(look(), name="look")
    try:
        yield lambda: Health(HealthState.SERVING if healthy else HealthState.DEGRADED, dict(found))
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
