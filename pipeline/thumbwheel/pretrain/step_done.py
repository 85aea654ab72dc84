"""Whom a first training tells how far it is. Light, so that a command can name it before torch is imported."""

from __future__ import annotations

from collections.abc import Callable

StepDone = Callable[[int, int, float], None]
"""Called with (done, total, loss) after each step of `generate`, each epoch of `classify`."""
