"""The services behind Ray's door, and how they are registered with Ray's servers and in a replica.

Ray's servers call the deployment's methods by their bare names; a replica answers them. The operators' door is not
among these: Ray's asks nobody who he is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from thumbwheel.feedback.v1.feedback_pb2_grpc import add_FeedbackServiceServicer_to_server
from thumbwheel.hosts.calls import lenient
from thumbwheel.inference.v1.inference_pb2_grpc import add_InferenceServiceServicer_to_server

Handlers = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]
_Add = Callable[[Any, Any], None]


def add_inference(servicer: Any, server: Any) -> None:
    """Add the inference service to one of Ray's servers."""
    add_InferenceServiceServicer_to_server(servicer, _lenient(server))


def add_feedback(servicer: Any, server: Any) -> None:
    """Add the feedback service to one of Ray's servers."""
    add_FeedbackServiceServicer_to_server(servicer, _lenient(server))


def add_health(servicer: Any, server: Any) -> None:
    """Add gRPC's health service to one of Ray's servers."""
    add_HealthServicer_to_server(servicer, _lenient(server))


PUBLIC: tuple[_Add, ...] = (add_inference, add_feedback, add_health)


def import_paths() -> list[str]:
    """Return where Ray's servers find the functions of `PUBLIC`."""
    return [f"{add.__module__}.{add.__name__}" for add in PUBLIC]


class Collected:
    """Takes registrations as a gRPC server does, and keeps the handlers by bare method name, which is unique here."""

    def __init__(self) -> None:
        """Nothing is registered yet."""
        self.handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self.service_of: dict[str, str] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Do nothing: the same handlers come once more, by name."""

    def add_registered_method_handlers(self, service: str, handlers: Handlers) -> None:
        """Keep the handlers of a service."""
        for method, handler in handlers.items():
            if method in self.handlers:
                raise ValueError(f"{service}.{method}: Ray tells methods apart by their bare name, and this is taken")
            self.handlers[method] = handler
            self.service_of[method] = service


class _Lenient:
    """Registers with a server, so that bytes which are no message reach the servicer as such."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Wait: the handlers come once more, by name."""

    def add_registered_method_handlers(self, service: str, handlers: Handlers) -> None:
        changed = {name: _decoding(handler) for name, handler in handlers.items()}
        generic = grpc.method_handlers_generic_handler(service, changed)
        self._server.add_generic_rpc_handlers((generic,))
        self._server.add_registered_method_handlers(service, changed)


def _lenient(server: Any) -> Any:
    return _Lenient(server)


def _decoding(handler: Any) -> Any:
    return handler._replace(request_deserializer=lenient(handler.request_deserializer))
