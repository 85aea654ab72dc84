"""`thumbwheel simulate`: sorts of users by name, and parts that can not be, before anything is asked."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from thumbwheel.cli.simulate import command
from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.mixed_crowd import SORTS


def test_sorts_are_listed_with_their_options() -> None:
    result = CliRunner().invoke(command, ["sorts", "--json"])
    listed = {one["sort"]: one for one in json.loads(result.stdout)}
    assert list(listed) == list(SORTS)
    assert listed["moody"]["options"] == "swings=5.0,phase=0.0,strength=0.5"
    assert listed["brigade"]["options"] == "answer=(none),version=(none),up=no,instead=(none)"


@pytest.mark.parametrize(
    ("part", "says"), [("angry:0.5", "no sort of users"), ("flipped:2", "must lie in"), ("moody:0.5:x=1", "no option")]
)
def test_a_part_that_can_not_be_is_refused_before_a_service_is_asked(part: str, says: str) -> None:
    result = CliRunner().invoke(command, ["users", "desk", "--part", part])
    assert isinstance(result.exception, InvalidInput) and says in str(result.exception)
