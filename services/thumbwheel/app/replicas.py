"""How the replicas of a service are, as they told last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from thumbwheel.admin.ports import Swap
from thumbwheel.web.deps import Health, HealthState

FORGOTTEN_S = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a replica is, by policy: what it serves, what is wrong, and the last change, a version and its seconds.

    `unlogged`: the last answers could not be kept, of whatever policy.
    """

    serving: bool
    served: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    swaps: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    unlogged: bool = False

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return self.serving and not self.problems and not self.unlogged


class Replicas:
    """What operators are told of all replicas together. What was learned is forgotten after `FORGOTTEN_S`."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Nothing was told yet; `clock` tells seconds."""
        self._clock = clock
        self._learned: Mapping[str, Standing] = {}
        self._learned_at = clock()

    def learn(self, standings: Mapping[str, Standing]) -> None:
        """Take what the replicas told lately, by name."""
        self._learned, self._learned_at = standings, self._clock()

    @property
    def _standings(self) -> Mapping[str, Standing]:
        return self._learned if self._clock() - self._learned_at < FORGOTTEN_S else {}

    def health(self) -> Health:
        """What `/healthz` says: serving where any replica serves, degraded where not all do, or not all policies."""
        known = self._standings
        parts = {f"replica {name}": _part(one) for name, one in sorted(known.items())}
        if not any(one.serving for one in known.values()):
            return Health(HealthState.NOT_SERVING, parts)
        whole = all(one.well for one in known.values())
        return Health(HealthState.SERVING if whole else HealthState.DEGRADED, parts)

    def problem(self, policy: str) -> str:
        """Return why a replica does not serve a policy's champion; empty where all do."""
        return next((one.problems[policy] for one in self._standings.values() if policy in one.problems), "")

    def last_swap(self, policy: str) -> Swap:
        """Return the change to what most replicas serve now, with the slowest one's time."""
        swaps = [one.swaps[policy] for one in self._standings.values() if policy in one.swaps]
        if not swaps:
            return Swap()
        versions = [version for version, _ in swaps]
        newest = max(set(versions), key=versions.count)
        return Swap(newest, max(seconds for version, seconds in swaps if version == newest))


def _part(standing: Standing) -> str:
    served = ", ".join(f"{policy} {version}" for policy, version in sorted(standing.served.items()))
    said = served if standing.serving else f"not serving{': ' if served else ''}{served}"
    return f"{said}; its answers can't be voted on, its log refuses them" if standing.unlogged else said
