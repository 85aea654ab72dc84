"""A call as Ray hands it to a replica, made into one as gRPC would.

Ray gives the deployment's method the request and a record of the context: what is set on the record reaches the caller
only if the method returns. So an aborted call is no exception to Ray: code, details and metadata are set, and nothing
is answered. Deadlines and cancellation arrive as cancellation, by gRPC's own server in the replica; a stream's work
runs in a task, which is cancelled wherever its generator is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, NoReturn, cast

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpc import StatusCode

from thumbwheel.hosts.calls import Behavior, CallContext

_END = object()


class _AbortedCall(Exception):
    """The call has its status; there is nothing to answer."""


class RayContext:
    """What servicers and `hosts/calls.py` use of a gRPC context, over what Ray gives."""

    def __init__(self, given: Any, messages: asyncio.Queue[Any] | None = None) -> None:
        """Set on `given`; messages of a stream go into `messages`."""
        self._given = given
        self._messages = messages

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """What the caller sent along."""
        return cast(Sequence[tuple[str, str | bytes]], self._given.invocation_metadata())

    def time_remaining(self) -> float | None:
        """Nothing: the server in the replica cancels a call whose deadline passes, and Ray does not hand it on.

        So a call that ran out of time can not be told from one whose caller hung up.
        """
        return None

    def set_trailing_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Send this with the status."""
        self._given.set_trailing_metadata(list(metadata))

    async def abort(
        self, code: StatusCode, details: str = "", trailing_metadata: Sequence[tuple[str, str | bytes]] = ()
    ) -> NoReturn:
        """End the call with this status."""
        self._given.set_code(code)
        self._given.set_details(details)
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        raise _AbortedCall

    async def write(self, message: Message) -> None:
        """Send one message of a stream; returns when it is taken."""
        assert self._messages is not None
        self._messages.put_nowait(message)
        await self._messages.join()


async def answer(behavior: Behavior, request: Any, given: Any) -> Message:
    """Answer a unary call."""
    try:
        answered: Message = await behavior(request, cast(CallContext, RayContext(given)))
    except _AbortedCall:
        return Empty()  # the status counts; gRPC drops the message
    return answered


async def stream(behavior: Behavior, request: Any, given: Any) -> AsyncIterator[Message]:
    """Yield what `behavior` writes. Closing the iterator stops it."""
    messages: asyncio.Queue[Any] = asyncio.Queue()
    context = cast(CallContext, RayContext(given, messages))

    async def work() -> None:
        try:
            with suppress(_AbortedCall):
                await behavior(request, context)
        finally:
            messages.put_nowait(_END)

    task = asyncio.create_task(work(), name="stream")
    try:
        while (message := await messages.get()) is not _END:
            messages.task_done()
            yield message
        await task
    finally:
        # Ray's transports drop a generator whose caller left; its work would go on to the end.
        task.cancel()
        await asyncio.wait([task])
