"""Votes over real gRPC: given, replaced, taken back, with the real log, ingest and store behind the door."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from thumbwheel.client.aio import AsyncClient
from thumbwheel.client.answers import rank
from thumbwheel.errors import NothingToRetract
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.records import Feedback, FeedbackKind, Retraction

if TYPE_CHECKING:
    from tests.integration.feedback.conftest import Service

# --- votes that count -----------------------------------------------------------------------------------------


async def test_every_kind_of_vote_is_logged_and_ingested(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = service.ballot(client, "r1", "alice")
    service.ingest.drain()
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
    own = service.ballot(client, "r1", "alice")
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
    assert [await service.submit(request) for _ in range(3)] == [None] * 3
    service.ingest.drain()
    assert len(service.logged()) == 1
    assert service.store.vote_counts("desk")["v3"].thumbs_up == 1
    assert service.store.new_votes("desk", 0) == {FeedbackKind.THUMB: 1}


async def test_an_anonymous_user_votes_with_the_token_alone(service: Service, client: AsyncClient) -> None:
    service.answer("r1")
    await service.ballot(client, "r1").thumbs_down()
    service.ingest.drain()
    assert service.store.current_vote("r1", service.raters.rater("", "r1"), FeedbackKind.THUMB) is not None


@pytest.mark.parametrize("user", ["alice", ""])
async def test_ranking_again_replaces_the_ranking(service: Service, client: AsyncClient, user: str) -> None:
    for response_id in ("r1", "r2"):
        service.answer(response_id, user)
    first, second = (service.ballot(client, response_id, user) for response_id in ("r1", "r2"))
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
    own = service.ballot(client, "r1", "alice")
    await own.thumbs_up()
    service.ingest.drain()
    feedback_id = await own.retract("thumb")
    last = service.logged()[-1]
    assert isinstance(last, Retraction) and (last.feedback_id, last.kind) == (feedback_id, FeedbackKind.THUMB)
    service.ingest.drain()
    assert service.store.current_vote("r1", service.raters.user_hash("alice"), FeedbackKind.THUMB) is None
    assert service.counted("thumb", "retracted") == 1.0


@pytest.mark.parametrize("ingested", [True, False], ids=["in the store", "on its way"])
async def test_what_is_taken_back_may_be_taken_back_again(
    service: Service, client: AsyncClient, ingested: bool
) -> None:
    service.answer("r1", "alice")
    own = service.ballot(client, "r1", "alice")
    await own.thumbs_up()
    service.ingest.drain()
    await own.retract("thumb")
    if ingested:
        service.ingest.drain()
    await own.retract("thumb")
    with pytest.raises(NothingToRetract, match="you gave no rating on this answer"):
        await _ingesting(service, own.retract("rating"))
    assert service.store.current_vote("r1", service.raters.user_hash("alice"), FeedbackKind.THUMB) is None


async def test_the_same_retraction_again_is_no_other_one(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = service.ballot(client, "r1", "alice")
    await own.thumbs_up()
    service.ingest.drain()
    fields = {"feedback_id": str(uuid.uuid4()), "response_id": "r1", "user_id": "alice"}
    fields["feedback_token"] = service.token("r1", "alice")
    assert await service.retract(**fields) is None
    service.ingest.drain()
    await own.thumbs_down()
    service.ingest.drain()
    assert await service.retract(**fields) is None
    assert len(service.logged()) == 3
    service.ingest.drain()
    thumb = service.store.current_vote("r1", service.raters.user_hash("alice"), FeedbackKind.THUMB)
    assert thumb is not None and thumb.thumb_up is False


async def test_a_vote_on_its_way_to_the_store_is_waited_for(service: Service, client: AsyncClient) -> None:
    service.answer("r1", "alice")
    own = service.ballot(client, "r1", "alice")
    await own.thumbs_up()
    await _ingesting(service, own.retract("thumb"))
    assert isinstance(service.logged()[-1], Retraction)


async def _ingesting(service: Service, call: Awaitable[str]) -> None:
    """Await a call while ingest, which had not begun before it, works."""
    stop = threading.Event()
    worker = threading.Thread(target=service.ingest.run, args=(stop,))
    calling = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    worker.start()
    try:
        await calling
    finally:
        stop.set()
        await asyncio.to_thread(worker.join)


@pytest.mark.parametrize("patience_s", [0.05])
async def test_what_can_not_be_known_yet_is_not_denied(service: Service) -> None:
    service.answer("r1")
    error = await service.retract(response_id="r1", feedback_token=service.token("r1"))
    assert error is not None and error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "earlier events are still on their way to the store; try again"
    assert service.logged() == []


@pytest.mark.parametrize("patience_s", [0.05])
async def test_records_that_were_erased_unread_are_not_waited_for(service: Service, client: AsyncClient) -> None:
    service.answer("r1")
    service.answer("r2")
    assert service.log.erase(["r2"]) == 1
    service.ingest.drain()
    with pytest.raises(NothingToRetract):
        await service.ballot(client, "r1").retract("thumb")


async def test_two_votes_at_once_under_one_id_are_not_both_acknowledged(service: Service) -> None:
    fields: Any = {"response_id": "r1", "feedback_token": service.token("r1")}
    for _ in range(10):
        feedback_id = str(uuid.uuid4())
        requests = [
            pb.SubmitFeedbackRequest(feedback_id=feedback_id, thumb=pb.THUMB_UP, **fields),
            pb.SubmitFeedbackRequest(feedback_id=feedback_id, rating=5, **fields),
        ]
        errors = await asyncio.gather(*(service.submit(one) for one in requests))
        assert [error.code() for error in errors if error] == [grpc.StatusCode.ALREADY_EXISTS]
    service.answer("r1")
    service.ingest.drain()
    assert len(service.logged()) == 10
    assert service.store.count_dead_letters() == 0
