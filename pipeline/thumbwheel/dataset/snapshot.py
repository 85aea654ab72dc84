"""Reading and writing a snapshot's folder: the rows' file, then `manifest.json`, which names it and makes it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from thumbwheel.dataset import manifest
from thumbwheel.dataset.manifest import MANIFEST_NAME, ROWS_NAME, SnapshotManifest
from thumbwheel.dataset.rows import SnapshotRow, from_line, to_line
from thumbwheel.durable import whole, write_whole
from thumbwheel.errors import DamagedArtifact
from thumbwheel.records import Split


class Snapshot:
    """An immutable snapshot; rows are streamed from the disk each time they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Open a whole snapshot. Raises DamagedArtifact when its rows are not those of its manifest."""
        self.folder = folder
        self.manifest: SnapshotManifest = manifest.read(folder)
        self.rows_path = folder / self.manifest.rows_name
        if digest_of(self.rows_path) != self.manifest.digest:
            raise DamagedArtifact(f"snapshot {folder.name}: {self.rows_path.name} was altered; freeze it again")

    @property
    def digest(self) -> str:
        """`sha256:` of the rows."""
        return self.manifest.digest

    def rows(self, split: Split | None = None) -> Iterator[SnapshotRow]:
        """Stream the rows, of one part or of all, in the order they were frozen."""
        kind = self.manifest.request.kind
        with self.rows_path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                row = from_line(line, kind)
                if split in (None, row.split):
                    yield row


def exists(folder: Path) -> bool:
    """Whether a whole snapshot is there."""
    return (folder / MANIFEST_NAME).is_file()


def digest_of(path: Path) -> str:
    """`sha256:` + the SHA-256 of a file's bytes. Raises DamagedArtifact when they can not be read."""
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DamagedArtifact(f"{path.name} can not be read; freeze the snapshot again") from error


def write_rows(folder: Path, rows: Iterable[SnapshotRow], name: str = ROWS_NAME) -> str:
    """Write the rows' file as a stream, flushed and in one rename; return its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / name) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(to_line(row) + "\n" for row in rows)
    return digest_of(folder / name)


def first_response_id(folder: Path) -> str:
    """The id of the first answer, which is the oldest, as rows are in the order of ids; empty where there is none.

    Raises DamagedArtifact when it can not be read.
    """
    made = manifest.read(folder)
    try:
        with (folder / made.rows_name).open(encoding="utf-8", newline="\n") as lines:
            first = lines.readline()
    except OSError as error:
        raise DamagedArtifact(f"snapshot {folder.name}: {made.rows_name} can not be read") from error
    return from_line(first, made.request.kind).response.response_id if first else ""


def remove(folder: Path) -> None:
    """Remove a snapshot, its rows last: they are removed again by whoever finds them without a manifest."""
    (folder / MANIFEST_NAME).unlink()
    remove_rows(folder)


def remove_rows(folder: Path) -> None:
    """Remove rows that no manifest names: what a freeze left that was killed or refused."""
    for path in folder.glob("rows*"):
        path.unlink()


def write_manifest(folder: Path, made: SnapshotManifest) -> None:
    """Write `manifest.json`, flushed and in one rename."""
    write_whole(folder / MANIFEST_NAME, manifest.to_json(made))
