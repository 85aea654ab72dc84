"""Measures every figure, one benchmark after the other, and writes `RESULTS.md`.

    python benchmarks/all.py [NAME ...]          all of them, or those named: `unary_overhead`, ...

Takes about an hour on two quiet cores. A benchmark that fails is named at the end; the others are measured anyway.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = (
    "help_time",
    "unary_overhead",
    "storage",
    "generate_streams",
    "swap_under_load",
    "train_beside",
    "demo_cost",
    "classify_demo",
    "generate_quality",
    "gates_false_alarms",
    "classify_banking77",
    "generate_tm4",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME")
    names = parser.parse_args().names or BENCHMARKS
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        if subprocess.run([sys.executable, str(HERE / f"{name}.py")], cwd=HERE.parent, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
