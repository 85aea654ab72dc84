"""Measures every figure, one benchmark after the other, and writes `RESULTS.md`.

    python benchmarks/all.py --data FOLDER               all of them
    python benchmarks/all.py unary_overhead storage      those that are named

Takes some hours on two quiet cores. Rows that begin with `drill` are written by `make drills` instead. Some benchmarks
learn from a user's own data; without `--data` they are left out:

    classify_banking77   FOLDER/banking77/train.jsonl    one {"text": "...", "label": "..."} a line
    generate_tm4         FOLDER/tm4_dialogs/corpus.txt   dialogues with speakers, an empty line between them
    reward_people        FOLDER/tm4_reward and others    what people said of answers, see its `--help`

`ppo_vs_trl` compares with a library in an environment of its own, which `make peers` makes.

A benchmark that fails, or is left out, is named at the end; the others are measured anyway. Each has options of its
own, see its `--help`. What is worth keeping from run to run lies in `build/`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = (
    "help_time",
    "unary_overhead",
    "trust_cost",
    "storage",
    "generate_streams",
    "swap_under_load",
    "train_beside",
    "demo_cost",
    "classify_demo",
    "generate_quality",
    "gates_false_alarms",
    "ope_coverage",
    "cartpole",
    "ppo_vs_trl",
    "ray_train",
    "serve_on_ray",
    "ingest_rate",
    "feedback_durability",
    "store_at_scale",
    "classify_banking77",
    "generate_tm4",
    "reward_people",
)
NEED_DATA = ("classify_banking77", "generate_tm4", "reward_people")


def main() -> None:
    options = _options()
    failed, left_out = [], []
    for name in options.names or BENCHMARKS:
        if name in NEED_DATA and options.data is None:
            left_out.append(name)
            continue
        print(f"\n=== {name}", flush=True)
        arguments = ["--data", str(options.data)] if name in NEED_DATA else []
        if not _measured(name, arguments):
            failed.append(name)
    said = [f"failed: {', '.join(failed)}"] * bool(failed)
    said += [f"left out for want of --data: {', '.join(left_out)}"] * bool(left_out)
    sys.exit("\n".join(said) or 0)


def _measured(name: str, arguments: Sequence[str]) -> bool:
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    return subprocess.run(command, cwd=HERE.parent, check=False).returncode == 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help="default: all")
    parser.add_argument("--data", type=Path, help="folder with the user's own data")
    options = parser.parse_args()
    if options.data is not None:
        options.data = options.data.resolve()
    return options


if __name__ == "__main__":
    main()
