"""The web application, put together."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from thumbwheel.errors import ThumbwheelError
from thumbwheel.web import ask, operate, probes, report, votes
from thumbwheel.web.deps import Deps
from thumbwheel.web.guard import KnownHosts
from thumbwheel.web.headers import SecurityHeaders
from thumbwheel.web.keys import KeyDemanded
from thumbwheel.web.pages import STATIC_DIR
from thumbwheel.web.problems import on_defect, on_http_error, on_service_error


def create_app(deps: Deps) -> Starlette:
    """Return the application: the user's page, the operator's page, the probes."""
    return Starlette(
        routes=[
            *ask.routes(deps),
            *votes.routes(deps),
            *operate.routes(deps),
            *report.routes(deps),
            *probes.routes(deps.health, deps.metrics),
            Mount("/static", StaticFiles(directory=STATIC_DIR)),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(KnownHosts, allowed=deps.allowed_hosts),
            *([Middleware(KeyDemanded, guard=deps.guard)] if deps.guard else []),
        ],
        exception_handlers={
            ThumbwheelError: on_service_error,
            HTTPException: on_http_error,
            Exception: on_defect,
        },
    )
