"""A run's report, from the folder of runs, or from where it is kept if it was made elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from thumbwheel.errors import UnknownRun
from thumbwheel.web.deps import Deps
from thumbwheel.web.guard import demand_operator
from thumbwheel.web.headers import REPORT_SECURITY_POLICY

FILE_NAME = "report.html"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def routes(deps: Deps) -> list[Route]:
    """Return the route of the reports."""

    async def report(request: Request) -> Response:
        demand_operator(request, deps)
        run_id = request.path_params["run_id"]
        headers = {"Content-Security-Policy": REPORT_SECURITY_POLICY, "Cache-Control": "no-cache"}
        kind = "text/html; charset=utf-8"
        try:
            path = await to_thread.run_sync(find_report, deps.runs_dir, run_id)
        except UnknownRun:
            kept = await to_thread.run_sync(deps.kept_report, run_id) if _RUN_ID.fullmatch(run_id) else None
            if kept is None:
                raise
            return Response(kept, media_type=kind, headers=headers)
        return FileResponse(path, media_type=kind, headers=headers)

    return [Route(f"/operate/runs/{{run_id}}/{FILE_NAME}", report, methods=["GET"])]


def find_report(runs_dir: Path, run_id: str) -> Path:
    """Return the report in the run's own folder.

    Raises UnknownRun when there is none, when the id could name anything but a folder directly in `runs_dir`,
    or when a link leads out of it.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UnknownRun("A run's id has letters, digits, '.', '_' and '-' only.")
    path = runs_dir / run_id / FILE_NAME
    if not path.is_file() or path.resolve() != (runs_dir.resolve() / run_id / FILE_NAME):
        raise UnknownRun(f"Run {run_id} has no report yet, or there is no such run.")
    return path
