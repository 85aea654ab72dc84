"""/metrics for Prometheus, /healthz for load balancers and people."""

from __future__ import annotations

from anyio import to_thread
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from thumbwheel.web.deps import Deps, HealthState
from thumbwheel.web.pages import NO_STORE


def routes(deps: Deps) -> list[Route]:
    """Return the routes of the probes."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        text = await to_thread.run_sync(encode, deps.metrics)
        return Response(text, headers={"Content-Type": content_type, **NO_STORE})

    async def healthz(_: Request) -> Response:
        health = deps.health()
        body = {"status": health.state, "parts": dict(health.parts)}
        # Degraded is for people: a balancer that took the process away for one policy would lose the others.
        return JSONResponse(body, 503 if health.state is HealthState.NOT_SERVING else 200, NO_STORE)

    return [Route("/metrics", metrics, methods=["GET"]), Route("/healthz", healthz, methods=["GET"])]
