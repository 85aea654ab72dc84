"""What an update tells of itself while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Metrics = Mapping[str, float]
"""Figures by name."""
RoundDone = Callable[[int, int, Metrics], None]
"""Called with (done, total, the round's figures) after each: an iteration of `generate`, an epoch of `classify`."""
