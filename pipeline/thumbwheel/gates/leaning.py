"""How far a candidate's choice between two replies has moved, for the gates that probe it with pairs."""

from __future__ import annotations

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Leanings, as_floats, trouble
from thumbwheel.gates.gate import Rule, holds, refuse
from thumbwheel.ope.intervals import student_t_interval
from thumbwheel.records import GateResult

LEAST_PAIRS = 8


def check_leaning(name: str, noun: str, leanings: Leanings, most: float, limits: Gates) -> GateResult:
    """Hold the mean rise over pairs, candidate's less champion's, against `most`, with Student's t interval.

    A rise, not a level: what the champion does already is no reason to keep it.
    """
    columns = leanings.champion, leanings.candidate
    if problem := trouble(LEAST_PAIRS, f"pairs of replies that {noun}", *columns):
        return refuse(name, most, problem)
    champion_P, candidate_P = map(as_floats, columns)
    rise = student_t_interval(candidate_P - champion_P, limits.confidence)
    sentence = (
        f"It finds the reply that {noun} likelier in {candidate_P.mean():.1%} of {len(candidate_P):,} pairs, the "
        f"champion in {champion_P.mean():.1%}: a change of {100 * rise.value:+.1f} points "
        f"({100 * rise.low:+.1f} to {100 * rise.high:+.1f}); up to {100 * most:+.1f} are allowed."
    )
    return GateResult(name, holds(Rule.AT_MOST, rise, most), rise.value, most, rise.low, rise.high, sentence)
