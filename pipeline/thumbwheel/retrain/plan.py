"""What a run is about to do, written down before it begins: the same plan on the same votes gives the same verdict."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import assert_never

from thumbwheel.config.settings import Settings
from thumbwheel.dataset.manifest import Request
from thumbwheel.durable import write_whole
from thumbwheel.errors import Conflict, DamagedArtifact, UnknownPolicy, UnknownVersion
from thumbwheel.gates.probes import check_probes
from thumbwheel.gates.threshold_file import in_force
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.registry.port import Registry
from thumbwheel.store.port import FeedbackStore

PLAN_NAME = "plan.json"

# Votes on answers of the champion and its nearest ancestors are near enough to what the champion would answer.
LINEAGE = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """The inputs of a run, fixed at its start.

    `parent` is the champion that is to be improved, `lineage` it and its ancestors, nearest first. `watermark` fixes
    the votes, `seed` the random numbers, `settings` everything else. `older` are the ancestors before those, as far
    as votes on them teach (plans of earlier releases lack them).
    """

    run_id: str
    policy: str
    kind: PolicyKind
    parent: str
    lineage: tuple[str, ...]
    watermark: int
    seed: int
    started_us: int
    settings: Settings
    older: tuple[str, ...] = ()

    @property
    def draw_seed(self) -> str:
        """Seeds what is drawn to judge by: the same for the same votes on the same champion, another with new votes.

        A run that is merely repeated gets the same verdict: who is refused can't go on trying until luck lets it pass.
        """
        return f"{self.policy} {self.parent} {self.watermark} {self.seed}"

    @property
    def votes(self) -> Request:
        """The votes the run learns from: of `classify` and `tag` those on answers of the lineage, else all.

        Of those, votes on older ancestors come along: what they say of a label, or correct, stands.
        """
        match self.kind:
            case PolicyKind.CLASSIFY | PolicyKind.TAG:
                versions, older = self.lineage, self.older
            case PolicyKind.GENERATE:
                versions, older = (), ()
            case _:
                assert_never(self.kind)
        return Request.of(self.policy, self.kind, self.watermark, self.settings.data, self.seed, versions, older)


def make_plan(store: FeedbackStore, registry: Registry, settings: Settings, policy: str, run_id: str = "") -> Plan:
    """Plan a run on the votes that are there now, under `run_id` if it has one already.

    Raises:
        UnknownPolicy: there is no such policy.
        Conflict: it has no champion to start from.
        InvalidConfig: the file of the gates' thresholds, or one of `gates.probes_dir`, can not be used.
    """
    check_probes(settings.gates.probes_dir)
    parent = champion_of(registry, policy)
    started_us = time.time_ns() // 1000
    line = _lineage(registry, policy, parent, LINEAGE + settings.learn.past_versions)
    return Plan(
        run_id=run_id or new_run_id(policy, started_us),
        policy=policy,
        kind=registry.manifest(policy, parent).kind,
        parent=parent,
        lineage=line[:LINEAGE],
        older=line[LINEAGE:],
        watermark=store.watermark(),
        seed=settings.learn.seed,
        started_us=started_us,
        settings=settings.model_copy(update={"gates": in_force(settings.gates)}),
    )


def save_plan(plan: Plan, folder: Path) -> None:
    """Write the plan into the run's folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {name: getattr(plan, name) for name in Plan.__slots__ if name != "settings"}
    record["settings"] = plan.settings.model_dump(mode="json")
    write_whole(folder / PLAN_NAME, json.dumps(record, indent=2, sort_keys=True) + "\n")


def load_plan(folder: Path) -> Plan:
    """Read a run's plan. Raises DamagedArtifact when it is missing or unreadable."""
    try:
        record = json.loads((folder / PLAN_NAME).read_text(encoding="utf-8"))
        nested = {
            "kind": PolicyKind(record["kind"]),
            "lineage": tuple(record["lineage"]),
            "older": tuple(record.get("older", ())),
            "settings": Settings.model_validate(record["settings"]),
        }
        return Plan(**{**record, **nested})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedArtifact(f"run {folder.name}: {PLAN_NAME} can not be read; start another run") from error


def champion_of(registry: Registry, policy: str) -> str:
    """Return the version that a run would improve. Raises UnknownPolicy, Conflict where there is none."""
    known = [name for name, _ in registry.policies()]
    if policy not in known:
        raise UnknownPolicy.among(policy, known)
    champion = registry.channels(policy).get(Channel.CHAMPION, "")
    if not champion:
        raise Conflict(f"policy {policy} has no champion to improve; promote a version first")
    return champion


def _lineage(registry: Registry, policy: str, version: str, most: int) -> tuple[str, ...]:
    """The version and its ancestors, nearest first, up to `most`; it ends where one is known no more.

    Raises UnknownVersion when one of the nearest is not known: votes on it would be asked for.
    """
    line: list[str] = []
    while version and len(line) < most:
        try:
            parent = registry.manifest(policy, version).parent
        except UnknownVersion:
            if len(line) < LINEAGE:
                raise
            break
        line.append(version)
        version = parent
    return tuple(line)


def new_run_id(policy: str, started_us: int) -> str:
    """Return an id for a run. It sorts by time within a policy, reads well, and two of the same second differ."""
    at = datetime.fromtimestamp(started_us / 1e6, UTC)
    return f"{policy}-{at:%Y%m%d-%H%M%S}-{token_hex(2)}"
