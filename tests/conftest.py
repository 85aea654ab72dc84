"""For the whole run: a thread that a test left behind must not keep the run from ending, nor stay unnoticed."""

from __future__ import annotations

import os
import sys
import threading

import pytest

_status = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    left = [one.name for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if left:
        # the interpreter would wait for them for ever
        print(f"left running by tests: {', '.join(left)}", file=sys.stderr)  # noqa: T201
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_status, 1))
