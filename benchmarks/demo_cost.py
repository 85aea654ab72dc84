"""What `thumbwheel demo --exit` costs: seconds from its start to its end, and memory of all its processes.

    python benchmarks/demo_cost.py [--seed 0]

Memory is the proportional set size, summed over the processes alive at the same moment, so that what they share is
counted once; looked at twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

import psutil

from record import record

GOAL_S = 300
GOAL_GIB = 3.0
GOAL_SERVICE_GIB = 1.2
LOOK_S = 0.5


@dataclass
class Cost:
    seconds: float = 0.0
    peak_gib: float = 0.0
    service_gib: float = 0.0
    status: int = -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    with tempfile.TemporaryDirectory() as folder:
        cost = measure(Path(folder) / "home", seed)
    print(
        f"status {cost.status}, {cost.seconds:.0f} s, peak {cost.peak_gib:.2f} GiB, service {cost.service_gib:.2f} GiB"
    )
    command = "python benchmarks/demo_cost.py"
    note = f"{len(os.sched_getaffinity(0))} cores; the demonstration ended with status {cost.status}"
    good = cost.status == 0
    record("demo, time", cost.seconds, "s", f"<= {GOAL_S}", good and cost.seconds <= GOAL_S, command, note)
    within = good and 0 < cost.peak_gib <= GOAL_GIB
    record("demo, memory", cost.peak_gib, "GiB", f"<= {GOAL_GIB}", within, command, note)
    within = good and 0 < cost.service_gib <= GOAL_SERVICE_GIB
    record("service, memory", cost.service_gib, "GiB", f"<= {GOAL_SERVICE_GIB}", within, command, note)


def measure(home: Path, seed: int) -> Cost:
    cost, started = Cost(), perf_counter()
    command = [sys.executable, "-m", "thumbwheel.cli", "--home", str(home), "demo", "--exit", "--seed", str(seed)]
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            _look(cost, process.pid, home)
            sleep(LOOK_S)
    cost.seconds = perf_counter() - started
    cost.status = process.returncode
    return cost


def _look(cost: Cost, pid: int, home: Path) -> None:
    with suppress(psutil.Error):
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        sizes = {one.pid: _gib(one) for one in tree}
        cost.peak_gib = max(cost.peak_gib, sum(sizes.values()))
        cost.service_gib = max(cost.service_gib, sizes.get(_service_pid(home), 0.0))


def _gib(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 2**30
    except psutil.Error:
        return 0.0


def _service_pid(home: Path) -> int:
    try:
        return int(json.loads((home / "service.json").read_text())["pid"])
    except (OSError, ValueError):
        return -1


if __name__ == "__main__":
    main()
