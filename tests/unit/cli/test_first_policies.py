"""The demonstration's first policies are trained by processes of their own, which don't outlive it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from thumbwheel.cli.first_policies import first_policies
from thumbwheel.cli.show import Bars
from thumbwheel.errors import Unavailable
from thumbwheel.simulate.demo import DemoPlan, write_first_data


def test_a_training_that_fails_says_why(tmp_path: Path) -> None:
    nowhere = ["--kind", "classify", "--data", str(tmp_path / "nowhere.jsonl")]
    failed = pytest.raises(Unavailable, match=r"training intent failed: .*nowhere\.jsonl")
    with first_policies(tmp_path / "home", {"intent": nowhere}, Bars(stderr=True)) as trained, failed:
        trained["intent"].result()


@pytest.mark.slow
def test_what_still_trains_when_the_demonstration_ends_is_ended(tmp_path: Path) -> None:
    policies = write_first_data(DemoPlan(), tmp_path / "data")
    before = psutil.Process().children()
    with first_policies(tmp_path / "home", policies, Bars(stderr=True)) as trained:
        children = [one for one in psutil.Process().children() if one not in before]
        assert len(children) == 2
    assert not [one for one in children if one.is_running()]
    assert all(future.exception() for future in trained.values())
