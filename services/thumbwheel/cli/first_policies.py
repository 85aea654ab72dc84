"""The demonstration's first policies, each trained by a `thumbwheel policy init` of its own, side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from thumbwheel.errors import Unavailable

if TYPE_CHECKING:
    from thumbwheel.cli.show import Bars


@contextmanager
def first_policies(home: Path, policies: Mapping[str, list[str]], bars: Bars) -> Iterator[Mapping[str, Future[None]]]:
    """Begin to train each policy; yield for each when it is there. Trainings still under way at the end are ended.

    The futures raise Unavailable with what a training that failed said.
    """
    with ThreadPoolExecutor(len(policies)) as threads, ExitStack() as running:
        yield {
            name: threads.submit(_follow, running.enter_context(_init(home, name, arguments)), name, bars)
            for name, arguments in policies.items()
        }


@contextmanager
def _init(home: Path, name: str, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "thumbwheel.cli", "--home", str(home), "policy", "init", name, *arguments]
    process = subprocess.Popen(
        [*command, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.terminate()


def _follow(process: subprocess.Popen[str], name: str, bars: Bars) -> None:
    """Show how far a training is until it has ended."""
    advance = bars.bar(f"{name}: training the first policy")
    said = []
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("{"):
                step = json.loads(line)
                advance(step["step"], step["steps"])
            else:
                said.append(line)
    if process.returncode:
        raise Unavailable(f"training {name} failed: {''.join(said).strip()}", retry_after_s=1.0)
