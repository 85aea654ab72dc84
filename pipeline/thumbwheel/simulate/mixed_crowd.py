"""A crowd of several sorts of users, from parts as people write them: `moody:0.3`, `brigade:0.05:answer=refund,up=yes`.

Who is in no part is as `--noise` and `--rates` say, and so is what the users of a part are changed from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.poisoners import Brigadier, Flipper, Spammer, Sybil
from thumbwheel.simulate.shown import Rater
from thumbwheel.simulate.tempers import Drifting, LabelBias, LengthBias, Moody, demand_share
from thumbwheel.simulate.users import SimulatedUser, crowd_of

_TARGET: Final = {"answer": "", "version": "", "up": False, "instead": ""}


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of users: what it is, its options with their defaults, which are also their types, and how it is made."""

    about: str
    options: Mapping[str, Any]
    make: Callable[..., Rater]


@dataclass(frozen=True, slots=True)
class Part:
    """A share in [0, 1] of the users who are of a sort."""

    sort: str
    share: float
    options: Mapping[str, Any]

    def user(self, like: SimulatedUser) -> Rater:
        """One of them, changed from `like`. Raises InvalidInput for a value that is out of range."""
        return SORTS[self.sort].make(like, **self.options)


def read_part(text: str) -> Part:
    """Read `SORT:SHARE` or `SORT:SHARE:OPTION=VALUE,...`. Raises InvalidInput, saying what there is to choose from."""
    name, share, given = (*text.split(":", 2), "", "")[:3]
    if name not in SORTS:
        raise InvalidInput("part", f"{name!r} is no sort of users: use one of {', '.join(SORTS)}")
    options = dict(SORTS[name].options)
    for item in given.split(",") if given else ():
        option, _, value = item.partition("=")
        if option not in options:
            raise InvalidInput("part", f"{name} has no option {option!r}: it has {', '.join(options) or 'none'}")
        options[option] = _read(option, value, options[option])
    part = Part(name, _read("share", share, 0.0), options)
    demand_share("share", part.share)
    part.user(SimulatedUser())
    return part


def mixed_crowd(count: int, like: SimulatedUser, parts: Sequence[Part]) -> list[Rater]:
    """`count` users; the last of them are those of the parts, each as many as its share rounds to, and at least one.

    Raises InvalidInput for fewer than one user, and for parts that are more than all.
    """
    crowd: list[Rater] = list(crowd_of(count, like))
    end = count
    for part in parts:
        number = max(1, round(part.share * count))
        if number > end:
            raise InvalidInput("part", f"the parts are more than all {count} users: make them smaller")
        for place in range(end - number, end):
            crowd[place] = part.user(replace(like, user_id=crowd[place].user_id))
        end -= number
    return crowd


def _read(name: str, value: str, default: Any) -> Any:
    """The value as one of the default's type."""
    try:
        if isinstance(default, bool):
            return {"yes": True, "no": False}[value]
        return type(default)(value)
    except (ValueError, KeyError) as error:
        form = (
            "yes or no" if isinstance(default, bool) else "a whole number" if isinstance(default, int) else "a number"
        )
        raise InvalidInput(name, f"{value!r} is not {form}") from error


def _silent(like: SimulatedUser, rates: float) -> Rater:
    return replace(like, rates_pleased=rates, rates_displeased=rates)


def _drifting(like: SimulatedUser, begins: float, over: float, answer: str, up: bool) -> Rater:
    later: Rater = LabelBias(like, answer, up) if answer else Flipper(like)
    return Drifting(like, later, begins, over)


def _sybil(like: SimulatedUser, most: int, **target: Any) -> Rater:
    aimed = target["answer"] or target["version"]
    return Sybil(Brigadier(like, **target) if aimed else Flipper(like), most)


SORTS: Final[Mapping[str, Sort]] = {
    "noisy": Sort("give that share of wrong thumbs", {"noise": 0.3}, lambda like, noise: replace(like, noise=noise)),
    "silent": Sort("rate that share of what they see", {"rates": 0.05}, _silent),
    "label-bias": Sort("vote one way on an answer", {"label": "", "up": False, "strength": 1.0}, LabelBias),
    "length-bias": Sort("like long answers", {"words": 20, "strength": 1.0}, LengthBias),
    "moody": Sort("have moods that change their thumbs", {"swings": 5.0, "phase": 0.0, "strength": 0.5}, Moody),
    "drifting": Sort(
        "change their mind: about an answer, else about everything",
        {"begins": 0.5, "over": 0.0, "answer": "", "up": False},
        _drifting,
    ),
    "spammer": Sort("vote without looking", {"ups": 0.5}, lambda like, ups: Spammer(like.user_id, ups)),
    "flipped": Sort("vote the opposite of what they think", {}, Flipper),
    "brigade": Sort("vote together on a target, honestly on the rest", _TARGET, Brigadier),
    "sybils": Sort("are one's accounts, each of few votes; flipped, or after a target", {"most": 5, **_TARGET}, _sybil),
}
