"""What OK means for a vote here: `log.feedback_durability`, and what `auto` comes to on this machine's disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from thumbwheel.config.settings import Settings

FLEETING = {"tmpfs", "ramfs", "overlay"}
"""File systems that go with the machine or the container."""


@dataclass(frozen=True, slots=True)
class Durability:
    """Where a vote is when its OK is given, and why there. `disk` is the kind of file system of the outbox, or log."""

    place: Literal["outbox", "broker"]
    disk: str
    why: str

    @property
    def fleeting(self) -> bool:
        """Whether what is only on the disk goes with the machine or the container."""
        return self.disk in FLEETING


def feedback_durability(settings: Settings) -> Durability:
    """Return what holds for a process of this home. `auto`, with Kafka: the broker, where the disk is fleeting."""
    disk = file_system(settings.home, [(one.mountpoint, one.fstype) for one in psutil.disk_partitions(all=True)])
    wanted = settings.log.feedback_durability
    if not settings.log.is_shared:
        return Durability("outbox", disk, "the log is on this disk")
    if wanted != "auto":
        return Durability(wanted, disk, "log.feedback_durability says so")
    if disk in FLEETING:
        return Durability("broker", disk, f"this disk ({disk}) goes with the machine or the container")
    return Durability("outbox", disk, f"this disk ({disk}) stays")


def file_system(folder: Path, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the kind of file system that a folder is on, or would be; `mounts` are mount points with their kinds."""
    above = [str(one) for one in (folder.resolve(), *folder.resolve().parents)]
    found = [(len(point), number, kind) for number, (point, kind) in enumerate(mounts) if point in above]
    return max(found)[2] if found else "of unknown kind"
