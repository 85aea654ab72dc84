"""The demonstration, from the wheel alone in an empty folder: the whole loop, pages that stay up, Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest
from installed_wheel import build_wheel, install_wheel

STAYS = "Ctrl-C stops it."
_TOLD = 3_000  # characters of what the demo said: its end, where the table is


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Let Ctrl-C reach what is started, as in a terminal: a background job's children inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return install_wheel(build_wheel(tmp_path), tmp_path / "environment")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Leave nothing running where the block fails."""
    try:
        yield
    finally:
        process.terminate()


def lines_until(stream: IO[str], end: str) -> Iterator[str]:
    """Lines up to the one that says `end`, with it; all of them where none does."""
    for line in stream:
        yield line
        if end in line:
            return


def told(said: str, folder: Path) -> str:
    return said[-_TOLD:] + (folder / "stderr.txt").read_text()[-_TOLD:]


def rows(said: str) -> list[list[str]]:
    """The table's rows: policy, version, answers, thumbs up, true quality, gates, swapped in."""
    return [line.split() for line in said.splitlines() if re.match(r"helpdesk-\w+ +v\d", line)]


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("keyboard")
def test_the_demo_shows_users_happier_and_stays_up_until_ctrl_c(python: Path, empty: Path) -> None:
    command = [str(python), "-m", "thumbwheel.cli", "--home", "home", "demo"]
    with (
        (empty / "stderr.txt").open("w") as errors,
        subprocess.Popen(command, cwd=empty, stdout=subprocess.PIPE, stderr=errors, text=True) as demo,
        ended(demo),
    ):
        assert demo.stdout is not None
        said = "".join(lines_until(demo.stdout, STAYS))
        assert STAYS in said, told(said, empty)
        page = re.search(r"ask and vote\s+(http://\S+)", said)
        assert page
        assert httpx.get(page[1]).status_code == 200
        service = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGINT)
        status = demo.wait(90)
    assert status == 0, told(said, empty)
    assert service
    assert not [one for one in service if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert " 0 dropped" in said
    assert " 0 dead letters" in said
    assert len(rows(said)) == 4, said
    intent_before, intent_after, reply_before, reply_after = rows(said)
    for before, after in ((intent_before, intent_after), (reply_before, reply_after)):
        assert before[0] == after[0]
        assert before[1] == "v1"
        assert float(after[4]) > float(before[4])
        assert float(after[3].rstrip("%")) > float(before[3].rstrip("%"))
    reports = re.findall(r"report of \S+: (\S.*)", said)
    assert len(reports) == 2
    assert all((empty / report).stat().st_size > 10_000 for report in reports)
