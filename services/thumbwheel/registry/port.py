"""The port of the registry: versions, channels and their history. Only this package knows how a pointer is stored.

Every adapter passes `tests/contract/registry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from thumbwheel.records import Channel, ChannelChange, Manifest, PolicyKind
from thumbwheel.registry.trial import Split, Trials


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a publisher says of a version; the registry adds number, digests and time."""

    policy: str
    kind: PolicyKind
    parent: str = ""
    base: str = ""
    run_id: str = ""
    watermark: int = 0
    verdict: str = ""
    notes: Mapping[str, str] | None = None


class Registry(Protocol):
    """Versions are immutable; channels point at them; every move of a pointer leaves an audit row."""

    @property
    def trials(self) -> Trials:
        """Versions among users, and what follows from what they say of them."""

    def publish(self, new: NewVersion, folder: Path) -> Manifest:
        """Copy `folder` in as the policy's next version: files, then manifest, then the row. All or nothing.

        Publishing again for the same non-empty `run_id` returns what was published the first time.

        Raises:
            InvalidInput: the folder has files that are not allowed (pickle, symbolic links) or misses some.
            Unavailable: the files or the row can not be written now: nothing is seen of the version. Only where the
                database was lost between a commit and its answer the version may be there: publish the run again.
        """

    def policies(self) -> Sequence[tuple[str, PolicyKind]]:
        """Return every policy with a version, by name."""

    def versions(self, policy: str) -> list[Manifest]:
        """Return the versions of a policy, newest first. Raises UnknownPolicy."""

    def manifest(self, policy: str, version: str) -> Manifest:
        """Return a version. Raises UnknownPolicy, UnknownVersion."""

    def fetch(self, policy: str, version: str) -> Path:
        """Return a local folder with the version's files, digests checked.

        Raises:
            DamagedArtifact: a file is missing, altered or unreadable.
            Unavailable: the files are elsewhere, and not to be had now.
        """

    def channels(self, policy: str) -> dict[Channel, str]:
        """Return what each channel of a policy points at."""

    def move(
        self,
        policy: str,
        channel: Channel,
        version: str,
        *,
        actor: str,
        reason: str,
        evidence_digest: str = "",
        expected_previous: str | None = None,
    ) -> ChannelChange:
        """Point a channel at a version, with its audit row, in one transaction.

        A move of the champion or the canary ends a trial of the policy that is running: whoever moves it has decided.
        Moving to where it points already writes nothing; the change returned then has `previous` equal to `version`.
        `version=""` clears the channel.

        Raises:
            Conflict: `expected_previous` was given and is not where the channel pointed.
            UnknownPolicy, UnknownVersion, DamagedArtifact, Unavailable.
        """

    def rollback(self, policy: str, *, actor: str, reason: str) -> ChannelChange:
        """Return the champion to the version that was champion before the present one.

        Rolling back twice goes two steps back, not to and fro.

        Raises:
            Conflict: there is no earlier champion.
        """

    def earlier_champions(self, policy: str) -> list[str]:
        """Return what rollbacks would return to, one after the other; a version that was rolled back is not there."""

    def history(self, policy: str, limit: int = 50) -> list[ChannelChange]:
        """Return the audit trail, newest first."""

    def generation(self) -> int:
        """Return a number that grows whenever any channel moved (cheap to poll)."""

    def splits(self) -> dict[str, Split]:
        """Return, by policy, which users its canary answers."""
