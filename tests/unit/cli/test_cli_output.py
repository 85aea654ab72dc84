"""What tables make of texts that others wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from thumbwheel.cli.output import counted, printable, table

EVIL = "bad\x1b[2J\x9bm\0\rworse\nline"
SAFE = "bad\ufffd[2J\ufffdm\ufffd\ufffdworse line"


@pytest.mark.parametrize("width", [200, 30, 8])
def test_no_text_steers_the_terminal(width: int) -> None:
    rows = [{"policy": "desk", "by": EVIL, "why": EVIL}]
    lines = list(table(rows, "why", width))[1 if width > 8 else 0 :]
    shown = " ".join("\n".join(lines).split())
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    assert SAFE.replace(" ", "") in shown.replace(" ", "")


def test_a_text_of_several_lines_keeps_them_but_steers_no_terminal() -> None:
    assert printable("one\n\ttwo \x1b[2J\x07") == "one\n\ttwo \ufffd[2J\ufffd"


def test_one_is_no_plural() -> None:
    assert [counted(n, "vote") for n in (0, 1, 1200)] == ["0 votes", "1 vote", "1,200 votes"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_output_that_can_not_be_written_is_one_line() -> None:
    command = [sys.executable, "-m", "thumbwheel.cli", "config", "show"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: standard output can not be written: No space left on device\n"
