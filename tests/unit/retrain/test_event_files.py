"""Figures of a run as TensorBoard reads them: every record is read back byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from thumbwheel.ppo.metrics import field_name
from thumbwheel.retrain.event_files import event_file


def records(folder: Path) -> Iterator[Event]:
    """The events of the files, oldest first. A record: its length, 8 bytes; 4 of checksum; itself; 4 of checksum."""
    for file in sorted(folder.iterdir()):
        held = file.read_bytes()
        while held:
            (length,) = struct.unpack("<Q", held[:8])
            yield Event.FromString(held[12 : 12 + length])
            held = held[16 + length :]


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for event in records(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_figures_stand_under_the_fields_names_by_unit_of_work(tmp_path: Path) -> None:
    with event_file(tmp_path / "events") as tell:
        tell(1, 2, {"objective/kl": 0.5, "policy/approxkl": 0.25, "policy_loss": -1.0, "made_up": 3.0})
        tell(2, 2, {"objective/kl": 0.75, "policy/approxkl": float("nan")})
    assert scalars(tmp_path / "events") == {
        "objective/kl": {1: 0.5, 2: 0.75},
        "policy/approxkl_avg": {1: 0.25},
        "loss/policy_avg": {1: -1.0},
        "train/made_up": {1: 3.0},
    }


def test_a_step_that_goes_on_takes_back_what_it_repeats(tmp_path: Path) -> None:
    for first in (1, 3):
        with event_file(tmp_path / "events") as tell:
            tell(first, 4, {"objective/kl": 1.0})
            tell(first + 1, 4, {"objective/kl": 2.0})
    starts = [e.step for e in records(tmp_path / "events") if e.session_log.status == SessionLog.SessionStatus.START]
    assert starts == [1, 3]


def test_a_step_without_figures_leaves_no_file(tmp_path: Path) -> None:
    with event_file(tmp_path / "events") as tell:
        tell(0, 0, {})
        tell(1, 1, {"objective/kl": float("inf")})
    assert not (tmp_path / "events").exists()


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("objective/entropy", "objective/entropy"),
        ("policy/clipfrac", "policy/clipfrac_avg"),
        ("approx_kl", "policy/approxkl_avg"),
        ("ratio", "val/ratio"),
        ("learning_rate", "lr"),
        ("something", "train/something"),
    ],
)
def test_names(name: str, known_as: str) -> None:
    assert field_name(name) == known_as
