"""Writes figures to `results.json` and draws the table `RESULTS.md` from it.

A figure is identified by its name; recording it again replaces it.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
TABLE = HERE / "RESULTS.md"
# What a benchmark wants to find again when it is run once more; git ignores it.
BUILD = HERE.parent / "build"
_WRITTEN = ("results.json", "RESULTS.md", "learning/*.md", "learning/*.svg")


def record(figure: str, value: float, unit: str, goal: str, reached: bool, command: str, note: str = "") -> None:
    """Keep one figure: what was measured, the goal as text (`>= 0.25`), whether it was reached, and how."""
    rows = {row["figure"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    rows[figure] = {
        "figure": figure,
        "value": None if math.isnan(value) else round(value, 6),
        "unit": unit,
        "goal": goal,
        "reached": reached,
        "command": command,
        "commit": commit(),
        "note": note,
    }
    RESULTS.write_text(json.dumps([rows[name] for name in sorted(rows)], indent=1, ensure_ascii=False) + "\n")
    TABLE.write_text(_table(list(rows.values())))


def code_state() -> str:
    """A name of the code as it lies here, changes included: what was measured with other code is not this code's.

    What benchmarks write is no code.
    """
    names = ("services", "pipeline", "protos", "benchmarks", *(f":(exclude)benchmarks/{one}" for one in _WRITTEN))
    files = _git("ls-files", "--stage", "--", *names)
    changes = _git("diff", "HEAD", "--", *names)
    return hashlib.sha256((files + changes).encode()).hexdigest()


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True).stdout


def commit() -> str:
    """The commit that lies here, with a mark where the product's own code was changed since."""
    dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "services", "pipeline", "protos")
    return _git("rev-parse", "--short", "HEAD").strip() + ("+changes" if dirty.strip() else "")


def _table(rows: list[dict[str, object]]) -> str:
    lines = [
        "# Results",
        "",
        "Made from `results.json`; each row is printed by its command. Ratios are taken within one run. FOLDER is a "
        "folder of your own that holds `banking77/train.jsonl` and `tm4_dialogs/corpus.txt`.",
        "",
        "| figure | value | unit | goal | reached | command | commit | note |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: str(row["figure"])):
        cells = [row["figure"], row["value"], row["unit"], row["goal"], "yes" if row["reached"] else "**no**"]
        cells += [f"`{row['command']}`", row["commit"], row["note"]]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
