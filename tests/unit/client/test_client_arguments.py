"""What a caller may get wrong is told as an error of the tree, and nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from thumbwheel import errors
from thumbwheel.client import AdminClient, AsyncClient, Client
from thumbwheel.client.values import seconds

if TYPE_CHECKING:
    from tests.unit.client.conftest import Script

LETTERS = "must be a list of strings, got one string"


def ballot(client: Client) -> Any:
    return client.ballot("r", "t")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: ballot(client).thumbs_down(reasons="too-long"), f"reasons: {LETTERS}"),
        (lambda client: ballot(client).rate(3, "", "too-long"), f"reasons: {LETTERS}"),
        (lambda client: ballot(client).correct_label("other", reasons="too-long"), f"reasons: {LETTERS}"),
        (lambda client: ballot(client).thumbs_up(reasons=3), "reasons: must be a list of strings, got int"),
        (lambda client: ballot(client).thumbs_up(reasons=["a", 3]), "reasons[1]: must be a string, got int"),
        (lambda client: ballot(client).thumbs_up(None), "comment: must be a string, got NoneType"),
        (lambda client: ballot(client).correct_text(["a"]), "text: must be a string, got list"),
        (lambda client: ballot(client).rate("5"), "rating: must be a whole number, 1 to 5, got one string"),
        (lambda client: ballot(client).rate(True), "rating: must be a whole number, 1 to 5, got bool"),
        (lambda client: client.rank("ab"), "ranking: must be a list of candidates, best first, got one string"),
        (lambda client: client.rank(["a", "b"]), "ranking[0]: must be a candidate or a ballot, got str"),
        (
            lambda client: client.rank([ballot(client), client.ballot("r", "\ud800")]),
            "ranking[1].feedback_token: character 0 is not valid Unicode; remove it",
        ),
        (lambda client: client.classify(5), "text: must be a string, got int"),
        (lambda client: client.classify("hi", greedy="no"), "greedy: must be True or False, got one string"),
        (lambda client: client.describe(5), "policy: must be a string, got int"),
        (lambda client: client.generate("hi", stop="abc"), f"sampling.stop: {LETTERS}"),
        (lambda client: client.generate("hi", n=1.5), "n: must be a whole number, 1 to 8, got float"),
        (lambda client: client.generate("hi", n="2"), "n: must be a whole number, 1 to 8, got one string"),
        (
            lambda client: client.generate("hi", temprature=1),
            "sampling: has no 'temprature'; known are temperature, top_p, top_k, max_new_tokens, stop, greedy",
        ),
        (
            lambda client: client.generate("hi", temperature="1"),
            "sampling.temperature: must be a number, got one string",
        ),
        (
            lambda client: client.generate("hi", top_p=10**400),
            "sampling.top_p: must be a number that a float can hold",
        ),
        (
            lambda client: client.generate("hi", top_k=1.0),
            "sampling.top_k: must be a whole number, 0 to 1,000,000, got float",
        ),
        (lambda client: client.generate("hi", greedy="no"), "sampling.greedy: must be True or False, got one string"),
        (lambda client: client.stream(b"hi"), "prompt: must be a string or a list of messages, got bytes"),
        (
            lambda client: client.generate({"role": "user", "content": "hi"}),
            "prompt: must be a string or a list of messages, got dict",
        ),
        (
            lambda client: client.generate(["hi"]),
            "messages[0]: must be a Message or a mapping of role and content, got str",
        ),
        (
            lambda client: client.generate([{"role": "user"}]),
            "messages[0].content: is missing; a message has role and content",
        ),
        (
            lambda client: client.generate([{"role": "user", "content": "hi", "name": "al"}]),
            "messages[0]: has no 'name'; known are role, content",
        ),
        (
            lambda client: client.generate([{"role": "user", "content": [{"text": "hi"}]}]),
            "messages[0].content: must be a string, got list",
        ),
    ],
)
def test_a_mistyped_argument_is_named(
    call: Callable[[Client], object], message: str, target: str, script: Script
) -> None:
    with Client(target, timeout_s=20) as client, pytest.raises(errors.InvalidInput) as caught:
        call(client)
    assert str(caught.value) == message
    assert script.requests == []


@pytest.mark.parametrize("timeout_s", [float("inf"), float("nan"), 0, -1.0, 1e9 + 1])
def test_a_time_without_an_end_or_without_length_is_refused(timeout_s: float, target: str, script: Script) -> None:
    said = "timeout_s: must be more than 0 and at most 1,000,000,000 seconds, got "
    for make in (Client, AdminClient, AsyncClient):
        with pytest.raises(errors.InvalidInput, match=said):
            make(target, timeout_s=timeout_s)
    with Client(target) as client:
        for call in (client.classify, client.generate, client.stream):
            with pytest.raises(errors.InvalidInput, match=said):
                call("hi", timeout_s=timeout_s)
    assert script.requests == []


def test_the_longest_time_is_one_that_a_call_can_have(target: str) -> None:
    with Client(target, timeout_s=1e9) as client:
        assert client.classify("hi").label == "lost"
    with pytest.raises(errors.InvalidInput, match="timeout_s: must be a number, got one string"):
        seconds("timeout_s", "5")  # type: ignore[arg-type]


CLOSED = "the client was closed; make a new one"


def test_a_closed_client_says_so(target: str, script: Script) -> None:
    client, admin = Client(target), AdminClient(target)
    answer = client.classify("hi")
    client.close()
    admin.close()
    calls: list[Callable[[], object]] = [
        lambda: client.classify("hi"),
        lambda: client.stream("hi"),
        lambda: client.rank([answer, answer]),
        client.describe,
        answer.thumbs_up,
        admin.status,
        lambda: admin.start_run("desk", actor="me"),
    ]
    for call in calls:
        with pytest.raises(errors.Conflict, match=CLOSED):
            call()
    assert len(script.requests) == 1


async def test_a_closed_async_client_says_so(target: str, script: Script) -> None:
    client = AsyncClient(target)
    answer = await client.classify("hi")
    await client.close()
    for call in (lambda: client.classify("hi"), lambda: client.rank([answer, answer]), answer.thumbs_up):
        with pytest.raises(errors.Conflict, match=CLOSED):
            await call()
    with pytest.raises(errors.Conflict, match=CLOSED):
        client.stream("hi")
    assert len(script.requests) == 1


async def test_closing_the_async_client_ends_what_is_under_way(silent: str) -> None:
    client = AsyncClient(silent)
    stream = client.stream("hi")
    asking, reading = asyncio.ensure_future(client.classify("hi")), asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(errors.Conflict, match=CLOSED):
        await asking
    with pytest.raises(errors.Conflict, match="the stream or its client was closed; ask again"):
        await reading


async def test_a_cancelled_task_stays_cancelled(silent: str) -> None:
    async with AsyncClient(silent) as client:
        asking = asyncio.ensure_future(client.classify("hi"))
        reading = asyncio.ensure_future(anext(client.stream("hi")))
        await asyncio.sleep(0)
        for task in (asking, reading):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
