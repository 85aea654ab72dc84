"""What the demo service's doors have in common: errors become statuses, as the host makes them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import grpc
from demo_world import World

from thumbwheel.errors import ThumbwheelError
from thumbwheel.hosts.status import refusal


def refusing(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors of the tree into statuses, as the host does, and fail on demand."""

    @functools.wraps(method)
    def refusing_it(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            if method.__name__ in self.world.failures:
                raise self.world.failures[method.__name__]
            return method(self, request, context)
        except ThumbwheelError as error:
            refused = refusal(error, "test")
            context.set_trailing_metadata(refused.metadata)
            context.abort(refused.code, refused.message)

    return refusing_it


class Door:
    def __init__(self, world: World) -> None:
        self.world = world
