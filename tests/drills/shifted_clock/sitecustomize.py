"""Runs when a Python process begins that has this folder on its path: its clock is off by what a file says.

The file holds one double, in seconds; whoever changes it there moves the clock of a process that runs.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

with Path(os.environ["DRILL_CLOCK"]).open("rb") as _file:
    _shift = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)

_real = time.time_ns


def _time_ns() -> int:
    return _real() + int(struct.unpack_from("d", _shift)[0] * 1e9)


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1e9
