"""An error of ours is the same after it was pickled: it may come from a worker on another machine."""

from __future__ import annotations

import pickle

import pytest

from thumbwheel.errors import DamagedArtifact, InvalidConfig, InvalidInput, NotEnoughData, ThumbwheelError, Unavailable


@pytest.mark.parametrize(
    "error",
    [
        NotEnoughData("3 votes, it takes 200"),
        DamagedArtifact("v1: gone"),
        InvalidInput("sampling.temperature", "must be above 0"),
        InvalidConfig("", "is empty"),
        Unavailable("the store is away", 5.0),
    ],
)
def test_it_comes_back_as_it_was(error: ThumbwheelError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
