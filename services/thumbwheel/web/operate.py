"""The operator's page: what is served, how users like it, what the runs found, and the levers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from thumbwheel.access.caller import signed
from thumbwheel.client import AdminClient
from thumbwheel.client.admin import Moved, VersionSummary
from thumbwheel.errors import UnknownPolicy
from thumbwheel.records import Channel
from thumbwheel.web.ask import MAX_POLICY_CHARS
from thumbwheel.web.deps import Deps
from thumbwheel.web.fields import Fields
from thumbwheel.web.guard import demand_operator, posted
from thumbwheel.web.pages import NO_STORE, render
from thumbwheel.web.rates import thumbs_up_rate
from thumbwheel.web.trials import shown_trial
from thumbwheel.web.visitor import csrf_token, remember, visitor_of

MAX_REASON_CHARS = 500
_MAX_ACTOR_CHARS = 100
_MAX_VERSION_CHARS = 40
_RUNS_SHOWN = 6
_HISTORY_SHOWN = 20


def routes(deps: Deps) -> list[Route]:
    """Return the routes of operating."""

    async def _overview(request: Request) -> dict[str, Any]:
        return await to_thread.run_sync(overview, deps.admin, request.query_params.get("policy", ""))

    async def page(request: Request) -> Response:
        demand_operator(request, deps)
        visitor = visitor_of(request, deps.secret)
        context = await _overview(request)
        response = render("operate.html", {**context, "csrf": csrf_token(visitor, deps.secret)})
        remember(response, visitor, request, deps.secret)
        return response

    async def panels(request: Request) -> Response:
        demand_operator(request, deps)
        return render("panels.html", await _overview(request))

    async def promote(request: Request) -> Response:
        policy, fields = await _order(request, deps, "version")
        version = fields.text("version", _MAX_VERSION_CHARS)
        order = partial(deps.admin.promote, policy, version, reason=_reason(fields), actor=_actor(fields))
        return _moved(await to_thread.run_sync(order))

    async def rollback(request: Request) -> Response:
        policy, fields = await _order(request, deps)
        order = partial(deps.admin.rollback, policy, reason=_reason(fields), actor=_actor(fields))
        return _moved(await to_thread.run_sync(order))

    async def stop(request: Request) -> Response:
        policy, fields = await _order(request, deps)
        order = partial(deps.admin.stop_trial, policy, reason=_reason(fields), actor=_actor(fields))
        return JSONResponse(asdict(await to_thread.run_sync(order)), headers=NO_STORE)

    return [
        Route("/operate", page, methods=["GET"]),
        Route("/operate/panels", panels, methods=["GET"]),
        Route("/operate/promote", promote, methods=["POST"]),
        Route("/operate/rollback", rollback, methods=["POST"]),
        Route("/operate/stop", stop, methods=["POST"]),
    ]


def overview(admin: AdminClient, wanted: str) -> dict[str, Any]:
    """Return all that the page shows of one policy, by default the first. Blocks. Raises UnknownPolicy."""
    policies, status = admin.policies(), admin.status()
    policy = _chosen([one.policy for one in policies], wanted)
    versions = [_version_row(version) for version in admin.versions(policy)] if policy else []
    state = next((one for one in status.policies if one.policy == policy), None)
    history = admin.history(policy, _HISTORY_SHOWN) if policy else ()
    return {
        "policies": policies,
        "policy": policy,
        "status": status,
        "state": state,
        "trial": shown_trial(state, history),
        "versions": versions,
        "champion": next((row for row in versions if row["is_champion"]), None),
        "runs": [admin.run(run.run_id) for run in admin.runs(policy, _RUNS_SHOWN)] if policy else [],
        "history": history,
    }


def _chosen(names: Sequence[str], wanted: str) -> str:
    if wanted and wanted not in names:
        raise UnknownPolicy(f"policy: there is none of this name; there are: {', '.join(names) or 'none yet'}")
    return wanted or (names[0] if names else "")


def _version_row(version: VersionSummary) -> dict[str, Any]:
    return {
        "summary": version,
        "is_champion": Channel.CHAMPION in version.channels,
        "rate": thumbs_up_rate(version.votes.thumbs_up, version.votes.thumbs_down),
    }


async def _order(request: Request, deps: Deps, *further: str) -> tuple[str, Fields]:
    """Return the policy and the fields of an order that only an operator may give."""
    demand_operator(request, deps)
    _, fields = await posted(request, deps)
    fields.only("policy", "reason", "actor", *further)
    return fields.text("policy", MAX_POLICY_CHARS), fields


def _reason(fields: Fields) -> str:
    return fields.text("reason", MAX_REASON_CHARS)


def _actor(fields: Fields) -> str:
    # The key's name, which is sure, stands first and stays whole.
    return signed(fields.text("actor", _MAX_ACTOR_CHARS))[:_MAX_ACTOR_CHARS]


def _moved(moved: Moved) -> Response:
    return JSONResponse(asdict(moved), headers=NO_STORE)
