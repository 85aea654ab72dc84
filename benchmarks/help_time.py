"""How long `thumbwheel --help` takes, as a person at a prompt waits for it.

python benchmarks/help_time.py [--runs 11]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from record import record

GOAL_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    took_s = sorted(_once() for _ in range(runs))
    print(f"thumbwheel --help: median {median(took_s):.3f} s, slowest {took_s[-1]:.3f} s of {runs}")
    record(
        "thumbwheel --help",
        median(took_s),
        "s",
        f"< {GOAL_S}",
        median(took_s) < GOAL_S,
        "python benchmarks/help_time.py",
        f"median of {runs}",
    )


def _once() -> float:
    started = perf_counter()
    command = [str(Path(sys.executable).with_name("thumbwheel")), "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - started


if __name__ == "__main__":
    main()
