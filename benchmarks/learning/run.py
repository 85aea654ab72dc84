"""`make learning`: how well it learns, on real labels and beside peers. `--help` says how; see `runner.py`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from learning.runner import main

    sys.exit(main())
