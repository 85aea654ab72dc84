"""What the web application is made of, handed in by whoever composes the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, assert_never

from prometheus_client import CollectorRegistry

from thumbwheel.access.guard import Guard
from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.records import LoggedResponse, PolicyKind, RatedResponse

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_MIN_SECRET_BYTES = 32
# For both clients: somebody is waiting and wants to know; the page's script tries again where that is safe.
RETRY = RetryPolicy(attempts=1)


class VotesOf(Protocol):
    """The part of the store that the list of one's own votes reads. Calls block and are safe from any thread."""

    def votes_of(self, rater: str, limit: int) -> list[RatedResponse]:
        """Return the answers a rater has current votes on, newest vote first."""

    def response(self, response_id: str) -> LoggedResponse | None:
        """Return an answer, or None."""


class HealthState(StrEnum):
    """Whether requests are worth sending: to all policies, to some or to older versions of them, or not at all."""

    SERVING = "serving"
    DEGRADED = "degraded"
    NOT_SERVING = "not serving"


async def _always() -> bool:
    return True


def nowhere(_run_id: str) -> bytes | None:
    """Where no report is kept outside of homes."""
    return None


@dataclass(frozen=True, slots=True)
class Health:
    """The state as a whole, and a word on each part (part name -> state). Anybody may read it: it holds no secret."""

    state: HealthState
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything the routes use.

    `client` and `admin` are best made with `RETRY`. `secret` (at least 32 bytes, stable over restarts) signs
    visitors' cookies. `rater_of` turns a user id into the pseudonym the store keeps. `runs_dir` holds a folder
    for each run, with its `report.html`; of a run that was made elsewhere `kept_report` returns it (None: there is
    none). `settled` says, after a short wait, whether `votes` has every vote that was acknowledged before.
    `allowed_hosts` are the host names the pages answer to, without port
    ("*" for any): this stops other sites from reaching them by a name of their own. Only requests from this
    machine reach the operator's page unless `operate_remotely`. `max_classify_chars` and its like are
    the longest texts users may send to a policy of that kind; a body must arrive within `body_timeout_s` seconds.
    With `guard` visitors need an API key: see `keys.py`.
    `labels_are_drawn`, `tags_are_drawn`: served by lot, as their probabilities say; otherwise the likeliest is.
    """

    client: AsyncClient
    admin: AdminClient
    votes: VotesOf
    rater_of: Callable[[str], str]
    health: Callable[[], Health]
    metrics: CollectorRegistry
    runs_dir: Path
    secret: bytes = field(repr=False)
    settled: Callable[[], Awaitable[bool]] = _always
    guard: Guard | None = None
    kept_report: Callable[[str], bytes | None] = nowhere
    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES
    operate_remotely: bool = False
    max_classify_chars: int = 8_000
    max_generate_chars: int = 16_000
    max_tag_chars: int = 8_000
    body_timeout_s: float = 10.0
    labels_are_drawn: bool = True
    tags_are_drawn: bool = True

    def __post_init__(self) -> None:
        """Refuse a secret that can be guessed."""
        if len(self.secret) < _MIN_SECRET_BYTES:
            raise ValueError(f"secret: at least {_MIN_SECRET_BYTES} bytes, got {len(self.secret)}")

    def max_chars(self, kind: PolicyKind) -> int:
        """Return the longest text that a policy of this kind takes."""
        match kind:
            case PolicyKind.CLASSIFY:
                return self.max_classify_chars
            case PolicyKind.TAG:
                return self.max_tag_chars
            case PolicyKind.GENERATE:
                return self.max_generate_chars
            case _:
                assert_never(kind)

    def are_drawn(self, kind: PolicyKind) -> bool:
        """Whether the page should say that answers of this kind are drawn; of texts nobody expects anything else."""
        match kind:
            case PolicyKind.CLASSIFY:
                return self.labels_are_drawn
            case PolicyKind.TAG:
                return self.tags_are_drawn
            case PolicyKind.GENERATE:
                return False
            case _:
                assert_never(kind)

    @property
    def max_body_bytes(self) -> int:
        """The largest body: the longest text with every character escaped (6 bytes), and the other fields."""
        return 6 * max(self.max_classify_chars, self.max_generate_chars, self.max_tag_chars) + (32 << 10)
