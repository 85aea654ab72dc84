"""Training runs, as their pages and the erasure report need them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from thumbwheel.database.schema import runs as table
from thumbwheel.records import GateResult, Run, RunState, RunStep


def save(connection: Connection, run: Run) -> None:
    """Insert or update a run."""
    row = _row(run)
    changed = connection.execute(update(table).where(table.c.run_id == run.run_id).values(row))
    if changed.rowcount == 0:
        connection.execute(insert(table).values(row))


def get(connection: Connection, run_id: str) -> Run | None:
    """Return a run, or None."""
    row = connection.execute(select(table).where(table.c.run_id == run_id)).first()
    return _run(row) if row else None


def newest(connection: Connection, policy: str, limit: int) -> list[Run]:
    """Return the runs of a policy (empty: of all), newest first."""
    query = select(table).order_by(table.c.started_us.desc(), table.c.run_id.desc()).limit(limit)
    if policy:
        query = query.where(table.c.policy == policy)
    return [_run(row) for row in connection.execute(query)]


def _row(run: Run) -> dict[str, object]:
    gates = json.dumps([asdict(gate) for gate in run.gates])
    values = {column.name: getattr(run, column.name) for column in table.columns if column.name != "gates"}
    return {**values, "state": run.state.value, "step": run.step.value, "gates": gates}


def _run(row: Row[Any]) -> Run:
    gates = tuple(GateResult(**gate) for gate in json.loads(row.gates))
    return Run(**{**row._mapping, "state": RunState(row.state), "step": RunStep(row.step), "gates": gates})
