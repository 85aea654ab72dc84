"""The check of the contracts: what breaks readers or writers of before is told, what adds to them is not."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

PROTOS = Path(__file__).resolve().parents[3] / "protos"
EVENTS, FEEDBACK, INFERENCE = (f"thumbwheel/{name}/v1/{name}.proto" for name in ("events", "feedback", "inference"))


@pytest.fixture(scope="module")
def check() -> dict[str, Any]:
    return runpy.run_path(str(PROTOS / "breaking.py"))


def breaks_of(check: dict[str, Any], folder: Path, changes: Sequence[tuple[str, str, str]]) -> list[str]:
    """What the check says of a copy of the .proto files with texts replaced."""
    changed = folder / "protos"
    shutil.copytree(PROTOS, changed, ignore=shutil.ignore_patterns("*.py", "*.pyi", "__pycache__"))
    for name, before, after in changes:
        text = (changed / name).read_text()
        assert text.count(before) == 1, (name, before)
        (changed / name).write_text(text.replace(before, after))
    found: list[str] = check["breaks"](check["describe"](PROTOS), check["describe"](changed))
    return found


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        (EVENTS, "  string comment = 20;\n", "", "FeedbackReceived.comment = 20 was removed"),
        (EVENTS, "  string comment = 20;\n", "  reserved 20;\n", "FeedbackReceived.comment = 20 was removed"),
        (EVENTS, "string comment = 20;", "string comment = 30;", "comment = 20 was renumbered to 30"),
        (EVENTS, "string comment = 20;", "string remark = 20;", "comment = 20 has its number taken by remark"),
        (EVENTS, "string comment = 20;", "bytes comment = 20;", "comment = 20 was string and is bytes"),
        (EVENTS, "string comment = 20;", "repeated string comment = 20;", "was string and is repeated string"),
        (EVENTS, "string comment = 20;", "optional string comment = 20;", "was string and is optional string"),
        (EVENTS, "    bool thumb_up = 10;", "    EditGiven thumb_up = 10;", "is thumbwheel.events.v1.EditGiven in oneof"),
        (EVENTS, "oneof feedback {", "oneof vote {", "was bool in oneof feedback and is bool in oneof vote"),
        (FEEDBACK, "THUMB_DOWN = 2;", "THUMB_DOWN = 3;", "Thumb.THUMB_DOWN = 2 was renumbered to 3"),
        (FEEDBACK, "  THUMB_DOWN = 2;\n", "", "Thumb.THUMB_DOWN = 2 was removed"),
        (FEEDBACK, "rpc RetractFeedback(", "rpc Retract(", "FeedbackService/RetractFeedback was removed"),
        (FEEDBACK, "returns (SubmitFeedbackResponse)", "returns (stream SubmitFeedbackResponse)", "-> stream"),
        (FEEDBACK, "package thumbwheel.feedback.v1;", "package thumbwheel.feedback.v2;", "v1.Ranking was removed"),
    ],
)
def test_what_breaks_is_told(
    check: dict[str, Any], tmp_path: Path, file: str, before: str, after: str, said: str
) -> None:
    found = breaks_of(check, tmp_path, [(file, before, after)])
    assert found and any(said in sentence for sentence in found), found


def test_additions_break_nothing(check: dict[str, Any], tmp_path: Path) -> None:
    changes = [
        (EVENTS, "string comment = 20;", "string comment = 20;\n  string mood = 30;"),
        (EVENTS, "    FeedbackRetracted feedback_retracted = 12;", "    FeedbackRetracted feedback_retracted = 12;\n"
         "    Seen seen = 13;"),
        (EVENTS, "message RankingGiven {", "message Seen {\n  string by = 1;\n}\n\nmessage RankingGiven {"),
        (FEEDBACK, "  THUMB_DOWN = 2;", "  THUMB_DOWN = 2;\n  THUMB_SIDEWAYS = 3;"),
    ]  # fmt: skip
    assert breaks_of(check, tmp_path, changes) == []


def test_the_committed_contract_knows_of_everything_and_nothing_breaks_it() -> None:
    command = [sys.executable, str(PROTOS / "breaking.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
