"""The process that works on one run: `python -m thumbwheel.retrain.worker --home HOME --run-id RUN`.

It has memory of its own, stands back for the service (niceness), is the first the kernel takes when memory runs
out, and, started with `--die-with-parent`, ends when whoever started it is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.errors import Fenced, RunInProgress, ThumbwheelError, Unavailable
from thumbwheel.records import PolicyKind, Run, RunState
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.artifacts.reports import open_reports
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.retrain.cycle import Cycle
from thumbwheel.retrain.exits import Exit
from thumbwheel.retrain.learner import Learner
from thumbwheel.retrain.learners import learner_for
from thumbwheel.retrain.left_checkpoints import clear_left
from thumbwheel.retrain.lock import RunLease, locked
from thumbwheel.retrain.plan import Plan, load_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.store.sql import open_store


def main(arguments: Sequence[str] | None = None) -> int:
    """Work on a run until it ended; return an `Exit`."""
    given = _parse(arguments)
    folder = RunFolder(Settings(home=given.home).runs_dir / given.run_id)
    plan = _at_home(load_plan(folder.path), given.home)
    if given.die_with_parent:
        threading.Thread(target=_die_with_parent, name="parent-watch", daemon=True).start()
    signal.signal(signal.SIGTERM, _stop)
    _step_back(plan)
    try:
        with locked(folder.lock):
            _work(plan, folder)
    except RunInProgress:
        return Exit.BUSY
    except Fenced:
        return Exit.FENCED
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return Exit.AWAY
    return Exit.FINISHED


def _at_home(plan: Plan, home: Path) -> Plan:
    """The plan in the home it is found in: a home may have been moved, or restored from a backup."""
    return replace(plan, settings=Settings(**{**dict(plan.settings), "home": home}))


def _work(plan: Plan, folder: RunFolder) -> None:
    """Run the cycle under the lease, and write how it ended; a run that ended before is left alone."""
    settings = plan.settings
    store = open_store(settings.database_url)
    registry = SqlRegistry(connect(settings.database_url), open_artifacts(settings))
    try:
        known = store.run(plan.run_id)
        if known and known.state is not RunState.RUNNING:
            return
        with RunLease(store, plan.policy, plan.run_id) as lease:
            cycle = Cycle(plan, folder, store, registry, partial(_learner, plan), lease, _now_us)
            ended = _ended(cycle)
            _keep_report(plan, folder, ended)
            store.save_run(ended, lease.lease)
        clear_left(settings.artifacts, store.run)
    finally:
        registry.close()
        store.close()


def _ended(cycle: Cycle) -> Run:
    """The run's final row. What trying again can not mend fails the run at once.

    So does a store that stays away for `learn.max_away_s`: the policy is free for another run then. A database that is
    away is waited for however long it takes, for nobody can write down how the run ended.
    """
    try:
        return cycle.run()
    except (Fenced, RunInProgress):
        raise
    except (Unavailable, SystemExit) as error:  # no fault of the step's
        cycle.folder.forgive(cycle.folder.step())
        if isinstance(error, Unavailable) and _is_given_up(cycle.plan, cycle.folder):
            waited = f"what the run needs was away for more than {cycle.plan.settings.learn.max_away_s / 3600:g} h"
            return _failed(cycle, f"{waited} (learn.max_away_s): {error}; then start another run")
        raise
    except ThumbwheelError as error:
        return _failed(cycle, str(error))


def _failed(cycle: Cycle, error: str) -> Run:
    return replace(cycle.row(cycle.folder.step()), state=RunState.FAILED, ended_us=cycle.now_us(), error=error)


def _is_given_up(plan: Plan, folder: RunFolder) -> bool:
    """Note that something is away; say whether it has been for too long."""
    return folder.away_s(time.time()) > plan.settings.learn.max_away_s


def _keep_report(plan: Plan, folder: RunFolder, ended: Run) -> None:
    """Where versions are kept outside of the home, put the report beside them before the run's row names it.

    A store that stays away for too long does without: the verdict counts, and the report stays in the run's folder.
    """
    reports = open_reports(plan.settings)
    if reports is None or not ended.report_path:
        return
    try:
        reports.keep(plan.run_id, folder.report)
    except Unavailable as error:
        if not _is_given_up(plan, folder):
            raise
        sys.stderr.write(f"the report is kept in {folder.report} alone: {error}\n")


def _learner(plan: Plan, kind: PolicyKind) -> Learner:
    import torch  # takes seconds; steps that learn nothing do without

    torch.set_num_threads(plan.settings.learn.threads)
    return learner_for(kind)


def _step_back(plan: Plan) -> None:
    """Let the service go first: on the processor, and when memory runs out."""
    os.nice(plan.settings.learn.niceness)
    with contextlib.suppress(OSError):  # only Linux has it, and not everywhere may it be written
        Path("/proc/self/oom_score_adj").write_text("500")


def _die_with_parent() -> None:
    """Standard input is a pipe that the parent holds open; it ends with the parent, whatever killed it."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(Exit.STOPPED)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """Leave by an exception: the lease is given back, the step is resumed from its checkpoint later."""
    raise SystemExit(Exit.STOPPED)


def _now_us() -> int:
    return time.time_ns() // 1000


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m thumbwheel.retrain.worker", description="Work on a training run.")
    parser.add_argument("--home", type=Path, required=True, help="the service's home folder")
    parser.add_argument("--run-id", required=True, help="a run planned there")
    parser.add_argument("--die-with-parent", action="store_true", help="end when standard input is closed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
