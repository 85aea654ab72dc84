"""Taking a user out of snapshots that are there already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from thumbwheel.dataset.manifest import MANIFEST_NAME, Counts
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.dataset.snapshot import Snapshot, write_manifest, write_rows
from thumbwheel.records import Split


def contains(snapshot: Snapshot, user_hash: str) -> bool:
    """Whether a snapshot has an answer to this user or a vote of it. `user_hash` is never empty."""
    return any(_concerns(row, user_hash) for row in snapshot.rows())


def redact(snapshot: Snapshot, user_hash: str) -> Snapshot:
    """Rewrite a snapshot without a user's answers and votes; its manifest says that it was redacted, not of whom.

    The rest is written to a new file, the manifest then names that file, and the old one is removed. Killed at any
    point and called again, it ends the same: what the manifest does not name is removed first.
    """
    _sweep(snapshot)
    if not contains(snapshot, user_hash):
        return snapshot
    old, as_frozen = snapshot.manifest, snapshot.manifest.counts
    counts = Counts(left_out=as_frozen.left_out, looked_at=as_frozen.looked_at)
    name = f"rows-{old.redactions + 1}.jsonl"
    digest = write_rows(snapshot.folder, _without(snapshot, user_hash, counts), name)
    made = replace(old, digest=digest, counts=counts, redactions=old.redactions + 1, rows_name=name)
    write_manifest(snapshot.folder, made)
    redacted = Snapshot(snapshot.folder)
    _sweep(redacted)
    return redacted


def _sweep(snapshot: Snapshot) -> None:
    """Remove every file but the manifest and the rows it names."""
    for path in snapshot.folder.iterdir():
        if path.name not in (MANIFEST_NAME, snapshot.manifest.rows_name):
            path.unlink()


def _without(snapshot: Snapshot, user_hash: str, counts: Counts) -> Iterator[SnapshotRow]:
    for row in snapshot.rows():
        votes = tuple(vote for vote in row.votes if vote.rater != user_hash)
        stays = votes or row.split is Split.UNRATED
        if stays and row.response.user_hash != user_hash:
            candidates = tuple(one for one in row.candidates if one.user_hash != user_hash)
            kept = replace(row, votes=votes, candidates=candidates)
            counts.add(kept)
            yield kept


def _concerns(row: SnapshotRow, user_hash: str) -> bool:
    answers = (row.response, *row.candidates)
    return any(one.user_hash == user_hash for one in answers) or any(vote.rater == user_hash for vote in row.votes)
