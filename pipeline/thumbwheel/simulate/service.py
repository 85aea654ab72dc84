"""A service as its users meet it: a process of its own, found by what it announces in its home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from thumbwheel.errors import Unavailable

COMMAND = (sys.executable, "-m", "thumbwheel.cli")


class ServiceProcess:
    """`thumbwheel up` on a home folder, started on entering and stopped by SIGTERM on leaving."""

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, object],
        starts_within_s: float = 120.0,
        command: Sequence[str] = ("up",),
    ) -> None:
        """Run on `home` with `settings` (dotted name -> value); what it says goes to `home/service.log`.

        `command` may be another that announces its addresses.
        """
        self.home = home
        self._command = command
        self._settings = settings
        self._starts_within_s = starts_within_s
        self._process: subprocess.Popen[bytes] | None = None
        self.addresses: dict[str, Any] = {}

    @property
    def log(self) -> Path:
        """The file with what the service said."""
        return self.home / "service.log"

    @property
    def pid(self) -> int:
        """The service's process id; 0 while there is none."""
        return self._process.pid if self._process else 0

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs, or before it was started."""
        return self._process.poll() if self._process else None

    def __enter__(self) -> Self:
        """Start, and return once the service has announced its addresses. Raises Unavailable with its last words."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = [flag for name, value in self._settings.items() for flag in ("--set", f"{name}={value}")]
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "--home", str(self.home), *flags, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # a Ctrl-C at the keyboard is for us; we end the service in our own order
                start_new_session=True,
            )
        self._await_announcement()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Drain and stop."""
        self.stop()

    def stop(self, within_s: float = 60.0) -> int:
        """End the service by SIGTERM, by SIGKILL if it does not go; return its exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End the service by SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _await_announcement(self) -> None:
        deadline = time.monotonic() + self._starts_within_s
        while time.monotonic() < deadline:
            said = self._announced()
            if said:
                self.addresses = said
                return
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise Unavailable(f"the service did not start; {self.log} ends with:\n{_tail(self.log)}", retry_after_s=1.0)

    def _announced(self) -> dict[str, Any]:
        try:
            said: dict[str, Any] = json.loads((self.home / "service.json").read_text())
        except (OSError, ValueError):
            return {}
        return said if said.get("pid") == self.pid else {}


def run_command(home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Sequence[str]:
    """Run a `thumbwheel` command on a home and return its output's lines. Raises Unavailable with its error."""
    done = subprocess.run(
        [*COMMAND, "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise Unavailable(f"`thumbwheel {' '.join(arguments)}` failed: {done.stderr.strip()}", retry_after_s=1.0)
    return done.stdout.splitlines()


def _tail(file: Path, lines: int = 15) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
