"""Which learner a kind of policy has."""

from __future__ import annotations

from typing import assert_never

from thumbwheel.records import PolicyKind
from thumbwheel.retrain.learner import Learner


def learner_for(kind: PolicyKind) -> Learner:
    """The learner of a kind; heavy libraries are imported here, not with this module."""
    match kind:
        case PolicyKind.CLASSIFY:
            from thumbwheel.retrain.learn_classify import ClassifyLearner

            return ClassifyLearner()
        case PolicyKind.GENERATE:
            from thumbwheel.retrain.learn_generate import GenerateLearner

            return GenerateLearner()
        case PolicyKind.TAG:
            from thumbwheel.retrain.learn_tag import TagLearner

            return TagLearner()
        case _:
            assert_never(kind)
