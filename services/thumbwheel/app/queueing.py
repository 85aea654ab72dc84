"""Training that happens elsewhere, as the admin door of `serve` sees it: asked for here, begun by `retrain`."""

from __future__ import annotations

from datetime import UTC, datetime

from thumbwheel.admin.ports import Schedule
from thumbwheel.app.learning import schedule_of
from thumbwheel.config.settings import Settings
from thumbwheel.registry.port import Registry
from thumbwheel.retrain.queue import enqueue
from thumbwheel.retrain.standing import Standings, kinds_in
from thumbwheel.store.port import FeedbackStore


class QueuedRuns:
    """Implements the admin door's `Loop` where nothing trains."""

    def __init__(self, store: FeedbackStore, registry: Registry, settings: Settings) -> None:
        """Queue runs in `store`; `settings` have the schedule that the processes share."""
        self._store = store
        self._registry = registry
        self._settings = settings
        self._standings = Standings(store, settings.schedule, _now(), _now, kinds_in(registry))

    def start_run(self, policy: str, actor: str) -> str:
        """Queue a run, which `retrain --watch` or `--once` begins. Raises RunInProgress."""
        return enqueue(self._store, self._registry, policy, actor, "asked for")

    def schedule(self, policy: str) -> Schedule:
        """What starts the next run of a policy, and how far the present one is."""
        return schedule_of(policy, self._store, self._standings, self._settings)


def _now() -> datetime:
    return datetime.now(UTC)
