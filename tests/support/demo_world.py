"""All that the demo service knows: answers, votes, versions, runs, and what it is told to fail at."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from demo_facts import HELPDESK, PLACES, TOPICS, audit_entry, first_status, now_us, run_of, versions_of

from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.errors import ThumbwheelError
from thumbwheel.records import Feedback, FeedbackKind, LoggedResponse, RatedResponse


@dataclass
class World:
    """All that the service knows. `stream_gate` holds streams after their first word until it is set."""

    responses: dict[str, LoggedResponse] = field(default_factory=dict)
    votes: dict[tuple[str, str, FeedbackKind], Feedback] = field(default_factory=dict)
    comments: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    versions: dict[str, list[adm.VersionSummary]] = field(default_factory=dict)
    champions: dict[str, list[str]] = field(default_factory=dict)
    history: list[adm.AuditEntry] = field(default_factory=list)
    runs: list[adm.DescribeRunResponse] = field(default_factory=list)
    status: adm.StatusResponse = field(default_factory=adm.StatusResponse)
    failures: dict[str, ThumbwheelError] = field(default_factory=dict)
    logged: bool = True
    tags_words: bool = False  # whether a `tag` policy is served, too
    stream_gate: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: two policies, three versions of each, one run that was promoted and one that was not."""
        for kept in (self.responses, self.votes, self.comments, self.history, self.runs, self.failures):
            kept.clear()
        self.logged = True
        self.cancelled.clear()
        self.stream_gate.set()
        self.tags_words = False
        self.champions = {TOPICS: ["v1", "v2"], HELPDESK: ["v1", "v2"], PLACES: ["v1", "v2"]}
        self.versions = {policy: versions_of(policy) for policy in (HELPDESK, TOPICS)}
        self.runs = [run_of("run-0002", "rejected", "v3"), run_of("run-0001", "promoted", "v2")]
        start = now_us() - 40 * 60_000_000
        moves = [("v1", "v2", "retrain", "run-0001: every gate passed"), ("", "v1", "init", "first version")]
        self.history = [
            audit_entry(policy, old, new, actor, reason, start - 60_000_000 * age)
            for policy in (HELPDESK, TOPICS)
            for age, (old, new, actor, reason) in enumerate(moves)
        ]
        self.status = first_status()

    def champion(self, policy: str) -> str:
        return self.champions[policy][-1]

    def next_id(self) -> str:
        return f"01900000-0000-7000-8000-{next(self._ids):012d}"

    # What the store's port offers the pages.
    def votes_of(self, rater: str, limit: int) -> list[RatedResponse]:
        mine = [vote for vote in self.votes.values() if vote.rater == rater]
        newest = sorted(mine, key=lambda vote: vote.time_us, reverse=True)[:limit]
        by_response = {vote.response_id: None for vote in newest}
        return [
            RatedResponse(self.responses[one], tuple(vote for vote in newest if vote.response_id == one))
            for one in by_response
        ]

    def response(self, response_id: str) -> LoggedResponse | None:
        return self.responses.get(response_id)
