"""`manifest.json` of a snapshot: what was asked for, what came of it, and the digest of the rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import assert_never

from thumbwheel.config.settings import Data
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.errors import DamagedArtifact
from thumbwheel.records import FeedbackKind, PolicyKind, Split

MANIFEST_NAME = "manifest.json"
ROWS_NAME = "rows.jsonl"

# A ranking compares whole answers: without a reward model it says of no label what it is worth.
_OF_LABELS = frozenset(FeedbackKind) - {FeedbackKind.RANKING}
_LEARNED_FROM = {
    PolicyKind.GENERATE: frozenset(FeedbackKind),
    PolicyKind.CLASSIFY: _OF_LABELS,
    PolicyKind.TAG: _OF_LABELS,
}


def learned_from(kind: PolicyKind) -> frozenset[FeedbackKind]:
    """The kinds of votes that policies of a kind learn from."""
    return _LEARNED_FROM[kind]


@dataclass(frozen=True, slots=True)
class Request:
    """What a snapshot is made of; the same request on the same votes gives the same bytes.

    `versions`: only votes on answers of these are taken; empty: of all. `older`: versions before them; training users'
    votes on their answers are taken as older rows. `anonymous_as_one`: votes without a user id are one rater's
    (snapshots written before these were asked lack them).
    """

    policy: str
    kind: PolicyKind
    watermark: int
    seed: int
    held_out: float
    max_votes_per_rater: int
    min_votes: int
    versions: tuple[str, ...] = ()
    anonymous_as_one: bool = False
    older: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        policy: str,
        kind: PolicyKind,
        watermark: int,
        data: Data,
        seed: int,
        versions: tuple[str, ...] = (),
        older: tuple[str, ...] = (),
    ) -> Request:
        """The request that settings stand for."""
        least, most = _least(kind, data), data.max_votes_per_rater
        return cls(policy, kind, watermark, seed, data.held_out, most, least, versions, data.anonymous_as_one, older)


def _least(kind: PolicyKind, data: Data) -> int:
    """How many votes a snapshot of that kind takes."""
    match kind:
        case PolicyKind.GENERATE:
            return data.min_votes_generate
        case PolicyKind.CLASSIFY:
            return data.min_votes_classify
        case PolicyKind.TAG:
            return data.min_votes_tag
        case _:
            assert_never(kind)


@dataclass(slots=True)
class Counts:
    """How many rows and votes are in, by what; and how many votes were left out, by why.

    `looked_at`: of the answers that were drawn to see who rates, how many were `rated` and how many `unrated`.
    """

    rows: Counter[str] = field(default_factory=Counter)
    votes: Counter[str] = field(default_factory=Counter)
    votes_by_kind: Counter[str] = field(default_factory=Counter)
    votes_by_version: Counter[str] = field(default_factory=Counter)
    votes_by_rater: Counter[str] = field(default_factory=Counter)
    not_learnable: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    lessons: Counter[str] = field(default_factory=Counter)
    looked_at: Counter[str] = field(default_factory=Counter)

    def add(self, row: SnapshotRow) -> None:
        """Count one row that is in."""
        self.rows[row.split.value] += 1
        self.votes[row.split.value] += len(row.votes)
        self.lessons[row.split.value] += len(row.lessons)
        self.votes_by_kind.update(vote.kind.value for vote in row.votes)
        self.votes_by_version[row.response.ref.version] += len(row.votes)
        self.votes_by_rater.update(vote.rater for vote in row.votes)
        if not row.learnable:
            self.not_learnable[row.response.not_learnable] += 1

    @property
    def usable(self) -> int:
        """Votes that learners read, in both parts."""
        return self.lessons.total()

    @property
    def teaching(self) -> int:
        """Votes that teach: what `data.min_votes_*` is a limit on, here before a run and in its gate afterwards."""
        return self.lessons[Split.TRAIN.value]


@dataclass(frozen=True, slots=True)
class SnapshotManifest:
    """The manifest. `digest` is `sha256:` + the SHA-256 of the rows' file, `rows_name`.

    `time_cut_us`: answers served from then on (us) are the newest slice, see `split.py`. `redactions` counts the
    users whose rows were removed after the snapshot was taken; `digest_as_frozen` is the digest before that.
    """

    request: Request
    digest: str
    digest_as_frozen: str
    time_cut_us: int
    counts: Counts
    redactions: int = 0
    rows_name: str = ROWS_NAME

    def rows(self, split: Split) -> int:
        """Rows of a part."""
        return self.counts.rows[split.value]

    def votes(self, split: Split) -> int:
        """Votes of a part."""
        return self.counts.votes[split.value]


def to_json(manifest: SnapshotManifest) -> str:
    """The manifest as it is written; the same manifest gives the same bytes."""
    record: dict[str, object] = {part.name: getattr(manifest, part.name) for part in fields(manifest)}
    record["request"] = asdict(manifest.request)
    record["counts"] = {part.name: getattr(manifest.counts, part.name) for part in fields(manifest.counts)}
    return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(folder: Path) -> SnapshotManifest:
    """Read a snapshot's manifest. Raises DamagedArtifact when it is missing or unreadable."""
    try:
        record = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        request = record["request"]
        nested = {
            "request": Request(
                **{**request, "kind": PolicyKind(request["kind"])}
                | {name: tuple(request.get(name, ())) for name in ("versions", "older")}
            ),
            "counts": Counts(**{name: Counter(counted) for name, counted in record["counts"].items()}),
        }
        return SnapshotManifest(**{**record, **nested})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedArtifact(f"{folder.name}: {MANIFEST_NAME} can not be read; freeze it again") from error
