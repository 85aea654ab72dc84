"""The keeper of Ray's replicas, as the process that started it has it. Its actor reads this too, and needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from thumbwheel.app.replicas import Standing
from thumbwheel.app.storage import open_registry
from thumbwheel.config.settings import Settings
from thumbwheel.hosts.ray.keeper import keeper_answers, start_keeper


class Keeping:
    """The keeper, as the process that started it has it."""

    def __init__(self, settings: Settings) -> None:
        """Start it. Blocks, as all calls do."""
        self._actor = start_keeper(_Generation(settings), settings.serve.reconcile_s)

    def standings(self) -> Mapping[str, Standing]:
        """Return how the replicas are. Raises Unavailable when the keeper does not answer."""
        found: Mapping[str, Standing] = keeper_answers(self._actor.standings)
        return found


@dataclass(frozen=True, slots=True)
class _Generation:
    """Opens the registry where the keeper is."""

    settings: Settings

    def __call__(self) -> Callable[[], int]:
        return open_registry(self.settings).generation
