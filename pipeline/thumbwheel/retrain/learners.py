"""Which learner a kind of policy has."""

from __future__ import annotations

from typing import assert_never

from thumbwheel.errors import InvalidInput
from thumbwheel.records import PolicyKind
from thumbwheel.retrain.learner import Learner


def learner_for(kind: PolicyKind) -> Learner:
    """The learner of a kind; heavy libraries are imported here, not with this module.

    Raises InvalidInput for a kind that can not be improved.
    """
    match kind:
        case PolicyKind.CLASSIFY:
            from thumbwheel.retrain.learn_classify import ClassifyLearner

            return ClassifyLearner()
        case PolicyKind.GENERATE:
            from thumbwheel.retrain.learn_generate import GenerateLearner

            return GenerateLearner()
        case PolicyKind.TAG:
            raise InvalidInput("kind", f"policies of kind {kind} can not be improved; classify and generate can")
        case _:
            assert_never(kind)
