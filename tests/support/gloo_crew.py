"""Runs a function on n workers, each a process of its own, joined by Gloo over the loopback."""

from __future__ import annotations

import multiprocessing
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# Imported once, in the process that workers are forked from: it takes seconds.
_IMPORTED_ONCE = ["torch.distributed", "transformers", "thumbwheel.policy.loading", "crew_tasks"]


def run_crew(size: int, task: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `task(workers, *arguments)` returned on each of `size` workers, by rank. `task` is found by its import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        processes = [
            context.Process(target=_work, args=(sender, Path(folder) / "meeting", rank, size, task, arguments))
            for rank, (_, sender) in enumerate(pipes)
        ]
        for process in processes:
            process.start()
        told = [receiver.recv() for receiver, _ in pipes]
        for process in processes:
            process.join()
    for problem, _ in told:
        assert not problem, problem
    return [result for _, result in told]


def _work(
    sender: Connection, meeting: Path, rank: int, size: int, task: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    import torch
    from torch import distributed

    from thumbwheel.workers.gloo import Gloo

    torch.set_num_threads(1)
    try:
        distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
        sender.send(("", task(Gloo(), *arguments)))
        distributed.destroy_process_group()
    except Exception:  # noqa: BLE001 - told to the test, whatever it is
        sender.send((traceback.format_exc(), None))
