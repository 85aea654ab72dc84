"""Which answers to show: the largest gains, the largest losses, and some by lot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from thumbwheel.retrain.report.data import Sample

BEST = "Largest gains"
WORST = "Largest losses"
RANDOM = "Taken at random"


def pick_samples(samples: Sequence[Sample], seed: int, each: int = 6) -> list[Sample]:
    """Up to `each` samples of every group, none twice; best and worst by gain, the rest by a seeded draw.

    Samples without scores can only be drawn at random.
    """
    ranked = sorted((i for i, s in enumerate(samples) if isfinite(s.gain)), key=lambda i: -samples[i].gain)
    best = [i for i in ranked[:each] if samples[i].gain > 0]
    worst = [i for i in ranked[::-1][:each] if samples[i].gain < 0]
    rest = [i for i in range(len(samples)) if i not in {*best, *worst}]
    drawn = sorted(random.Random(seed).sample(rest, min(each, len(rest))))
    groups = ((BEST, best), (WORST, worst), (RANDOM, drawn))
    return [replace(samples[i], group=group) for group, chosen in groups for i in chosen]
