"""The asyncio client: the methods of the blocking one, to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import grpc

from thumbwheel.client import answers
from thumbwheel.client.answers import Ballot, Classification, Generation, PolicyDescription, Receipt, Tagging
from thumbwheel.client.channel import DEFAULT_STREAM_TIMEOUT_S, DEFAULT_TIMEOUT_S, Tls, open_channel
from thumbwheel.client.errors import client_closed, read_failure, stream_closed
from thumbwheel.client.requests import Prompt, Sampling, classify_request, generate_request, request_of, tag_request
from thumbwheel.client.retry import Attempts, RetryPolicy, Safety
from thumbwheel.client.stream import Assembly, Delta
from thumbwheel.client.values import seconds
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceStub
from thumbwheel.inference.v1 import inference_pb2 as inf
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub

if TYPE_CHECKING:  # the stubs' asyncio variants exist for type checkers only
    from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceAsyncStub
    from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceAsyncStub

Answer = TypeVar("Answer")
FeedbackId = Awaitable[str]


async def call(method: Callable[..., Awaitable[Answer]], request: object, attempts: Attempts) -> Answer:
    """Call `method`, again where that is safe and there is time. Raises ThumbwheelError."""
    while True:
        timeout_s = attempts.begin()
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            await asyncio.sleep(attempts.pause_after(error))
        except grpc.aio.UsageError as error:
            raise client_closed() from error
        except asyncio.CancelledError:
            if _is_task_cancelled():
                raise
            raise client_closed() from None


def _is_task_cancelled() -> bool:
    """Whether this task is to end; else gRPC raised CancelledError, because the call or its channel was closed."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


class AsyncClient:
    """Asks policies and sends feedback, from one event loop; an asynchronous context manager.

    Every call has a deadline and raises a `thumbwheel.errors.ThumbwheelError`, as with `Client`. Votes are
    awaited: `await answer.thumbs_up()`.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:7070",
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        tls: Tls | None = None,
        api_key: str = "",
    ) -> None:
        """Reach the service at `target` (host:port); a call, retries included, lasts at most `timeout_s` seconds.

        With `tls`, or `credentials`, the connection is encrypted; `api_key` goes along with every call.
        """
        self._timeout_s = seconds("timeout_s", timeout_s)
        self._channel: grpc.aio.Channel = open_channel(grpc.aio, target, credentials, tls, api_key)
        self._retry = retry or RetryPolicy()
        self._inference: InferenceServiceAsyncStub = InferenceServiceStub(self._channel)
        self._sender = _Sender(FeedbackServiceStub(self._channel), self._retry, self._timeout_s)

    async def classify(
        self,
        text: str,
        policy: str = "",
        *,
        user: str = "",
        greedy: bool = False,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Classification[FeedbackId]:
        """Return one label for `text`. An empty `policy` will do where one `classify` policy is served."""
        request = classify_request(text, policy, user, request_id, greedy)
        response = await call(self._inference.Classify, request, self._attempts(Safety.UNANSWERED, timeout_s))
        return answers.read_classification(response, user, self._sender)

    async def tag(
        self,
        text: str | Sequence[str],
        policy: str = "",
        *,
        user: str = "",
        greedy: bool = False,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Tagging[FeedbackId]:
        """Return one tag for each word of `text`, which the service splits unless you give a list of words.

        An empty `policy` will do where one `tag` policy is served.
        """
        request = tag_request(text, policy, user, request_id, greedy)
        response = await call(self._inference.Tag, request, self._attempts(Safety.UNANSWERED, timeout_s))
        return answers.read_tagging(response, user, self._sender)

    async def generate(
        self,
        prompt: Prompt,
        policy: str = "",
        *,
        n: int = 1,
        user: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **sampling: Unpack[Sampling],
    ) -> Generation[FeedbackId]:
        """Return `n` candidates (1 to 8) for a prompt or a conversation, of `Message`s or of dicts."""
        request = generate_request(prompt, policy, n, user, request_id, sampling)
        response = await call(self._inference.Generate, request, self._attempts(Safety.UNANSWERED, timeout_s))
        return answers.read_generation(response, user, self._sender)

    def stream(
        self,
        prompt: Prompt,
        policy: str = "",
        *,
        n: int = 1,
        user: str = "",
        request_id: str = "",
        timeout_s: float = DEFAULT_STREAM_TIMEOUT_S,
        **sampling: Unpack[Sampling],
    ) -> AsyncStream:
        """Return the text piece by piece (`async for`); the whole answer is `await stream.generation()` at the end."""
        request = generate_request(prompt, policy, n, user, request_id, sampling)
        attempts = Attempts(self._retry, Safety.UNANSWERED, timeout_s)
        return AsyncStream(self._inference, request, attempts, self._sender)

    async def describe(self, policy: str = "", *, timeout_s: float | None = None) -> tuple[PolicyDescription, ...]:
        """Return what is served: one policy, or all of them."""
        request = request_of(inf.DescribePolicyRequest, policy=policy)
        response = await call(self._inference.DescribePolicy, request, self._attempts(Safety.IDEMPOTENT, timeout_s))
        return answers.read_descriptions(response)

    def ballot(self, response_id: str, token: str, user: str = "") -> Ballot[FeedbackId]:
        """Return the right to rate an answer that was received elsewhere, by its id and token."""
        return Ballot(Receipt(response_id, token), user, self._sender)

    async def rank(
        self, best_first: Sequence[Ballot[FeedbackId]], comment: str = "", reasons: Sequence[str] = ()
    ) -> str:
        """Order 2 to 8 candidates of one request, the best first. Returns the feedback id."""
        return await answers.rank(best_first, comment, reasons)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    def _attempts(self, safety: Safety, timeout_s: float | None) -> Attempts:
        return Attempts(self._retry, safety, self._timeout_s if timeout_s is None else timeout_s)


class _Sender:
    """Sends feedback; the same feedback id on every try makes that safe."""

    def __init__(self, stub: FeedbackServiceAsyncStub, retry: RetryPolicy, timeout_s: float) -> None:
        self._stub = stub
        self._retry = retry
        self._timeout_s = timeout_s

    async def submit(self, request: fb.SubmitFeedbackRequest) -> str:
        return (await call(self._stub.SubmitFeedback, request, self._attempts())).feedback_id

    async def retract(self, request: fb.RetractFeedbackRequest) -> str:
        return (await call(self._stub.RetractFeedback, request, self._attempts())).feedback_id

    def _attempts(self) -> Attempts:
        return Attempts(self._retry, Safety.IDEMPOTENT, self._timeout_s)


class AsyncStream(AsyncIterator[Delta]):
    """Pieces of text while they are made. Leaving the `async with` block, or `close`, stops the computation."""

    def __init__(
        self, stub: InferenceServiceAsyncStub, request: inf.GenerateRequest, attempts: Attempts, sender: _Sender
    ) -> None:
        """Ask at once; the first piece is waited for by the first `anext`."""
        self._open = stub.StreamGenerate
        self._request = request
        self._attempts = attempts
        self._sender = sender
        self._assembly = Assembly()
        self._call: Any = self._begin()

    async def generation(self) -> Generation[FeedbackId]:
        """Return the whole answer; reads what is left of the stream. Raises ThumbwheelError."""
        async for _ in self:
            pass
        return self._assembly.finish(self._request.user.id, self._sender)

    async def __anext__(self) -> Delta:
        """Return the next piece. Raises ThumbwheelError."""
        while True:
            try:
                message = await self._call.read()
            except grpc.aio.AioRpcError as error:
                await self._try_again(error)
                continue
            except asyncio.CancelledError:
                if _is_task_cancelled():
                    raise
                raise stream_closed() from None
            if message is grpc.aio.EOF:
                raise StopAsyncIteration
            delta = self._assembly.add(message)
            if delta is not None:
                return delta

    def close(self) -> None:
        """Stop: the service computes no further."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> object:
        timeout_s = self._attempts.begin()
        try:
            return self._open(self._request, timeout=timeout_s)
        except grpc.aio.UsageError as error:
            raise client_closed() from error

    async def _try_again(self, error: grpc.aio.AioRpcError) -> None:
        if self._assembly.started:
            raise read_failure(error).to_error() from error
        await asyncio.sleep(self._attempts.pause_after(error))
        self._call = self._begin()
