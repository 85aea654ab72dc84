"""`manifest.json`: what a version is, and the SHA-256 of every file of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from thumbwheel.durable import write_whole
from thumbwheel.errors import DamagedArtifact
from thumbwheel.records import Manifest, PolicyKind
from thumbwheel.registry.files import MANIFEST_NAME, sha256_of
from thumbwheel.registry.port import NewVersion

# Right for whoever meets it: the one who serves the version, promotes it, or rolls back to it.
_CURE = "restore its folder, or promote another version"


def build(new: NewVersion, version: str, files: Mapping[str, str], created_us: int) -> Manifest:
    """The manifest of a new version; `files` maps relative name to SHA-256 (hex)."""
    return Manifest(
        policy=new.policy,
        version=version,
        kind=new.kind,
        parent=new.parent,
        base=new.base,
        digest=digest_of(files),
        files=dict(files),
        created_us=created_us,
        run_id=new.run_id,
        watermark=new.watermark,
        verdict=new.verdict,
        notes=dict(new.notes or {}),
    )


def digest_of(files: Mapping[str, str]) -> str:
    """`sha256:` + the SHA-256 of the lines `name sha256`, sorted by name: one digest of a whole folder."""
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(files.items()))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def to_json(manifest: Manifest) -> str:
    """The manifest as it is written; the same manifest gives the same bytes."""
    return json.dumps(asdict(manifest), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: str) -> Manifest:
    """Read what `to_json` wrote. Raises DamagedArtifact when it is something else."""
    try:
        fields = json.loads(text)
        return Manifest(**{**fields, "kind": PolicyKind(fields["kind"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedArtifact(f"{MANIFEST_NAME} can not be read; restore the version's folder") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into a version's folder, flushed to the disk."""
    write_whole(folder / MANIFEST_NAME, to_json(manifest))


def read_manifest(folder: Path, name: str = "") -> Manifest:
    """Read a folder's `manifest.json`. Raises DamagedArtifact, with `name`, when it is missing or unreadable."""
    try:
        return from_json((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedArtifact(f"{name or folder.name}: {MANIFEST_NAME} can not be read; {_CURE}") from error


def verify(folder: Path, expected: Manifest) -> None:
    """Hold every byte of a version's folder against the manifest the registry keeps.

    Raises:
        DamagedArtifact: a file is missing, altered, unreadable, or was added.
    """
    name = f"{expected.policy} {expected.version}"
    if read_manifest(folder, name) != expected:
        raise DamagedArtifact(f"{name}: {MANIFEST_NAME} was altered; {_CURE}")
    added = _names(folder) - set(expected.files) - {MANIFEST_NAME}
    if added:
        raise DamagedArtifact(f"{name}: {min(added)} does not belong to the version; {_CURE}")
    for file, sha256 in expected.files.items():
        try:
            found = sha256_of(folder / file)
        except OSError as error:
            raise DamagedArtifact(f"{name}: {file} can not be read; {_CURE}") from error
        if found != sha256:
            raise DamagedArtifact(f"{name}: {file} was altered; {_CURE}")


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}
