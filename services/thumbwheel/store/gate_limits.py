"""The gates' thresholds as they changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from thumbwheel.database.schema import gate_limits as table
from thumbwheel.records import AuditAction, AuditEntry
from thumbwheel.store import audit


def enter(connection: Connection, limits: Mapping[str, float], actor: str, now_us: int) -> str:
    """Keep thresholds that differ from the last ones, and audit what differs; return it in words."""
    written = json.dumps(dict(limits), sort_keys=True)
    last = connection.scalar(select(table.c.limits).order_by(table.c.id.desc()).limit(1))
    if last == written:
        return ""
    digest = "sha256:" + hashlib.sha256(written.encode()).hexdigest()
    connection.execute(insert(table).values({"time_us": now_us, "digest": digest, "limits": written}))
    if last is None:
        return ""
    changed = _differences(json.loads(last), limits)
    audit.add(connection, AuditEntry(now_us, AuditAction.GATES_CHANGED, actor, changed, subject=digest))
    return changed


def _differences(old: Mapping[str, float], new: Mapping[str, float]) -> str:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return "; ".join(f"{name} {_number(old.get(name))} -> {_number(new.get(name))}" for name in names)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
