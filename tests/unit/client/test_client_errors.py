"""From statuses back to the error tree."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from thumbwheel import errors
from thumbwheel.client import AdminClient, AsyncClient, Client
from thumbwheel.client.errors import Failure
from thumbwheel.client.retry import Attempts, RetryPolicy

if TYPE_CHECKING:
    from tests.unit.client.conftest import Script

Code = grpc.StatusCode
FAILED = "failed to connect to all addresses; last error: UNKNOWN: "
REFUSED = "Failed to connect to remote host: Connection refused"


@pytest.fixture
def client(target: str) -> Iterator[Client]:
    with Client(target, timeout_s=20, retry=RetryPolicy(attempts=1)) as client:
        yield client


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (Code.INVALID_ARGUMENT, {}, errors.InvalidInput),
        (Code.NOT_FOUND, {}, errors.NotFound),
        (Code.NOT_FOUND, {"reason": "UnknownPolicy"}, errors.UnknownPolicy),
        (Code.NOT_FOUND, {"reason": "UNKNOWN_VERSION"}, errors.UnknownVersion),
        (Code.NOT_FOUND, {"reason": "UnknownRun"}, errors.UnknownRun),
        (Code.NOT_FOUND, {"reason": "NOTHING_TO_RETRACT"}, errors.NothingToRetract),
        (Code.UNAUTHENTICATED, {}, errors.TokenMissing),
        (Code.PERMISSION_DENIED, {}, errors.TokenRefused),
        (Code.ALREADY_EXISTS, {}, errors.AlreadyExists),
        (Code.FAILED_PRECONDITION, {}, errors.Conflict),
        (Code.FAILED_PRECONDITION, {"reason": "RunInProgress"}, errors.RunInProgress),
        (Code.FAILED_PRECONDITION, {"reason": "NotEnoughData"}, errors.NotEnoughData),
        (Code.FAILED_PRECONDITION, {"reason": "Overloaded"}, errors.Conflict),
        (Code.RESOURCE_EXHAUSTED, {"retry_after_ms": 250}, errors.Overloaded),
        (Code.UNAVAILABLE, {}, errors.Unreachable),
        (Code.UNAVAILABLE, {"reason": "UNAVAILABLE"}, errors.Unavailable),
        (Code.UNAVAILABLE, {"reason": "LogUnavailable"}, errors.LogUnavailable),
        (Code.DEADLINE_EXCEEDED, {}, errors.DeadlineMissed),
        (Code.DATA_LOSS, {}, errors.DamagedArtifact),
        (Code.INTERNAL, {}, errors.ThumbwheelError),
        (Code.UNIMPLEMENTED, {}, errors.ThumbwheelError),
    ],
)
def test_every_status_has_its_error(
    code: Code, details: dict[str, Any], kind: type[errors.ThumbwheelError], client: Client, script: Script
) -> None:
    script.refuse(code, "what happened", **details)
    with pytest.raises(errors.ThumbwheelError, match="what happened") as caught:
        client.classify("hi")
    assert type(caught.value) is kind


def test_the_field_comes_back(client: Client, script: Script) -> None:
    script.refuse(Code.INVALID_ARGUMENT, "text: is empty; send 1 to 8,000 characters", field_name="text")
    with pytest.raises(errors.InvalidInput) as caught:
        client.classify("")
    assert caught.value.field == "text"
    assert str(caught.value) == "text: is empty; send 1 to 8,000 characters"


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (f"{FAILED}ipv4:10.0.0.1:7070: {REFUSED}", "nothing listens at 10.0.0.1:7070"),
        (f"{FAILED}ipv6:%5B::1%5D:7070: {REFUSED}", "nothing listens at [::1]:7070"),
        (f"{FAILED}ipv4:10.0.0.1:7070: Ssl handshake failed", f"{FAILED}ipv4:10.0.0.1:7070: Ssl handshake failed"),
        ("Socket closed", "Socket closed"),
    ],
)
def test_only_a_port_that_nobody_has_is_told_without_the_transports_words(told: str, cause: str) -> None:
    error = Failure(Code.UNAVAILABLE, told).to_error()
    assert isinstance(error, errors.Unreachable) and str(error) == f"the service can't be reached: {cause}"


def test_grpc_tells_of_a_port_that_nobody_has_as_expected() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can get it meanwhile
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            Client(target, timeout_s=20, retry=RetryPolicy(attempts=1)) as client,
            pytest.raises(errors.Unreachable, match=f"^the service can't be reached: nothing listens at {target}$"),
        ):
            client.describe()


def test_a_missing_hint_becomes_a_second() -> None:
    error = Failure(Code.UNAVAILABLE, "away").to_error()
    assert isinstance(error, errors.Unavailable) and error.retry_after_s == 1.0


def test_an_empty_message_names_the_status() -> None:
    assert str(Failure(Code.DATA_LOSS, "").to_error()) == "DATA_LOSS"


def test_a_call_that_a_stopping_service_cancelled_is_tried_again_where_that_is_safe(
    target: str, script: Script
) -> None:
    with Client(target, timeout_s=20, retry=RetryPolicy(attempts=2, first_s=0.0)) as client:
        script.refuse(Code.CANCELLED)
        answer = client.classify("hi")
        script.refuse(Code.CANCELLED)
        answer.thumbs_up()
        script.refuse(Code.CANCELLED)
        script.refuse(Code.CANCELLED)
        with pytest.raises(errors.Unreachable, match="it stopped while the call was under way"):
            client.classify("hi")


LONG = "x" * 5_000_000
QUICK = RetryPolicy(attempts=3, first_s=0.001, most_s=0.01)


def _ask(target: str) -> None:
    with Client(target, retry=QUICK) as client:
        client.classify(LONG)


def _stream(target: str) -> None:
    with Client(target, retry=QUICK) as client:
        client.stream(LONG).generation()


def _vote(target: str) -> None:
    with Client(target, retry=QUICK) as client:
        client.ballot("r1", "token").thumbs_up(LONG)


def _ask_async(target: str) -> None:
    async def ask() -> None:
        async with AsyncClient(target, retry=QUICK) as client:
            await client.classify(LONG)

    asyncio.run(ask())


def _stream_async(target: str) -> None:
    async def ask() -> None:
        async with AsyncClient(target, retry=QUICK) as client:
            await client.stream(LONG).generation()

    asyncio.run(ask())


def _promote(target: str) -> None:
    with AdminClient(target, retry=QUICK) as client:
        client.promote("desk", "v1", reason=LONG, actor="ann")


@pytest.mark.parametrize("order", [_ask, _stream, _vote, _ask_async, _stream_async, _promote])
def test_a_request_larger_than_the_service_takes_is_the_callers_to_shorten_and_is_sent_once(
    order: Callable[[str], None], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Attempts] = []
    begin = Attempts.begin

    def counted(attempts: Attempts) -> float:
        tries.append(attempts)
        return begin(attempts)

    monkeypatch.setattr(Attempts, "begin", counted)
    with pytest.raises(errors.InvalidInput) as caught:
        order(target)
    size = str(caught.value).removeprefix("the request has 5,000,").partition(" ")[0]
    assert size.isdecimal()
    assert str(caught.value).endswith(" bytes, at most 4,194,304 (serve.max_message_bytes): shorten it")
    assert len(tries) == 1


def test_an_answer_larger_than_the_client_takes_is_not_the_requests_fault() -> None:
    error = Failure(Code.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (9 vs. 8)").to_error()
    assert isinstance(error, errors.Overloaded)
