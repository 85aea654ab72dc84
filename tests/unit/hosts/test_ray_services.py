"""One list of services: Ray's servers call by bare names, and the deployment has a method for each."""

from __future__ import annotations

import inspect
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from ray._common.utils import import_attr

from thumbwheel.hosts.calls import Malformed
from thumbwheel.hosts.ray.ingress import Ingress
from thumbwheel.hosts.ray.services import PUBLIC, Collected, import_paths


class Anything:
    """A servicer that has every method."""

    def __getattr__(self, name: str) -> Any:
        return lambda request, context: None


def collected() -> Collected:
    found = Collected()
    for add in PUBLIC:
        add(Anything(), found)
    return found


def test_the_deployment_has_a_method_of_the_right_kind_for_every_one_of_the_services() -> None:
    handlers = collected().handlers
    assert {"Generate", "StreamGenerate", "Classify", "SubmitFeedback", "Check", "Watch"} <= set(handlers)
    for name, handler in handlers.items():
        method = getattr(Ingress, name)
        assert inspect.isasyncgenfunction(method) is handler.response_streaming, name
        assert list(inspect.signature(method).parameters) == ["self", "request", "grpc_context"]


def test_the_operators_services_are_not_among_them() -> None:
    services = set(collected().service_of.values())
    assert services == {
        "thumbwheel.inference.v1.InferenceService",
        "thumbwheel.feedback.v1.FeedbackService",
        "grpc.health.v1.Health",
    }


def test_ray_finds_the_functions_by_their_paths() -> None:
    assert [import_attr(path) for path in import_paths()] == list(PUBLIC)


def test_what_is_no_message_reaches_the_servicer_as_such() -> None:
    decode = collected().handlers["Classify"].request_deserializer
    assert decode is not None
    assert isinstance(decode(b"\xff\xff"), Malformed)


def test_two_methods_of_one_name_are_refused() -> None:
    found = Collected()
    handler = grpc.unary_unary_rpc_method_handler(
        lambda request, context: request, StringValue.FromString, StringValue.SerializeToString
    )
    found.add_registered_method_handlers("a.A", {"Check": handler})
    with pytest.raises(ValueError, match=r"b\.B\.Check"):
        found.add_registered_method_handlers("b.B", {"Check": handler})
