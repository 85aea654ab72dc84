"""Commands of Thumbwheel that run until they are told to stop, as processes of their own; configured by one file."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

COMMAND = (sys.executable, "-m", "thumbwheel.cli")


class RunningCommand:
    """A command that has said where it answers. Ended by SIGTERM on leaving, unless it was killed before."""

    def __init__(self, config: Path, *arguments: str) -> None:
        """Start `thumbwheel --config CONFIG ARGUMENTS`; what it logs goes to a file beside the configuration."""
        self.log = config.with_name(f"{'-'.join(re.findall('[a-z0-9]+', ' '.join(arguments)))[-60:]}.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--config", str(config), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._probing = httpx.Client(verify=False, timeout=30)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        if not self.said:
            self.process.wait(60)
            raise RuntimeError(f"thumbwheel {' '.join(arguments)} did not start:\n{self.log.read_text()[-4000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.resume()
        self.stop()

    def address(self, name: str) -> str:
        """Return the address that it said behind a name."""
        found = re.search(rf"\b{name} (\S+?)[,\s]", self.said)
        assert found, self.said
        return found[1]

    def health(self) -> Mapping[str, object]:
        """Return what /healthz says."""
        said: dict[str, object] = self._probing.get(self.address("probes")).json()
        return said

    def metric(self, name: str, labels: str = "") -> float:
        """Return the sum of a metric over those of its labels that begin with `labels`; 0 where there is none."""
        text = self._probing.get(self.address("probes").replace("/healthz", "/metrics")).text
        starts = (f"{name}{{{labels}",) if labels else (f"{name} ", f"{name}{{")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(starts))

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait(60)

    def suspend(self) -> None:
        """Stop it by SIGSTOP: it keeps its connections, and does nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)

    def stop(self, within_s: float = 60.0) -> int:
        """End it as an operator would; return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(within_s)
        finally:
            self.process.kill()
            self._probing.close()
            assert self.process.stdout is not None
            self.process.stdout.close()


def write_config(path: Path, sections: Mapping[str, Mapping[str, object]], **top: object) -> Path:
    """Write a configuration file; return its path."""
    lines = [f"{name} = {_toml(value)}" for name, value in top.items()]
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{name} = {_toml(value)}" for name, value in values.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int | float) else f'"{value}"'
