"""Counts how requests to both versions of a canary's trial go in this process, for who watches the trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from thumbwheel.errors import InvalidInput, Overloaded
from thumbwheel.inference.swap import Served, ServedPolicies
from thumbwheel.registry.serving_tally import Tally
from thumbwheel.registry.trial import Served as Counted

Key = tuple[int, str]
"""(trial, version)."""


class TrialTally:
    """Tallies by trial and version. Lives on the event loop."""

    def __init__(self, policies: ServedPolicies) -> None:
        """Count while `policies` know of a trial."""
        self._policies = policies
        self._tallies: dict[Key, Tally] = {}

    @contextmanager
    def counting(self, served: Served) -> Iterator[None]:
        """Count the request that the block answers.

        A request that is wrong, comes when all is full, or is cancelled by who asked is no failure of the version.
        """
        split = self._policies.split(served.ref.policy)
        if split is None:
            yield
            return
        tally = self._tallies.setdefault((split.trial_id, served.ref.version), Tally())
        started = monotonic()
        try:
            yield
        except (InvalidInput, Overloaded):
            raise
        except Exception:
            tally.failed()
            raise
        tally.succeeded(monotonic() - started)

    def so_far(self) -> dict[Key, Counted]:
        """What was counted of trials that are on; that of others is forgotten."""
        on = {split.trial_id for info in self._policies.known() if (split := self._policies.split(info.policy))}
        self._tallies = {key: tally for key, tally in self._tallies.items() if key[0] in on}
        return {key: tally.so_far() for key, tally in self._tallies.items()}
