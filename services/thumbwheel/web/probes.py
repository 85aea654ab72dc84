"""/metrics for Prometheus, /healthz for load balancers and people."""

from __future__ import annotations

from collections.abc import Callable

from anyio import to_thread
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from thumbwheel.web.deps import Health, HealthState
from thumbwheel.web.pages import NO_STORE


def create_probes(health: Callable[[], Health], metrics: CollectorRegistry) -> Starlette:
    """Return an application of the probes alone, for a process that has no pages."""
    return Starlette(routes=routes(health, metrics))


def routes(health: Callable[[], Health], registry: CollectorRegistry) -> list[Route]:
    """Return the routes of the probes."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        text = await to_thread.run_sync(encode, registry)
        return Response(text, headers={"Content-Type": content_type, **NO_STORE})

    async def healthz(_: Request) -> Response:
        found = health()
        body = {"status": found.state, "parts": dict(found.parts)}
        # Degraded is for people: a balancer that took the process away for one policy would lose the others.
        return JSONResponse(body, 503 if found.state is HealthState.NOT_SERVING else 200, NO_STORE)

    return [Route("/metrics", metrics, methods=["GET"]), Route("/healthz", healthz, methods=["GET"])]
