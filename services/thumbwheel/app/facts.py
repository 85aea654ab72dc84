"""What a process that serves tells operators of itself."""

from __future__ import annotations

from importlib.metadata import version

from thumbwheel.admin.ports import ServiceFacts, Swap
from thumbwheel.app.outboxes import replicas_dir, unshipped
from thumbwheel.app.storage import Storage
from thumbwheel.config.settings import Settings
from thumbwheel.inference.reconcile import Reconciler
from thumbwheel.ingest.backlog import backlog
from thumbwheel.registry.artifacts.reports import open_reports


def service_facts(settings: Settings, storage: Storage, reconciler: Reconciler, started_us: int) -> ServiceFacts:
    """Return the facts of a process that serves what `reconciler` loads and keeps what it takes in `storage`.

    Counted with what replicas on Ray left in their outboxes, when this home was theirs.
    """
    reports, folder = open_reports(settings), replicas_dir(settings)
    return ServiceFacts(
        version("thumbwheel"),
        started_us,
        settings.home,
        lambda: backlog(storage.source, storage.store) + unshipped(folder),
        lambda: storage.source.unshipped() + unshipped(folder),
        lambda policy: _swap(reconciler, policy),
        reconciler.explain,
        reports.place if reports else None,
        settings.canary.share,
    )


def _swap(reconciler: Reconciler, policy: str) -> Swap:
    last = reconciler.last_swap.get(policy)
    # the first version's load at the start is no swap
    return Swap(last.version, last.duration_s) if last and last.previous else Swap()
