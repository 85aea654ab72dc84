"""The port of the stores where versions' files live. It knows no channels and no rows.

A version has a location of its own, named relative to the store's root, which is chosen while it is published and never
used again. Files go in first, the manifest last; but only a row in the registry's database makes it a version. So the
order does not have to be undone: what was published half way is named by no row and read by nobody.

Every adapter passes `tests/contract/artifacts`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from thumbwheel.records import Manifest


class Upload(Protocol):
    """A version on its way in, its files in the store already."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Relative name of every file -> SHA-256 (hex) of the bytes that were stored."""

    def seal(self, manifest: Manifest) -> str:
        """Write the manifest, last of all, and return the location. Again, with another manifest, replaces the first.

        Raises:
            Unavailable: the store can not take it, or does not have all that was sent.
        """

    def discard(self) -> None:
        """Remove what was stored, as far as that can be done now. To be called only if no row names the location."""


class Artifacts(Protocol):
    """Keeps the files of versions. Safe from any thread, and from many processes at once."""

    def upload(self, policy: str, source: Path, names: Sequence[str]) -> Upload:
        """Store the files `names` (relative, with `/`) of the folder `source`.

        Raises:
            Unavailable: the store is away, full or closed to us. What was stored is removed now or by `clear_dead`.
        """

    def clear_dead(self, policy: str, named: Collection[str], ended_runs: Collection[str] = ()) -> None:
        """Remove what publications that died have left: before their manifest, a day old; before their row, a week old.

        `named` are the locations that rows name: they are left alone, whatever they look like. So is what has a
        manifest, for its row may be in a backup of the database that is yet to be restored, or in another database;
        unless the manifest names one of `ended_runs`, of this database: its row would have been there before it ended.

        Raises:
            Unavailable: the store is away.
        """

    def fetch(self, location: str, expected: Manifest) -> Path:
        """Return a local folder with the version's files, every digest checked: to be read, never written into.

        Raises:
            DamagedArtifact: a file is missing, altered, unreadable or was added.
            Unavailable: the store is away, and the version is not at hand.
        """

    def check(self) -> None:
        """Write something, read it and remove it again. Raises Unavailable when that fails."""
