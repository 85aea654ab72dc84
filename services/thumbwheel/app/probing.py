"""/healthz and /metrics of a process that stands alone, or has no pages yet, on a port of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from thumbwheel.app.trust import http_tls
from thumbwheel.config.settings import Settings
from thumbwheel.telemetry.metrics import Metrics
from thumbwheel.web.deps import Health
from thumbwheel.web.probes import create_probes
from thumbwheel.web.server import serving

_DRAIN_S = 1.0


@asynccontextmanager
async def probing(
    settings: Settings, port: int, setting: str, health: Callable[[], Health], metrics: Metrics
) -> AsyncIterator[str]:
    """Answer probes on `port`, which came from `setting`, while the block runs; yield their address.

    They listen at the host of the setting's section. Raises InvalidConfig when the port can't be had,
    or the certificate can't be used.
    """
    host = settings.serve.host if setting.startswith("serve.") else settings.probes.host
    app = create_probes(health, metrics.registry)
    async with serving(app, host, port, _DRAIN_S, setting, http_tls(settings)) as url:
        yield url
