"""Users' keys that a log needs no more are looked for while a process runs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest
from sealed_logs import open_below, sealed
from structlog.testing import capture_logs

from thumbwheel.app import retention
from thumbwheel.bus.source import Source
from thumbwheel.errors import LogUnavailable


def test_they_are_dropped_again_and_again_also_after_the_log_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_KEYS_PERIOD_S", 0.001)
    below = open_below(tmp_path)
    log = sealed(below, f"sqlite:///{tmp_path / 'store.sqlite'}")
    looks, done = list[int](), threading.Event()

    def drop() -> int:
        looks.append(len(looks))
        if len(looks) == 1:
            raise LogUnavailable("away", 0.001)
        if len(looks) > 2:
            done.set()
        return 7

    monkeypatch.setattr(log, "drop_past_keys", drop)
    with capture_logs() as said, retention.dropping_keys(Source(log, sealed=log)):
        assert done.wait(30)
    assert said[0]["problem"] == "away"
    assert said[1]["keys"] == 7
    below.close()


def test_a_log_that_seals_nothing_has_none(tmp_path: Path) -> None:
    with retention.dropping_keys(Source(cast(Any, None))):
        assert not any(one.name == "past-keys" for one in threading.enumerate())
