"""What a gate is, and the three ways a value can be held against a threshold.

Gates that guard compare the measured value ("at most", "at least"); gates that promise a gain compare the lower
end of its interval ("above"). NaN satisfies none of them.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Protocol, TypeVar

from thumbwheel.config.settings import Gates
from thumbwheel.gates.evidence import Evidence
from thumbwheel.ope.intervals import Interval
from thumbwheel.records import GateResult

EvidenceT_contra = TypeVar("EvidenceT_contra", bound=Evidence, contravariant=True)


class Rule(StrEnum):
    """How the value is held against the threshold."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    ABOVE = "lower bound above"


class Gate(Protocol[EvidenceT_contra]):
    """One demand on a candidate. `why` tells a person what the gate protects from, `cure` what to do when one fails."""

    @property
    def name(self) -> str:
        """Identifier, in snake case; stays the same from version to version."""

    @property
    def title(self) -> str:
        """Name for people."""

    @property
    def rule(self) -> Rule:
        """How value and threshold are compared."""

    @property
    def unit(self) -> str:
        """Unit of value, threshold and interval."""

    @property
    def why(self) -> str:
        """What goes wrong without this gate."""

    @property
    def setting(self) -> str:
        """The field of `Gates` that is its threshold; empty where there is none to set."""

    @property
    def cure(self) -> str:
        """What a person can do about a candidate that fails, and names of settings that bear on it."""

    def check(self, evidence: EvidenceT_contra, limits: Gates) -> GateResult:
        """Hold the evidence against the limits."""


def holds(rule: Rule, measured: Interval, threshold: float) -> bool:
    """Whether `measured` satisfies `rule`. A value or bound that is NaN or infinite never does."""
    if not (math.isfinite(measured.value) and math.isfinite(threshold)):
        return False
    if rule is Rule.AT_MOST:
        return measured.value <= threshold
    if rule is Rule.AT_LEAST:
        return measured.value >= threshold
    return math.isfinite(measured.low) and measured.low > threshold


def refuse(name: str, threshold: float, sentence: str) -> GateResult:
    """The result of a gate whose evidence can not be used: it fails and says why."""
    return GateResult(name, False, math.nan, threshold, math.nan, math.nan, sentence)
