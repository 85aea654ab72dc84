"""Feedback that is refused, over real gRPC: by which status, with which field, limit and cure, and nothing logged."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import FEEDBACK
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.client.aio import AsyncClient
from thumbwheel.errors import LogUnavailable, Overloaded
from thumbwheel.feedback.clock import ServerClock
from thumbwheel.feedback.corrections import Corrections
from thumbwheel.feedback.limits import RaterLimits
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.servicer import FeedbackServicer
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.feedback.voters import Voters
from thumbwheel.feedback.votes import IngestedVotes
from thumbwheel.records import TagAnswer

if TYPE_CHECKING:
    from tests.integration.feedback.conftest import Service

HOUR_US = 3_600_000_000
INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED

FOREIGN_TOKEN = "does not belong to this answer and user; send the token that came with the answer itself"


def ranking(*candidates: tuple[str, str]) -> pb.Ranking:
    ranked = [pb.RankedCandidate(response_id=one, feedback_token=token) for one, token in candidates]
    return pb.Ranking(best_first=ranked)


Change = Callable[["Service"], dict[str, Any]]
BAD_SUBMISSIONS: list[tuple[str, Change, grpc.StatusCode, str]] = [
    ("no token", lambda s: {"feedback_token": ""}, UNAUTHENTICATED, "feedback_token: is missing; send the token"),
    ("not a token", lambda s: {"feedback_token": "abc"}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
    ("forged", lambda s: {"feedback_token": s.forged_token("r1")}, DENIED, f"feedback_token: {FOREIGN_TOKEN}"),
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
    ("an escape", lambda s: {"comment": "a\n\x1b[2J"}, INVALID, "comment: character 2 is U+001B, a control character"),
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
        "a candidate of another request",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")), ("r2", s.token("r2", request="q2")))},
        INVALID,
        "ranking.best_first[1].response_id: is a candidate of another request than the first; rank candidates of one",
    ),
    (
        "a forged candidate",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")), ("r2", s.forged_token("r2")))},
        DENIED,
        f"ranking.best_first[1].feedback_token: {FOREIGN_TOKEN}",
    ),
    (
        "a candidate with its sibling's token",
        lambda s: {"thumb": None, "ranking": ranking(("r1", s.token("r1")), ("r2", s.token("r1")))},
        DENIED,
        f"ranking.best_first[1].feedback_token: {FOREIGN_TOKEN}",
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
    error = await service.submit(pb.SubmitFeedbackRequest(**fields))
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
            grpc.StatusCode.NOT_FOUND,
            "kind: you gave no thumb on this answer, so there is nothing to retract",
        ),
    ],
)
async def test_a_bad_retraction_is_refused(
    fields: dict[str, Any], code: grpc.StatusCode, message: str, service: Service
) -> None:
    error = await service.retract(**{"response_id": "r1", "feedback_token": service.token("r1")} | fields)
    assert error is not None
    assert error.code() is code
    assert (error.details() or "").startswith(message)
    assert service.logged() == []


# --- an id used before ----------------------------------------------------------------------------------------


async def test_another_vote_under_a_used_id_is_refused(service: Service) -> None:
    service.answer("r1")
    fields: dict[str, Any] = {"feedback_id": str(uuid.uuid4()), "response_id": "r1"}
    fields["feedback_token"] = service.token("r1")
    first = pb.SubmitFeedbackRequest(**fields, thumb=pb.THUMB_UP)
    assert await service.submit(first) is None
    service.ingest.drain()
    for other in ({"thumb": pb.THUMB_DOWN}, {"rating": 3}, {"thumb": pb.THUMB_UP, "comment": "nice"}):
        error = await service.submit(pb.SubmitFeedbackRequest(**fields, **other))
        assert error is not None and error.code() is grpc.StatusCode.ALREADY_EXISTS
        assert error.details() == "feedback_id: was used for other feedback before; make a new one for each"
    error = await service.retract(**fields)
    assert error is not None and error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert await service.submit(first) is None
    service.ingest.drain()
    assert len(service.logged()) == 1
    assert service.store.count_dead_letters() == 0
    assert service.counted("thumb", "refused") == 3.0  # two votes and the retraction


async def test_ids_of_another_rater_are_free(service: Service) -> None:
    feedback_id = str(uuid.uuid4())
    for user, thumb in (("alice", pb.THUMB_UP), ("bob", pb.THUMB_DOWN)):
        response_id = f"r-{user}"
        service.answer(response_id, user)
        token = service.token(response_id, user)
        request = pb.SubmitFeedbackRequest(feedback_id=feedback_id, response_id=response_id, feedback_token=token)
        request.user_id, request.thumb = user, thumb
        assert await service.submit(request) is None
        service.ingest.drain()
    assert len(service.logged()) == 2


# --- corrections ----------------------------------------------------------------------------------------------


def correction(service: Service, label: str) -> pb.SubmitFeedbackRequest:
    token = service.token("r1")
    edit = pb.Edit(label=label)
    return pb.SubmitFeedbackRequest(feedback_id=str(uuid.uuid4()), response_id="r1", feedback_token=token, edit=edit)


@pytest.mark.parametrize("ingested", [True, False], ids=["in the store", "on its way"])
async def test_a_label_of_no_use_is_refused_by_the_labels_of_the_answer(service: Service, ingested: bool) -> None:
    service.answer("r1")
    stop = threading.Event()
    worker = threading.Thread(target=service.ingest.run, args=(stop,))
    if ingested:
        service.ingest.drain()
    refusing = asyncio.ensure_future(service.submit(correction(service, "refund")))
    await asyncio.sleep(0)
    worker.start()
    try:
        error = await refusing
        assert error is not None and error.code() is INVALID
        assert error.details() == "edit.label: is not a label of the version that answered; set one of: lost, other"
        assert service.logged() == []
        assert await service.submit(correction(service, "other")) is None
    finally:
        stop.set()
        await asyncio.to_thread(worker.join)


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        (["O"], "edit.tags: must be one for each of the answer's 2 tokens, got 1"),
        (["O", "B-day"], "edit.tags[1]: is not a tag of the version that answered; set one of: O, B-city"),
    ],
)
async def test_tags_are_held_against_the_answer(service: Service, tags: list[str], problem: str) -> None:
    words = TagAnswer("to Rome", ("to", "Rome"), (0, 3), (2, 7), (0, 0), (0.5,) * 4, 0.02, ("O", "B-city"))
    service.answer("r1", answer=words)
    service.ingest.drain()

    def correction_by(tags: list[str]) -> pb.SubmitFeedbackRequest:
        edit = pb.Edit(tags=pb.Tags(tags=tags))
        return pb.SubmitFeedbackRequest(
            feedback_id=str(uuid.uuid4()), response_id="r1", feedback_token=service.token("r1"), edit=edit
        )

    error = await service.submit(correction_by(tags))
    assert error is not None and error.code() is INVALID
    assert error.details() == problem
    assert service.logged() == []
    assert await service.submit(correction_by(["O", "B-city"])) is None


async def test_the_labels_of_a_served_version_need_no_store(service: Service) -> None:
    service.served = {("desk", "v3"): ("lost", "late"), ("desk", "v4"): ("refund",)}
    error = await service.submit(correction(service, "refund"))
    assert error is not None and error.code() is INVALID
    assert (error.details() or "").endswith("set one of: lost, late")
    assert await service.submit(correction(service, "late")) is None


async def test_labels_that_are_long_and_many_leave_room_for_the_rest_of_the_refusal(service: Service) -> None:
    served = tuple("\u9001" * 36 + f"{number:04}" for number in range(60))
    service.served = {("desk", "v3"): served}
    error = await service.submit(correction(service, "refund"))
    assert error is not None and error.code() is INVALID
    told = (error.details() or "").partition("set one of: ")[2]
    assert told == f"{', '.join(served[:10])} and 50 more, which DescribePolicy lists"


@pytest.mark.parametrize("patience_s", [0.05])
async def test_labels_that_can_not_be_known_yet_are_not_guessed(service: Service) -> None:
    service.answer("r1")
    error = await service.submit(correction(service, "other"))
    assert error is not None and error.code() is grpc.StatusCode.UNAVAILABLE
    assert service.logged() == []


# --- pace, and durability ---------------------------------------------------------------------------------------


async def test_too_many_votes_are_refused_with_a_hint(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = service.ballot(client, "r1", "alice")
    for _ in range(20):
        await own.thumbs_up()
    with pytest.raises(Overloaded, match="more than 20 votes in a minute") as caught:
        await own.thumbs_up()
    assert 0 < caught.value.retry_after_s <= 3.0
    assert len(service.logged()) == 20
    assert service.counted("thumb", "limited") == 1.0
    await service.ballot(client, "r1", "bob").thumbs_up()


async def test_a_stranger_can_not_use_up_a_raters_pace(service: Service, client: AsyncClient) -> None:
    forged = client.ballot("r1", service.forged_token("r1", "alice"), "alice")
    for _ in range(30):
        with pytest.raises(Exception, match="does not belong"):
            await forged.thumbs_up()
    await service.ballot(client, "r1", "alice").thumbs_up()


async def test_a_vote_that_could_not_be_made_durable_is_not_acknowledged(tmp_path: Path, parts: Service) -> None:
    small = open_log(tmp_path / "small.sqlite", max_bytes=1 << 16)
    committer = GroupCommitter(small, max_batch=64)
    progress = IngestProgress(parts.store, Source(small))
    voters = Voters(parts.signer, parts.raters, RaterLimits(per_minute=1000), RaterLimits(per_minute=40))
    lookup = IngestedVotes(parts.store, progress)
    corrections = Corrections(lambda policy: None, parts.served_labels, parts.store, progress)
    servicer = FeedbackServicer(voters, committer, lookup, ServerClock(), parts.metrics.feedback, corrections)
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
    for _ in range(50):  # those refused don't use up the rater's pace, which would hide the cause
        with pytest.raises(LogUnavailable):
            await servicer.SubmitFeedback(request, context)
    assert parts.counted("thumb", "unavailable") == 51.0
    committer.close()
    small.close()
