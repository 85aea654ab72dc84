"""The poison drill: is what is learned from falsified votes as good as from honest ones, or is the run stopped?

A policy that few labels taught answers users; an honest first round of votes makes it the champion, and a second round
is learned from: once honest, then falsified in every way and by every share. The steps are a run's own: freeze, weigh
by rater, PPO on logged votes, measure, judge. Only the service and the database are left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Final

from thumbwheel.drill.poison_stage import Learned, Scale, set_up
from thumbwheel.pretrain.corpus import LabelledText

MOST_LOST: Final = 0.01
"""The share of true quality that learning from falsified votes may cost."""
BRIGADE: Final = 0.05
"""Up to this share of the raters, the reward of a target moves by no more than its bound."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One falsified log beside the clean one: the same, but the attackers' votes count nothing.

    That is the most that can be asked, as there is nothing to learn from them. `all_honest` is the true quality where
    they vote as honestly as others, and so there is more to learn from.
    """

    seed: int
    poison: str
    share: float
    all_honest: float
    clean: float
    learned: Learned

    @property
    def lost(self) -> float:
        """The share of the clean log's true quality that was lost; below 0: gained."""
        return 1 - self.learned.quality / self.clean

    @property
    def stopped(self) -> bool:
        """Whether a gate stopped the run."""
        return bool(self.learned.stopped_by)

    @property
    def bounded(self) -> bool:
        """Whether a brigade moved its target no further than the bound, where there is a target and it is so small."""
        return self.learned.say is None or self.share > BRIGADE or self.learned.say.holds


@dataclass(frozen=True, slots=True)
class Row:
    """One way to falsify by one share, over the seeds.

    A single pair of trainings differs by about a hundredth for no reason but chance, up as often as down, so what is
    lost is the mean over seeds.
    """

    poison: str
    share: float
    outcomes: Sequence[Outcome]

    @property
    def lost(self) -> float:
        """Mean share of true quality that was lost where no gate stopped the run; 0 where all were stopped."""
        passed = [one.lost for one in self.outcomes if not one.stopped]
        return mean(passed) if passed else 0.0

    @property
    def as_good(self) -> bool:
        """Whether no more than `MOST_LOST` was lost by the runs that no gate stopped."""
        return self.lost <= MOST_LOST

    @property
    def holds(self) -> bool:
        """As good, or stopped; and a brigade's target moved no further than its bound in any seed."""
        return self.as_good and all(one.bounded for one in self.outcomes)


Tell = Callable[[int, int], None]
"""Called with (logs learned from, all of them)."""


def rehearse(
    seeds: Sequence[int],
    work: Path,
    labelled: Sequence[LabelledText] = (),
    scale: Scale | None = None,
    tell: Tell = lambda done, total: None,
) -> list[Outcome]:
    """Run the drill for each seed in folders below `work`, on `labelled` texts, or on the help desk's.

    The same seeds, texts and scale give the same outcomes on the same machine.
    """
    scale = scale or Scale()
    logs = len(seeds) * (1 + len(scale.kinds) * len(scale.shares))
    outcomes, steps = [], iter(range(1, logs + 1))
    for seed in seeds:
        stage = set_up(seed, work / f"seed-{seed}", labelled, scale)
        all_honest = stage.honest().quality
        tell(next(steps), logs)
        for poison, share in product(scale.kinds, scale.shares):
            clean, learned = stage.falsified(poison, share)
            outcomes.append(Outcome(seed, poison.name, share, all_honest, clean, learned))
            tell(next(steps), logs)
        shutil.rmtree(stage.work)
    return outcomes


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    """The outcomes by way and share, in the order in which these come first."""
    grouped: dict[tuple[str, float], list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault((outcome.poison, outcome.share), []).append(outcome)
    return [Row(poison, share, group) for (poison, share), group in grouped.items()]
