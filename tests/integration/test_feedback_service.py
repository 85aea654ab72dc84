"""The feedback door over real gRPC, with the real log, ingest and store behind it."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from thumbwheel.bus.codec import from_log, to_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import FEEDBACK, EventLog
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.client.aio import AsyncClient, FeedbackId
from thumbwheel.client.answers import Ballot, rank
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Ingest, Serve
from thumbwheel.errors import LogUnavailable, NothingToRetract, Overloaded
from thumbwheel.feedback.clock import ServerClock
from thumbwheel.feedback.keys import Keys, TokenKey
from thumbwheel.feedback.limits import RaterLimits
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.servicer import FeedbackServicer, Voters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceStub, add_FeedbackServiceServicer_to_server
from thumbwheel.feedback.votes import IngestedVotes
from thumbwheel.hosts.local import LocalHost, Registration
from thumbwheel.ingest.worker import CONSUMER, IngestWorker
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, Retraction, VersionRef
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.metrics import Metrics

SERVICE = "thumbwheel.feedback.v1.FeedbackService"
KEYS = Keys((TokenKey("00000001", b"1" * 32, 0),), b"u" * 32)
FOREIGN = Keys((TokenKey("00000001", b"2" * 32, 0),), b"u" * 32)
NOW_US = time.time_ns() // 1000
HOUR_US = 3_600_000_000
POLICY = VersionRef("desk", "v3", "sha256:ab")


@dataclass
class Service:
    """A running feedback service and what stands behind it."""

    log: EventLog
    store: FeedbackStore
    metrics: Metrics
    target: str = ""
    raters: Raters = field(default_factory=lambda: Raters(KEYS.user_key))
    signer: TokenSigner = field(default_factory=lambda: TokenSigner(KEYS, 3600))

    @property
    def ingest(self) -> IngestWorker:
        return IngestWorker(self.log, self.store, Ingest())

    def answer(self, response_id: str, user: str = "") -> None:
        """Log an answer, as serving does before it sends one."""
        answer = ClassifyAnswer("where", 0, "lost", (0.9, 0.1), 0.02, ("lost", "other"))
        user_hash = self.raters.user_hash(user)
        self.log.append(
            [to_log(LoggedResponse(response_id, "q", POLICY, Channel.CHAMPION, "", user_hash, "", NOW_US, "", answer))]
        )

    def token(self, response_id: str, user: str = "", version: str = "v3", keys: Keys = KEYS, age_us: int = 0) -> str:
        rater = self.raters.rater(user, response_id)
        return TokenSigner(keys, 3600).sign(response_id, rater, "desk", version, NOW_US - age_us)

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
    progress = IngestProgress(parts.store, parts.log, CONSUMER, patience_s)
    voters = Voters(parts.signer, parts.raters, RaterLimits(per_minute=20))
    lookup = IngestedVotes(parts.store, progress)
    servicer = FeedbackServicer(voters, committer, lookup, ServerClock(), parts.metrics.feedback)
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


def ballot(client: AsyncClient, service: Service, response_id: str, user: str = "") -> Ballot[FeedbackId]:
    return client.ballot(response_id, service.token(response_id, user), user)


async def submit(service: Service, request: pb.SubmitFeedbackRequest) -> grpc.aio.AioRpcError | None:
    """Send a request as it is; return how it failed."""
    async with grpc.aio.insecure_channel(service.target) as channel:
        try:
            await FeedbackServiceStub(channel).SubmitFeedback(request, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error
    return None


# --- votes that count -----------------------------------------------------------------------------------------


async def test_every_kind_of_vote_is_logged_and_ingested(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = ballot(client, service, "r1", "alice")
    ids = [
        await own.thumbs_up("nice", ["quick", "quick"]),
        await own.rate(4),
        await own.correct_label("other"),
    ]
    logged = service.logged()
    assert [one.feedback_id for one in logged] == ids
    assert all(isinstance(one, Feedback) and (one.policy, one.policy_version) == ("desk", "v3") for one in logged)
    assert {one.rater for one in logged} == {service.raters.user_hash("alice")}
    assert [one.time_us for one in logged] == sorted({one.time_us for one in logged})
    service.ingest.drain()
    rater = service.raters.user_hash("alice")
    thumb = service.store.current_vote("r1", rater, FeedbackKind.THUMB)
    rating = service.store.current_vote("r1", rater, FeedbackKind.RATING)
    edit = service.store.current_vote("r1", rater, FeedbackKind.EDIT)
    assert thumb is not None and (thumb.thumb_up, thumb.comment, thumb.reasons) == (True, "nice", ("quick",))
    assert rating is not None and rating.rating == 4
    assert edit is not None and edit.edit is not None and edit.edit.label == "other"
    assert service.counted("thumb", "accepted") == service.counted("edit", "accepted") == 1.0


async def test_the_last_vote_of_a_kind_counts(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = ballot(client, service, "r1", "alice")
    for vote in (own.thumbs_up, own.thumbs_down, own.thumbs_up, own.thumbs_down):
        await vote()
    service.ingest.drain()
    thumb = service.store.current_vote("r1", service.raters.user_hash("alice"), FeedbackKind.THUMB)
    assert thumb is not None and thumb.thumb_up is False
    assert service.store.vote_counts("desk")["v3"].thumbs_down == 1


async def test_the_same_feedback_id_counts_once(service: Service) -> None:
    service.answer("r1")
    request = pb.SubmitFeedbackRequest(
        feedback_id=str(uuid.uuid4()).upper(),
        response_id="r1",
        feedback_token=service.token("r1"),
        thumb=pb.THUMB_UP,
    )
    assert [await submit(service, request) for _ in range(3)] == [None] * 3
    service.ingest.drain()
    assert len(service.logged()) == 3
    assert len({one.feedback_id for one in service.logged()}) == 1
    assert service.store.vote_counts("desk")["v3"].thumbs_up == 1
    assert service.store.new_votes("desk", 0) == 1


async def test_an_anonymous_user_votes_with_the_token_alone(service: Service, client: AsyncClient) -> None:
    service.answer("r1")
    await ballot(client, service, "r1").thumbs_down()
    service.ingest.drain()
    assert service.store.current_vote("r1", service.raters.rater("", "r1"), FeedbackKind.THUMB) is not None


@pytest.mark.parametrize("user", ["alice", ""])
async def test_ranking_again_replaces_the_ranking(service: Service, client: AsyncClient, user: str) -> None:
    for response_id in ("r1", "r2"):
        service.answer(response_id, user)
    first, second = (ballot(client, service, response_id, user) for response_id in ("r1", "r2"))
    await rank([first, second])
    await rank([second, first])
    service.ingest.drain()
    rater = service.raters.rater(user, "r1")
    vote = service.store.current_vote("r1", rater, FeedbackKind.RANKING)
    assert vote is not None and vote.ranking == ("r2", "r1")
    assert service.store.current_vote("r2", service.raters.rater(user, "r2"), FeedbackKind.RANKING) is None
    assert service.store.vote_counts("desk")["v3"].rankings == 1
    with pytest.raises(NothingToRetract, match="its candidate of smallest id"):
        await second.retract("ranking")
    await first.retract("ranking")
    service.ingest.drain()
    assert service.store.current_vote("r1", rater, FeedbackKind.RANKING) is None


# --- taking back ----------------------------------------------------------------------------------------------


async def test_a_vote_in_the_store_is_taken_back(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = ballot(client, service, "r1", "alice")
    await own.thumbs_up()
    service.ingest.drain()
    feedback_id = await own.retract("thumb")
    last = service.logged()[-1]
    assert isinstance(last, Retraction) and (last.feedback_id, last.kind) == (feedback_id, FeedbackKind.THUMB)
    service.ingest.drain()
    assert service.store.current_vote("r1", service.raters.user_hash("alice"), FeedbackKind.THUMB) is None
    assert service.counted("thumb", "retracted") == 1.0
    with pytest.raises(NothingToRetract):
        await own.retract("thumb")


async def test_a_vote_on_its_way_to_the_store_is_waited_for(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = ballot(client, service, "r1", "alice")
    await own.thumbs_up()
    stop = threading.Event()
    worker = threading.Thread(target=service.ingest.run, args=(stop,))
    retracting = asyncio.ensure_future(own.retract("thumb"))
    await asyncio.sleep(0)
    worker.start()
    try:
        await retracting
    finally:
        stop.set()
        await asyncio.to_thread(worker.join)
    assert isinstance(service.logged()[-1], Retraction)


@pytest.mark.parametrize("patience_s", [0.05])
async def test_what_can_not_be_known_yet_is_not_denied(service: Service) -> None:
    service.answer("r1")
    error = await retract(service, response_id="r1", feedback_token=service.token("r1"))
    assert error is not None and error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "earlier events are still on their way to the store; try again"
    assert service.logged() == []


async def retract(service: Service, **fields: Any) -> grpc.aio.AioRpcError | None:
    given: dict[str, Any] = {"feedback_id": str(uuid.uuid4()), "kind": pb.FEEDBACK_KIND_THUMB} | fields
    async with grpc.aio.insecure_channel(service.target) as channel:
        try:
            await FeedbackServiceStub(channel).RetractFeedback(pb.RetractFeedbackRequest(**given), timeout=20)
        except grpc.aio.AioRpcError as error:
            return error
    return None


# --- bad input ------------------------------------------------------------------------------------------------

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED

FOREIGN_TOKEN = "does not belong to this answer and user; send the token that came with the answer itself"


def ranking(*candidates: tuple[str, str]) -> pb.Ranking:
    ranked = [pb.RankedCandidate(response_id=one, feedback_token=token) for one, token in candidates]
    return pb.Ranking(best_first=ranked)


Change = Callable[[Service], dict[str, Any]]
BAD_SUBMISSIONS: list[tuple[str, Change, grpc.StatusCode, str]] = [
    ("no token", lambda s: {"feedback_token": ""}, UNAUTHENTICATED, "feedback_token: is missing; send the token"),
    ("not a token", lambda s: {"feedback_token": "abc"}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
    ("forged", lambda s: {"feedback_token": s.token("r1", keys=FOREIGN)}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
    ("another answer's", lambda s: {"feedback_token": s.token("r2")}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
    ("another user's", lambda s: {"feedback_token": s.token("r1", "bob")}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
    ("sent as another", lambda s: {"user_id": "bob"}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
    (
        "expired",
        lambda s: {"feedback_token": s.token("r1", age_us=HOUR_US + 1)},
        DENIED,
        "feedback_token: expired; the time for rating this answer is over",
    ),
    ("no id", lambda s: {"feedback_id": ""}, INVALID, "feedback_id: must be a UUID"),
    ("no UUID", lambda s: {"feedback_id": "x" * 36}, INVALID, "feedback_id: must be a UUID"),
    ("a braced UUID", lambda s: {"feedback_id": "{" + str(uuid.uuid4()) + "}"}, INVALID, "feedback_id: must be a UUID"),
    ("no answer", lambda s: {"response_id": ""}, INVALID, "response_id: is missing"),
    ("nothing said", lambda s: {"thumb": None}, INVALID, "feedback: is missing; set one of thumb, rating"),
    ("no thumb", lambda s: {"thumb": pb.THUMB_UNSPECIFIED}, INVALID, "thumb: must be THUMB_UP or THUMB_DOWN"),
    ("a third thumb", lambda s: {"thumb": 3}, INVALID, "thumb: must be THUMB_UP or THUMB_DOWN"),
    ("rating 0", lambda s: {"thumb": None, "rating": 0}, INVALID, "rating: must be 1 to 5, got 0"),
    ("rating 6", lambda s: {"thumb": None, "rating": 6}, INVALID, "rating: must be 1 to 5, got 6"),
    ("no edit", lambda s: {"thumb": None, "edit": pb.Edit()}, INVALID, "edit: is empty; set one of text, label, tags"),
    ("an empty edit", lambda s: {"thumb": None, "edit": pb.Edit(text=" ")}, INVALID, "edit.text: is empty"),
    (
        "a long edit",
        lambda s: {"thumb": None, "edit": pb.Edit(text="x" * 16_001)},
        INVALID,
        "edit.text: at most 16,000 characters are allowed, got 16,001; shorten it",
    ),
    (
        "an empty tag",
        lambda s: {"thumb": None, "edit": pb.Edit(tags=pb.Tags(tags=["a", ""]))},
        INVALID,
        "edit.tags[1]: is empty",
    ),
    ("a long comment", lambda s: {"comment": "x" * 2_001}, INVALID, "comment: at most 2,000 characters are allowed"),
    ("a zero character", lambda s: {"comment": "a\0b"}, INVALID, "comment: must not contain the zero character"),
    ("a long user id", lambda s: {"user_id": "x" * 257}, INVALID, "user_id: at most 256 characters are allowed"),
    ("nine reasons", lambda s: {"reasons": list("abcdefghi")}, INVALID, "reasons: at most 8 are allowed, got 9"),
    ("an odd reason", lambda s: {"reasons": ["ok", "Too Slow"]}, INVALID, "reasons[1]: must be 1 to 40 characters"),
    (
        "one candidate",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")))},
        INVALID,
        "ranking.best_first: must name 2 to 8 candidates, got 1",
    ),
    (
        "nine candidates",
        lambda s: {"thumb": None, "ranking": ranking(*((f"r{i}", s.token(f"r{i}")) for i in range(1, 10)))},
        INVALID,
        "ranking.best_first: must name 2 to 8 candidates, got 9",
    ),
    (
        "a doubled candidate",
        lambda s: {"thumb": None, "ranking": ranking(*((i, s.token(i)) for i in ("r1", "r2", "r1")))},
        INVALID,
        "ranking.best_first[2].response_id: is in the ranking twice; name every candidate once",
    ),
    (
        "a stranger's candidate",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")), ("r2", s.token("r2", "bob")))},
        DENIED,
        f"ranking.best_first[1].feedback_token: {FOREIGN_TOKEN}",
    ),
    (
        "a candidate without token",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")), ("r2", ""))},
        UNAUTHENTICATED,
        "ranking.best_first[1].feedback_token: is missing",
    ),
    (
        "a nameless candidate",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")), ("", s.token("")))},
        INVALID,
        "ranking.best_first[1].response_id: is missing",
    ),
    (
        "candidates of two versions",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")), ("r2", s.token("r2", version="v4")))},
        INVALID,
        "ranking.best_first: must be candidates of one request, made by one version",
    ),
    (
        "a ranking of others",
        lambda s: {"thumb": None, "ranking": ranking(("r2", s.token("r2")), ("r3", s.token("r3")))},
        INVALID,
        "response_id: must be the id of one of the ranked candidates",
    ),
]


@pytest.mark.parametrize(
    ("change", "code", "message"), [case[1:] for case in BAD_SUBMISSIONS], ids=[case[0] for case in BAD_SUBMISSIONS]
)
async def test_a_bad_submission_is_refused_by_field_limit_and_cure(
    change: Change, code: grpc.StatusCode, message: str, service: Service
) -> None:
    fields: dict[str, Any] = {
        "feedback_id": str(uuid.uuid4()),
        "response_id": "r1",
        "feedback_token": service.token("r1"),
        "thumb": pb.THUMB_UP,
    }
    fields |= change(service)
    error = await submit(service, pb.SubmitFeedbackRequest(**fields))
    assert error is not None
    assert error.code() is code
    assert (error.details() or "").startswith(message)
    assert service.logged() == []


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"feedback_token": ""}, UNAUTHENTICATED, "feedback_token: is missing"),
        ({"user_id": "bob"}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
        ({"feedback_id": "1"}, INVALID, "feedback_id: must be a UUID"),
        ({"kind": 0}, INVALID, "kind: is missing or unknown; set one of thumb, rating, ranking, edit"),
        ({"kind": 9}, INVALID, "kind: is missing or unknown"),
        ({"response_id": ""}, INVALID, "response_id: is missing"),
        (
            {},
            grpc.StatusCode.FAILED_PRECONDITION,
            "kind: you have no current thumb on this answer, so there is nothing to retract",
        ),
    ],
)
async def test_a_bad_retraction_is_refused(
    fields: dict[str, Any], code: grpc.StatusCode, message: str, service: Service
) -> None:
    error = await retract(service, **{"response_id": "r1", "feedback_token": service.token("r1")} | fields)
    assert error is not None
    assert error.code() is code
    assert (error.details() or "").startswith(message)
    assert service.logged() == []


async def test_too_many_votes_are_refused_with_a_hint(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = ballot(client, service, "r1", "alice")
    for _ in range(20):
        await own.thumbs_up()
    with pytest.raises(Overloaded, match="more than 20 votes in a minute") as caught:
        await own.thumbs_up()
    assert 0 < caught.value.retry_after_s <= 3.0
    assert len(service.logged()) == 20
    assert service.counted("thumb", "limited") == 1.0
    await ballot(client, service, "r1", "bob").thumbs_up()


async def test_a_stranger_can_not_use_up_a_raters_pace(service: Service, client: AsyncClient) -> None:
    forged = client.ballot("r1", service.token("r1", "alice", keys=FOREIGN), "alice")
    for _ in range(30):
        with pytest.raises(Exception, match="does not belong"):
            await forged.thumbs_up()
    await ballot(client, service, "r1", "alice").thumbs_up()


async def test_a_vote_that_could_not_be_made_durable_is_not_acknowledged(tmp_path: Path, parts: Service) -> None:
    small = open_log(tmp_path / "small.sqlite", max_bytes=1 << 16)
    committer = GroupCommitter(small, max_batch=64)
    progress = IngestProgress(parts.store, small, CONSUMER)
    voters = Voters(parts.signer, parts.raters, RaterLimits(per_minute=1000))
    lookup = IngestedVotes(parts.store, progress)
    servicer = FeedbackServicer(voters, committer, lookup, ServerClock(), parts.metrics.feedback)
    accepted = 0
    request = pb.SubmitFeedbackRequest(response_id="r1", feedback_token=parts.token("r1"), thumb=pb.THUMB_UP)
    request.comment = "x" * 2000
    context: Any = None
    with pytest.raises(LogUnavailable):
        for _ in range(1000):
            request.feedback_id = str(uuid.uuid4())
            await servicer.SubmitFeedback(request, context)
            accepted += 1
    assert len(small.read(FEEDBACK, 0, 0, 1000)) == accepted > 0
    assert parts.counted("thumb", "unavailable") == 1.0
    committer.close()
    small.close()
