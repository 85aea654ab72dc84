"""A process that is asked to end, and one that is asked again because it takes its time."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PATIENT = """
import asyncio
import LOOP
from thumbwheel.app.lifetime import on_signals

async def main():
    stopped = on_signals()
    print("ready", flush=True)
    await stopped.wait()
    print("drains", flush=True)
    await asyncio.sleep(600)

LOOP.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_wish_and_the_second_an_order(
    first: signal.Signals, second: signal.Signals, loop: str
) -> None:
    program = PATIENT.replace("LOOP", loop)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == "drains\n"
        process.send_signal(second)
        assert process.wait(30) == -second
