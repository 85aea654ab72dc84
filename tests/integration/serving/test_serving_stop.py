"""Ending while a version is being loaded leaves no thread behind: such a thread would keep the process from ending."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from thumbwheel.inference import loading
from thumbwheel.policy.loading import CausalPolicy, load_causal
from thumbwheel.records import PolicyKind


class Gate:
    """Holds up the loading of a policy until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        monkeypatch.setattr(loading, "load_causal", self.load)

    def load(self, folder: Path) -> CausalPolicy:
        self.reached.set()
        assert self.open.wait(30)
        return load_causal(folder)


def holding_threads() -> set[threading.Thread]:
    """Those that the process would wait for."""
    return {one for one in threading.enumerate() if not one.daemon}


@pytest.mark.parametrize("broken", [False, True])
async def test_ending_while_a_version_is_built_ends_its_batching_thread(
    home: Any, serve: Any, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1)
    before = holding_threads()
    gate = Gate(monkeypatch)
    if broken:
        monkeypatch.setattr(loading, "BatchedGenerateEngine", lambda *_: [][1])
    async with serve(wait=False) as service:
        await asyncio.to_thread(gate.reached.wait, 30)
        ending = asyncio.create_task(service.inference.close())
        await asyncio.sleep(0)  # the loading is cancelled before it may go on
        gate.open.set()
        await ending
    await asyncio.get_running_loop().shutdown_default_executor()
    assert holding_threads() <= before
