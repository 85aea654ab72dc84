"""Runs that were asked for where nothing trains: rows that wait for a process that does."""

from __future__ import annotations

import time

from thumbwheel.errors import RunInProgress
from thumbwheel.records import AuditAction, AuditEntry, Run, RunState, RunStep
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.lock import LEASE_S
from thumbwheel.retrain.plan import champion_of, new_run_id
from thumbwheel.store.port import FeedbackStore

_LOOKED_AT = 100


def enqueue(store: FeedbackStore, registry: Registry, policy: str, actor: str, reason: str) -> str:
    """Ask for a run of a policy; return its id, under which whoever trains will begin it.

    Raises:
        RunInProgress: a run of the policy is under way, or one waits already.
        UnknownPolicy, Conflict: there is no such policy, or it has no champion.
        Unavailable: the database can not be written.
    """
    parent = champion_of(registry, policy)
    now_us = time.time_ns() // 1000
    run_id = new_run_id(policy, now_us)
    # The lease keeps two who ask at once apart, and refuses while a run of the policy is under way.
    lease = store.acquire_lease(policy, run_id, LEASE_S)
    try:
        waiting = [one for one in queued(store) if one.policy == policy]
        if waiting:
            raise RunInProgress(f"run {waiting[0].run_id} waits already: {WHO_BEGINS}")
        run = Run(run_id, policy, RunState.QUEUED, RunStep.FREEZE, parent, now_us, watermark=store.watermark())
        store.save_run(run, lease)
        store.audit(AuditEntry(now_us, AuditAction.RUN_QUEUED, actor, reason, policy, run_id))
    finally:
        store.release_lease(lease)
    return run_id


def queued(store: FeedbackStore) -> list[Run]:
    """Return the runs that wait, oldest first."""
    return [run for run in reversed(store.runs(limit=_LOOKED_AT)) if run.state is RunState.QUEUED]


WHO_BEGINS = "`thumbwheel retrain --watch` or `--once` begins it"
