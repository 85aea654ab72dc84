"""Waiting for a database that is away when a process starts, as what runs already waits for one that goes away."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from thumbwheel.app.probing import probing
from thumbwheel.app.storage import open_registry
from thumbwheel.config.settings import Settings
from thumbwheel.errors import Unavailable
from thumbwheel.telemetry.logging import get_logger
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import Health, HealthState

_LOOK_S = 1.0
_WAITING = Health(HealthState.NOT_SERVING, {"database": "away; it is waited for"})

logger = get_logger(__name__)


async def database_there(settings: Settings, port: int, setting: str, metrics: Metrics, stopped: asyncio.Event) -> bool:
    """Return once the database answers, its tables brought up to date; False when `stopped` is set before.

    Until then /healthz at `port`, which came from `setting`, says NOT_SERVING. A store in the home is not waited for:
    nobody else brings it.

    Raises:
        InvalidConfig: the port can't be had.
        SchemaMismatch: a newer release wrote the database.
    """
    if not settings.database.url or (problem := await _problem(settings)) is None:
        return True
    async with probing(settings, port, setting, lambda: _WAITING, metrics) as url:
        logger.warning("waiting for the database", problem=problem, healthz=f"{url}/healthz")
        while problem is not None and not stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stopped.wait()
            problem = await _problem(settings)
    if problem is None:
        logger.info("the database answers")
    return problem is None


async def _problem(settings: Settings) -> str | None:
    try:
        (await asyncio.to_thread(open_registry, settings)).close()
    except Unavailable as error:
        return str(error)
    return None
