"""What `make learning` is made of. A new piece is a line here; what it runs is a file beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import cast

from learning import script
from learning.piece import Page, Piece, Result
from learning.script import Script
from learning.tables import Curves, curve_figure, mean_and_worst, table
from learning.tags import ALL_TAGS, Tags
from learning.thumbs import (
    ALL_LABELS,
    ALL_THUMBS_UP,
    LOOKS,
    PPO,
    SETTINGS,
    SOFTMAX,
    SQUARECB,
    THUMBS_UP,
    Thumbs,
    thumbs,
)
from learning.tuning import tuning_page, tuning_units

SEEDS = (0, 1, 2, 3, 4)
METHODS = (PPO, THUMBS_UP, ALL_THUMBS_UP, SQUARECB, SOFTMAX)
GOALS = {"encoder": 0.97, "scratch": 0.95}
_NETWORKS = {"encoder": "a linear layer on a frozen pretrained encoder", "scratch": "an encoder trained from scratch"}
_HARDER = tuple(name for name in SETTINGS if name != "plain")


def _thumbs_units(data: str, seeds: Mapping[str, Sequence[int]], harder: Sequence[int], small: bool) -> list[Thumbs]:
    """Lives with plain users on both networks, and, on the encoder, in the harder settings."""
    if small:
        return [Thumbs(data, "scratch", method, "plain", 0, 600, 300, 400) for method in (PPO, THUMBS_UP, ALL_LABELS)]
    units = [
        unit
        for network, some in seeds.items()
        for unit in thumbs(data, network, ["plain"], (*METHODS, ALL_LABELS), some)
    ]
    return units + thumbs(data, "encoder", _HARDER, (PPO, THUMBS_UP, SQUARECB, ALL_LABELS), harder)


def _thumbs_page(data: str, results: Sequence[Result]) -> Page:
    found = [(cast(Thumbs, unit), {int(at): value for at, value in one["at"].items()}) for unit, one in results]
    parts, plots = [_THUMBS_ABOUT.format(data=data)], {}
    for network, told in _NETWORKS.items():
        for setting, about in SETTINGS.items():
            of = [(unit, curve) for unit, curve in found if (unit.network, unit.setting) == (network, setting)]
            if not of:
                continue
            rows, whole = _by_method(of), [curve[0] for unit, curve in of if unit.method == ALL_LABELS]
            looks = sorted({look for curves in rows.values() for curve in curves for look in curve} - {0})
            parts += [f"\n## {told}: {about.title}\n", *table("method", rows, looks, whole)]
            parts.append(f"| {ALL_LABELS} |{' |' * len(looks)} | {mean_and_worst(whole)} | 1 |")
            parts += _verdict(network, setting, rows, whole, looks)
            plots[f"{network}-{setting}"] = curve_figure(rows, whole, f"{data}, {told}: {about.title}")
    return Page("\n".join(parts), plots)


def _by_method(found: Iterable[tuple[Thumbs, dict[int, float]]]) -> dict[str, Curves]:
    rows: dict[str, list[Mapping[int, float]]] = {}
    for unit, curve in found:
        if unit.method != ALL_LABELS:
            rows.setdefault(unit.method, []).append(curve)
    return dict(rows)


def _verdict(
    network: str, setting: str, rows: Mapping[str, Curves], whole: Sequence[float], looks: Sequence[int]
) -> list[str]:
    """In words: whether the goal is reached, and where another method is above."""
    if PPO not in rows or not whole or not looks:
        return []
    means = {name: {look: fmean(curve[look] for curve in curves) for look in looks} for name, curves in rows.items()}
    share = means[PPO][looks[-1]] / fmean(whole)
    above = [
        f"{name} at {look:,} ({of[look] - means[PPO][look]:+.3f})"
        for name, of in means.items()
        for look in looks
        if name != PPO and of[look] > means[PPO][look]
    ]
    lines = [f"\nAbove PPO: {', '.join(above) or 'nothing at any count'}."]
    if setting == "plain" and looks[-1] == LOOKS[-1]:
        goal = GOALS[network]
        lines.insert(0, f"\nGoal: {goal} of all true labels at {looks[-1]:,}; reached: {share:.3f}"
                     f"{'' if share >= goal else ', **missed**'}.")  # fmt: skip
    return lines


def _tags_units(data: str, small: bool) -> list[Tags]:
    if small:
        return [Tags(data, method, 0, 200, 100, 60, 20) for method in ("corrections", ALL_TAGS)]
    return [Tags(data, method, seed) for method in ("corrections", "both", "thumbs", ALL_TAGS) for seed in SEEDS[:3]]


def _tags_page(data: str, results: Sequence[Result]) -> Page:
    found = [(cast(Tags, unit), {int(at): value for at, value in one["at"].items()}) for unit, one in results]
    rows: dict[str, list[Mapping[int, float]]] = {}
    for unit, curve in found:
        if unit.method != ALL_TAGS:
            rows.setdefault(unit.method, []).append(curve)
    whole = [curve[0] for unit, curve in found if unit.method == ALL_TAGS]
    looks = sorted({look for curves in rows.values() for curve in curves for look in curve} - {0})
    lines = [_TAGS_ABOUT.format(data=data), "", *table("feedback", rows, looks, whole)]
    lines.append(f"| {ALL_TAGS} |{' |' * len(looks)} | {mean_and_worst(whole)} | 1 |")
    return Page("\n".join(lines), {"f1": curve_figure(rows, whole, f"{data}, F1 of entities", "F1")})


_THUMBS_ABOUT = """\
Held-out accuracy on {data} against answers given, each with a vote, unless it says otherwise; mean and, in brackets,
the worst of the seeds. First policies have seen five labels a class. A fifth of the users judge, and a tenth of the
others choose the epoch, so PPO and supervision learn from 72 of 100 votes; Vowpal Wabbit learns from all. No gate is
asked. `thumbs-up` is supervision on the labels with a thumb up, on votes on the champion and its three nearest
ancestors; the other one is on those of any age."""

_TAGS_ABOUT = """\
F1 of entities on the second part of {data} against answers given, each with a vote; mean and, in brackets, the worst of
the seeds. First policies have seen 200 tagged texts. A fifth of the users judge. A tenth of the votes is wrong."""


def _scripts(name: str, title: str, minutes: int, run: Script, small: Script) -> Piece:
    return Piece(name, title, minutes, lambda quick: [small if quick else run], partial(script.page, ""))


_BOTH = {"encoder": SEEDS, "scratch": SEEDS[:1]}
_TM4 = ("tm4_reward", "train.jsonl.gz")
PIECES: Mapping[str, Piece] = {
    piece.name: piece
    for piece in (
        Piece("tuning", "Settings chosen on a validation split", 15, tuning_units, tuning_page),
        *(
            Piece(
                f"thumbs_{name}",
                f"Thumbs on real labels: {data}",
                minutes,
                partial(_thumbs_units, data, seeds, SEEDS[: len(harder)]),
                partial(_thumbs_page, data),
            )
            for name, data, minutes, seeds, harder in (
                ("banking77", "banking77", 75, _BOTH, SEEDS[:1]),
                ("clinc150", "clinc150", 30, {"encoder": SEEDS[:2]}, ()),
                ("thucnews", "thucnews_titles_zh", 20, {"scratch": SEEDS[:1]}, ()),
            )
        ),
        *(
            Piece(
                f"tags_{name}",
                f"Tags on real text: {data}",
                minutes,
                partial(_tags_units, data),
                partial(_tags_page, data),
            )
            for name, data, minutes in (("wnut17", "wnut17", 10), ("weibo", "weibo_ner_zh", 10))
        ),
        _scripts(
            "cartpole",
            "CartPole-v1 with the same advantages and losses",
            8,
            Script("cartpole"),
            Script("cartpole", ("--steps", "1024", "--seeds", "0")),
        ),
        _scripts(
            "ope_coverage",
            "Intervals of off-policy estimates",
            5,
            Script("ope_coverage"),
            Script("ope_coverage", ("--draws", "2", "--bootstraps", "1")),
        ),
        _scripts(
            "reward_people",
            "Reward from people",
            20,
            Script("reward_people", needs=_TM4),
            Script("reward_people", ("--seeds", "0", "--tasks", "tm4, thumbs"), _TM4),
        ),
    )
}
