"""The page of the API shows code that runs: its Python examples, against a scripted service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from thumbwheel.feedback.v1 import feedback_pb2 as fb

if TYPE_CHECKING:
    from tests.unit.client.conftest import Script

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
BLOCKING, TAGS, ASYNC, FAILING = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(example: str, target: str) -> None:
    assert "127.0.0.1:7070" in example
    exec(compile(example.replace("127.0.0.1:7070", target), PAGE, "exec"), {})


def test_the_blocking_example_runs(target: str, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.say("On its", " way.")
    run(BLOCKING, target)
    assert capsys.readouterr().out == "lost v3\nOn its way."
    votes = [request for request in script.requests if isinstance(request, fb.SubmitFeedbackRequest)]
    assert [vote.WhichOneof("feedback") for vote in votes] == ["thumb", "ranking", "rating", "edit", "thumb"]
    assert (votes[-1].thumb, votes[-1].response_id) == (fb.THUMB_DOWN, "r0")
    assert {vote.user_id for vote in votes} == {"alice"}


def test_the_example_of_tags_runs(target: str, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    run(TAGS, target)
    assert capsys.readouterr().out == "[('to', 'O'), ('Rome', 'B-city')]\n"
    asked, vote = script.requests
    assert asked.text == "Send it to New York"
    assert list(vote.edit.tags.tags) == ["O", "O", "O", "B-city", "I-city"]


def test_the_async_example_streams_and_votes(target: str, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.say("On its", " way.")
    run(ASYNC, target)
    assert capsys.readouterr().out == "On its way."
    asked, vote = script.requests
    assert (asked.prompt, asked.user.id) == ("Where is my parcel?", "alice")
    assert (vote.thumb, vote.response_id, vote.user_id) == (fb.THUMB_UP, "r0", "alice")


@pytest.mark.parametrize(
    ("code", "details", "said"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, {"message": "text: is empty", "field_name": "text"}, "mend text: is empty"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, {"retry_after_ms": 250}, "try again in 0.25 s"),
        (grpc.StatusCode.NOT_FOUND, {"message": "no such policy"}, "no answer: no such policy"),
        (None, {}, "lost"),
    ],
)
def test_the_example_of_failures_tells_them_apart(
    code: grpc.StatusCode | None,
    details: dict[str, str | int],
    said: str,
    target: str,
    script: Script,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if code:
        script.refuse(code, **details)  # type: ignore[arg-type]
    run(FAILING, target)
    assert capsys.readouterr().out == f"{said}\n"
