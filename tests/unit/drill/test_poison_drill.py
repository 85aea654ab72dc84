"""The poison drill at a small scale, its verdicts by hand, and logs that share what honest users do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from thumbwheel.drill.poison import Outcome, rehearse, rows_of
from thumbwheel.drill.poison_kinds import KINDS, Target
from thumbwheel.drill.poison_log import Asked, voted
from thumbwheel.drill.poison_say import Say
from thumbwheel.drill.poison_stage import Learned, Scale
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.records import ClassifyAnswer
from thumbwheel.simulate.poisoners import Flipper
from thumbwheel.simulate.users import SimulatedUser

HONEST = SimulatedUser(noise=0.0)
SMALL = Scale(
    users=60,
    first_votes=300,
    votes=500,
    held_out=100,
    texts=300,
    epochs=2,
    width=32,
    first_updates=40,
    shares=(0.05,),
    kinds=[kind for kind in KINDS if kind.name == "busy"],
)


def outcome(quality: float, *gates: str, share: float = 0.05, moved: float = 0.0) -> Outcome:
    say = Say(0.8 - moved, 0.8, 0.1, 0.15)
    return Outcome(0, "label", share, 0.85, 0.8, Learned(quality, gates, 0.05, 0.03, say))


def asked(place: float, user: str, label: str, truth: str = "a") -> Asked:
    answer = ClassifyAnswer("hello", "ab".index(label), label, (0.5, 0.5), 0.02, ("a", "b"))
    return Asked(place, LabelledText("hello", truth), user, "v1", answer)


@pytest.mark.parametrize(
    ("seeds", "holds"),
    [
        ([outcome(0.80)], True),
        ([outcome(0.7921)], True),  # 1 - .7921 / .8 = .0099
        ([outcome(0.7919)], False),
        ([outcome(0.5, "off_policy_snips")], True),
        ([outcome(0.79), outcome(0.796)], True),  # .0125 and .005: .00875 in the mean
        ([outcome(0.79), outcome(0.796), outcome(0.5, "off_policy_snips")], True),
        ([outcome(0.785), outcome(0.796), outcome(0.8, "off_policy_snips")], False),  # .01875 and .005: .0119
        ([outcome(0.80, moved=0.149)], True),
        ([outcome(0.80), outcome(0.80, moved=0.151)], False),
        ([outcome(0.5, "off_policy_snips", moved=0.151)], False),
        ([outcome(0.80, moved=0.151, share=0.2)], True),  # the bound is for a twentieth
    ],
)
def test_a_row_holds_where_no_more_than_one_percent_is_lost_or_a_gate_stops_it(
    seeds: list[Outcome], holds: bool
) -> None:
    [row] = rows_of(seeds)
    assert row.holds is holds


def test_rows_are_by_way_and_share() -> None:
    rows = rows_of([outcome(0.8, share=share) for share in (0.05, 0.2, 0.05)])
    assert [(row.poison, row.share, len(row.outcomes)) for row in rows] == [("label", 0.05, 2), ("label", 0.2, 1)]


def test_users_vote_in_the_order_of_places_and_what_attackers_add_changes_no_honest_vote() -> None:
    noisy = SimulatedUser(noise=0.5)
    base = [asked(float(place), f"u{place % 5}", "ab"[place % 2]) for place in range(40)]
    more = [asked(place + 0.5, "u0", "a") for place in range(20)]
    alone = voted(base, noisy, {}, seed=3)
    joined = voted([*more, *base], noisy, {"u0": Flipper(HONEST)}, seed=3)
    votes = [[one.votes[0].thumb_up for one in log.rows if one.response.user_hash != "u0"] for log in (alone, joined)]
    assert votes[0] == votes[1] and len(set(votes[0])) == 2
    assert [one.response.time_us for one in joined.rows] == list(range(60))
    theirs = [one for one in joined.rows if one.response.user_hash == "u0"]
    assert all(one.votes[0].thumb_up is (one.response.answer.label == "b") for one in theirs)  # type: ignore[union-attr]


def test_attackers_do_as_their_sort_says() -> None:
    target, by_name = Target("a", "b", "v1"), {kind.name: kind for kind in KINDS}
    asks = [asked(0.0, "x", "a"), asked(1.0, "x", "b"), asked(2.0, "x", "b", "b"), asked(3.0, "x", "a", "b")]

    def thumbs(name: str) -> list[bool | None]:
        log = voted(asks, HONEST, {"x": by_name[name].make(replace(HONEST, user_id="x"), target)}, 0)
        return [one.votes[0].thumb_up for one in log.rows]

    # right, wrong, right, wrong
    assert thumbs("flipped") == thumbs("busy") == thumbs("sybils") == [False, True, False, True]
    assert thumbs("label") == [False, False, True, False]
    assert thumbs("version") == [False] * 4
    assert thumbs("colluding") == [True, False, False, True]


def test_a_small_drill_goes_through_all_steps_of_a_run(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    [busy] = rehearse([1], tmp_path, scale=SMALL, tell=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert (busy.seed, busy.poison, busy.share) == (1, "busy", 0.05)
    # a twentieth that votes five times as often has about a fifth of the votes, and hardly any weight
    assert busy.learned.votes_of_attackers > 0.1 and busy.learned.weight_of_attackers < 0.1
    assert 0.05 < busy.clean < 1 and 0.05 < busy.learned.quality < 1
    assert not list(tmp_path.iterdir())
