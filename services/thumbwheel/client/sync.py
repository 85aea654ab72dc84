"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

from thumbwheel.client import answers
from thumbwheel.client.answers import Ballot, Classification, Generation, PolicyDescription, Receipt, Tagging
from thumbwheel.client.channel import DEFAULT_STREAM_TIMEOUT_S, DEFAULT_TIMEOUT_S, Tls, open_channel
from thumbwheel.client.errors import client_closed, read_failure
from thumbwheel.client.requests import Prompt, Sampling, classify_request, generate_request, request_of, tag_request
from thumbwheel.client.retry import Attempts, RetryPolicy, Safety
from thumbwheel.client.stream import Assembly, Delta
from thumbwheel.client.values import seconds
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.feedback.v1.feedback_pb2_grpc import FeedbackServiceStub
from thumbwheel.inference.v1 import inference_pb2 as inf
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub

Answer = TypeVar("Answer")


def call(method: Callable[..., Answer], request: object, attempts: Attempts) -> Answer:
    """Call `method`, again where that is safe and there is time. Raises ThumbwheelError."""
    while True:
        timeout_s = attempts.begin()
        try:
            return _begin(method, request, timeout_s)
        except grpc.RpcError as error:
            time.sleep(attempts.pause_after(error))


def _begin(method: Callable[..., Answer], request: object, timeout_s: float) -> Answer:
    try:
        return method(request, timeout=timeout_s)
    except ValueError as error:  # what gRPC raises for a closed channel, and for nothing else here
        raise client_closed() from error


class Client:
    """Asks policies and sends feedback. Safe to share between threads; a context manager.

    Every call has a deadline and raises a `thumbwheel.errors.ThumbwheelError`: InvalidInput, UnknownPolicy,
    Overloaded, Unavailable, DeadlineMissed and so on.
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
        self._channel: grpc.Channel = open_channel(grpc, target, credentials, tls, api_key)
        self._retry = retry or RetryPolicy()
        self._inference = InferenceServiceStub(self._channel)
        self._sender = _Sender(FeedbackServiceStub(self._channel), self._retry, self._timeout_s)

    def classify(
        self,
        text: str,
        policy: str = "",
        *,
        user: str = "",
        greedy: bool = False,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Classification[str]:
        """Return one label for `text`. An empty `policy` will do where one `classify` policy is served."""
        request = classify_request(text, policy, user, request_id, greedy)
        response = call(self._inference.Classify, request, self._attempts(Safety.UNANSWERED, timeout_s))
        return answers.read_classification(response, user, self._sender)

    def tag(
        self,
        text: str | Sequence[str],
        policy: str = "",
        *,
        user: str = "",
        greedy: bool = False,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Tagging[str]:
        """Return one tag for each word of `text`, which the service splits unless you give a list of words.

        An empty `policy` will do where one `tag` policy is served.
        """
        request = tag_request(text, policy, user, request_id, greedy)
        response = call(self._inference.Tag, request, self._attempts(Safety.UNANSWERED, timeout_s))
        return answers.read_tagging(response, user, self._sender)

    def generate(
        self,
        prompt: Prompt,
        policy: str = "",
        *,
        n: int = 1,
        user: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **sampling: Unpack[Sampling],
    ) -> Generation[str]:
        """Return `n` candidates (1 to 8) for a prompt or a conversation, of `Message`s or of dicts."""
        request = generate_request(prompt, policy, n, user, request_id, sampling)
        response = call(self._inference.Generate, request, self._attempts(Safety.UNANSWERED, timeout_s))
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
    ) -> Stream:
        """Return the text piece by piece, as it is made; the whole answer is `stream.generation()` at the end."""
        request = generate_request(prompt, policy, n, user, request_id, sampling)
        attempts = Attempts(self._retry, Safety.UNANSWERED, timeout_s)
        return Stream(self._inference, request, attempts, self._sender)

    def describe(self, policy: str = "", *, timeout_s: float | None = None) -> tuple[PolicyDescription, ...]:
        """Return what is served: one policy, or all of them."""
        request = request_of(inf.DescribePolicyRequest, policy=policy)
        response = call(self._inference.DescribePolicy, request, self._attempts(Safety.IDEMPOTENT, timeout_s))
        return answers.read_descriptions(response)

    def ballot(self, response_id: str, token: str, user: str = "") -> Ballot[str]:
        """Return the right to rate an answer that was received elsewhere, by its id and token."""
        return Ballot(Receipt(response_id, token), user, self._sender)

    def rank(self, best_first: Sequence[Ballot[str]], comment: str = "", reasons: Sequence[str] = ()) -> str:
        """Order 2 to 8 candidates of one request, the best first. Returns the feedback id."""
        return answers.rank(best_first, comment, reasons)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _attempts(self, safety: Safety, timeout_s: float | None) -> Attempts:
        return Attempts(self._retry, safety, self._timeout_s if timeout_s is None else timeout_s)


class _Sender:
    """Sends feedback; the same feedback id on every try makes that safe."""

    def __init__(self, stub: FeedbackServiceStub, retry: RetryPolicy, timeout_s: float) -> None:
        self._stub = stub
        self._retry = retry
        self._timeout_s = timeout_s

    def submit(self, request: fb.SubmitFeedbackRequest) -> str:
        return call(self._stub.SubmitFeedback, request, self._attempts()).feedback_id

    def retract(self, request: fb.RetractFeedbackRequest) -> str:
        return call(self._stub.RetractFeedback, request, self._attempts()).feedback_id

    def _attempts(self) -> Attempts:
        return Attempts(self._retry, Safety.IDEMPOTENT, self._timeout_s)


class Stream(Iterator[Delta]):
    """Pieces of text while they are made. Leaving the `with` block, or `close`, stops the computation."""

    def __init__(
        self, stub: InferenceServiceStub, request: inf.GenerateRequest, attempts: Attempts, sender: _Sender
    ) -> None:
        """Ask at once; the first piece is waited for by the first `next`."""
        self._open = stub.StreamGenerate
        self._request = request
        self._attempts = attempts
        self._sender = sender
        self._assembly = Assembly()
        self._generation: Generation[str] | None = None
        self._call: Any = self._begin()

    def generation(self) -> Generation[str]:
        """Return the whole answer; reads what is left of the stream. Raises ThumbwheelError."""
        for _ in self:
            pass
        if self._generation is None:
            self._generation = self._assembly.finish(self._request.user.id, self._sender)
        return self._generation

    def __next__(self) -> Delta:
        """Return the next piece. Raises ThumbwheelError."""
        while True:
            try:
                delta = self._assembly.add(next(self._call))
            except grpc.RpcError as error:
                self._try_again(error)
                continue
            if delta is not None:
                return delta

    def close(self) -> None:
        """Stop: the service computes no further."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _begin(self) -> object:
        return _begin(self._open, self._request, self._attempts.begin())

    def _try_again(self, error: grpc.RpcError) -> None:
        if self._assembly.started:
            raise read_failure(error).to_error() from error
        time.sleep(self._attempts.pause_after(error))
        self._call = self._begin()
