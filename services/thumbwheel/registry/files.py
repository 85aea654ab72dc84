"""Which files a version may have, and how they are copied so that a power cut loses none of them.

Loading a pickle runs code of whoever wrote it, and so does a Python file beside a model: neither gets in. A
symbolic link would let a version change after its digests were taken.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from thumbwheel.durable import sync
from thumbwheel.errors import InvalidInput

MANIFEST_NAME = "manifest.json"

ALLOWED_SUFFIXES = frozenset({".safetensors", ".json", ".jsonl", ".txt", ".model", ".jinja", ".md"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"})

_CHUNK_BYTES = 1 << 20


def version_files(folder: Path) -> list[str]:
    """Relative names (with `/`) of all files of a version, sorted; its manifest is not among them.

    Raises:
        InvalidInput: the folder is none, has a file that is not allowed, or lacks configuration or weights.
    """
    if not folder.is_dir():
        raise InvalidInput("folder", f"{folder.name} is not a folder; name one written by save_pretrained")
    names = sorted(path.relative_to(folder).as_posix() for path in _regular_files(folder))
    names = [name for name in names if name != MANIFEST_NAME]
    if "config.json" not in names:
        raise InvalidInput("folder", f"{folder.name} has no config.json; name one written by save_pretrained")
    if not any(name.endswith(".safetensors") for name in names):
        raise InvalidInput("folder", f"{folder.name} has no weights; save them as .safetensors")
    return names


def copy_synced(source: Path, target: Path, names: Sequence[str]) -> dict[str, str]:
    """Copy files into the new folder `target`, each flushed to the disk; return name -> SHA-256 (hex) of the copy."""
    target.mkdir(parents=True)
    digests = {}
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        digests[name] = _copy(source / name, place)
    for folder in {target, *((target / name).parent for name in names)}:
        sync(folder)
    return digests


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> str:
    hashed = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            hashed.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return hashed.hexdigest()


def _regular_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise InvalidInput("folder", f"{path.name} is a symbolic link; put the file itself there")
        if path.is_dir():
            continue
        _demand_allowed(path)
        yield path


def _demand_allowed(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix in PICKLE_SUFFIXES:
        raise InvalidInput("folder", f"{path.name} may hold a pickle, which runs code; save weights as .safetensors")
    if suffix not in ALLOWED_SUFFIXES or not path.is_file():
        allowed = ", ".join(sorted(ALLOWED_SUFFIXES))
        raise InvalidInput("folder", f"{path.name} is not allowed in a version; allowed are {allowed}")
