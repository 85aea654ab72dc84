"""Where bars can not be seen, a line says that a stage begins, when it begins."""

from __future__ import annotations

import pytest

from thumbwheel.cli import show
from thumbwheel.cli.show import Bars


@pytest.fixture(autouse=True)
def a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_a_stage_is_told_as_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.counter("helpdesk-reply: asking and voting", 3000)
        assert capsys.readouterr().out == "helpdesk-reply: asking and voting (3,000)\n"
        bars.bar("helpdesk-reply: training the first policy")
        assert capsys.readouterr().out == "helpdesk-reply: training the first policy\n"


def test_a_run_is_told_stage_by_stage_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        for stage, share in (("", 0.0), ("fit", 0.1), ("fit", 0.2), ("improve", 0.3), ("improve", 0.9)):
            bars.learning("reply", stage, share)
            bars.learning("intent", "freeze", 0.0)
        assert capsys.readouterr().out == "intent: freeze\nreply: fit\nreply: improve\n"
        bars.learned("reply", "promoted")
        bars.learned("other", "rejected before it was ever seen to run")
        assert capsys.readouterr().out == "reply: promoted\nother: rejected before it was ever seen to run\n"


def test_long_work_is_told_of_at_times(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(show, "monotonic", lambda: now[0])
    with Bars() as bars:
        asked, trained = bars.counter("asking", 4), bars.bar("training")
        bars.learning("reply", "fit", 0.0)
        capsys.readouterr()
        for seconds in (14.0, 1.0, 1.0):
            now[0] += seconds
            asked()
        trained(1, 3)
        bars.learning("reply", "fit", 0.5)
        now[0] += 15.0
        asked()
        assert capsys.readouterr().out == "asking: 50%\ntraining: 33%\nreply: fit: 50%\nasking: 100%\n"


def test_the_same_is_not_told_again(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(show, "monotonic", lambda: now[0])
    with Bars() as bars:
        for share in (0.0, 0.0, 0.0, 0.001, 0.5):
            bars.learning("reply", "fit", share)
            now[0] += 16.0
        assert capsys.readouterr().out == "reply: fit\nreply: fit: 0%\nreply: fit: 50%\n"


def test_bars_that_were_stopped_leave_nothing_more_behind(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        bars.counter("asking", 1)()
        bars.stop()
        assert "asking" in capsys.readouterr().out
    assert capsys.readouterr().out == ""


def test_a_long_line_is_not_broken_and_nothing_in_it_is_taken_for_a_style(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/tmp/" + "long [red] folder/" * 20
    with Bars() as bars:
        bars.say(path)
        assert capsys.readouterr().out == f"{path}\n"


def test_what_is_shown_beside_json_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(stderr=True) as bars:
        bars.counter("asking", 1)()
    said = capsys.readouterr()
    assert (said.out, said.err.startswith("asking (1)\n")) == ("", True)
