"""A feedback service on a free port, with the real log, ingest and store behind it."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from thumbwheel.bus.codec import from_log, to_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import FEEDBACK, EventLog
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.client.aio import AsyncClient, FeedbackId
from thumbwheel.client.answers import Ballot
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Ingest, Serve
from thumbwheel.feedback.clock import ServerClock
from thumbwheel.feedback.corrections import Corrections
from thumbwheel.feedback.keys import Keys, TokenKey
from thumbwheel.feedback.limits import RaterLimits
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.servicer import FeedbackServicer
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceStub, add_FeedbackServiceServicer_to_server
from thumbwheel.feedback.voters import Voters
from thumbwheel.feedback.votes import IngestedVotes
from thumbwheel.hosts.local import LocalHost, Registration
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import Answer, Channel, ClassifyAnswer, LoggedResponse, VersionRef
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.metrics import Metrics

SERVICE = "thumbwheel.feedback.v1.FeedbackService"
KEYS = Keys((TokenKey("00000001", b"1" * 32, 0),), b"u" * 32)
FOREIGN = Keys((TokenKey("00000001", b"2" * 32, 0),), b"u" * 32)
NOW_US = time.time_ns() // 1000
POLICY = VersionRef("desk", "v3", "sha256:ab")
LOST = ClassifyAnswer("where", 0, "lost", (0.9, 0.1), 0.02, ("lost", "other"))


@dataclass
class Service:
    """A running feedback service and what stands behind it."""

    log: EventLog
    store: FeedbackStore
    metrics: Metrics
    target: str = ""
    raters: Raters = field(default_factory=lambda: Raters(KEYS.user_key))
    signer: TokenSigner = field(default_factory=lambda: TokenSigner(KEYS, 3600))

    served: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def served_labels(self, policy: str, version: str) -> tuple[str, ...]:
        """Return the labels of a version that is served."""
        return self.served.get((policy, version), ())

    @property
    def ingest(self) -> IngestWorker:
        return IngestWorker(Source(self.log), self.store, Ingest())

    def answer(self, response_id: str, user: str = "", answer: Answer = LOST) -> None:
        """Log an answer, as serving does before it sends one."""
        user_hash = self.raters.user_hash(user)
        self.log.append(
            [to_log(LoggedResponse(response_id, "q", POLICY, Channel.CHAMPION, "", user_hash, "", NOW_US, "", answer))]
        )

    def token(self, response_id: str, user: str = "", **claims: Any) -> str:
        """Sign a token as the service does; `claims`: version, age_us, request."""
        return self._sign(KEYS, response_id, user, **claims)

    def forged_token(self, response_id: str, user: str = "") -> str:
        """Sign a token with somebody else's secret."""
        return self._sign(FOREIGN, response_id, user)

    def _sign(
        self, keys: Keys, response_id: str, user: str, version: str = "v3", age_us: int = 0, request: str = "q"
    ) -> str:
        rater = self.raters.rater(user, response_id)
        return TokenSigner(keys, 3600).sign(response_id, request, rater, "desk", version, NOW_US - age_us)

    def ballot(self, client: AsyncClient, response_id: str, user: str = "") -> Ballot[FeedbackId]:
        return client.ballot(response_id, self.token(response_id, user), user)

    async def submit(self, request: pb.SubmitFeedbackRequest) -> grpc.aio.AioRpcError | None:
        """Send a request as it is; return how it failed."""
        async with grpc.aio.insecure_channel(self.target) as channel:
            try:
                await FeedbackServiceStub(channel).SubmitFeedback(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                return error
        return None

    async def retract(self, **fields: Any) -> grpc.aio.AioRpcError | None:
        """Send a retraction as it is; return how it failed."""
        given: dict[str, Any] = {"feedback_id": str(uuid.uuid4()), "kind": pb.FEEDBACK_KIND_THUMB} | fields
        async with grpc.aio.insecure_channel(self.target) as channel:
            try:
                await FeedbackServiceStub(channel).RetractFeedback(pb.RetractFeedbackRequest(**given), timeout=20)
            except grpc.aio.AioRpcError as error:
                return error
        return None

    def logged(self) -> list[Any]:
        """Everything of the feedback topic, in the order of the log."""
        return [from_log(record) for record in self.log.read(FEEDBACK, 0, 0, 1000)]

    def counted(self, kind: str, outcome: str) -> float:
        labels = {"kind": kind, "outcome": outcome}
        return self.metrics.registry.get_sample_value("thumbwheel_feedback_total", labels) or 0.0


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Service]:
    service = Service(open_log(tmp_path / "log.sqlite"), open_store(f"sqlite:///{tmp_path}/store.sqlite"), Metrics())
    yield service
    service.store.close()
    service.log.close()


@pytest.fixture
def patience_s() -> float:
    """How long a retraction waits for ingest."""
    return 60.0


@pytest.fixture
async def service(parts: Service, patience_s: float) -> AsyncIterator[Service]:
    """The service with an ingest that works when told to (`service.ingest.drain()`)."""
    committer = GroupCommitter(parts.log, max_batch=64)
    progress = IngestProgress(parts.store, Source(parts.log), patience_s)
    voters = Voters(parts.signer, parts.raters, RaterLimits(per_minute=20), RaterLimits(per_minute=20))
    lookup = IngestedVotes(parts.store, progress)
    corrections = Corrections(lambda policy: None, parts.served_labels, parts.store, progress)
    servicer = FeedbackServicer(voters, committer, lookup, ServerClock(), parts.metrics.feedback, corrections)
    registration = Registration(SERVICE, lambda server: add_FeedbackServiceServicer_to_server(servicer, server))
    host = LocalHost(Serve(port=0, admin_port=0, web_port=0, drain_s=0), [registration], parts.metrics.rpc)
    await host.start()
    parts.target = f"127.0.0.1:{host.ports['public']}"
    yield parts
    await host.drain()
    committer.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(service.target, timeout_s=20, retry=RetryPolicy(attempts=1)) as client:
        yield client
