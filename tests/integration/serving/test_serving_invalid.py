"""Bad input: the right status, the field, the limit and the cure; nothing inner leaks, nothing is logged."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from thumbwheel.inference.servicer import SERVICE
from thumbwheel.inference.v1 import inference_pb2 as pb
from thumbwheel.records import PolicyKind

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
NAN = float("nan")
SETTINGS: dict[str, Any] = {
    "generate": {"max_input_chars": 300, "max_new_tokens": 20, "default_new_tokens": 4, "max_candidates": 4},
    "classify": {"max_input_chars": 100},
}


def generate(**fields: Any) -> pb.GenerateRequest:
    return pb.GenerateRequest(**{"prompt": "hello", **fields})


def sampling(**fields: Any) -> pb.GenerateRequest:
    return generate(sampling=pb.Sampling(**fields))


def conversation(*turns: tuple[str, str]) -> pb.GenerateRequest:
    messages = [pb.ChatMessage(role=role, content=content) for role, content in turns]
    return pb.GenerateRequest(conversation=pb.Conversation(messages=messages))


CASES = [
    ("no input", pb.GenerateRequest(), "input", "set prompt or conversation"),
    ("empty prompt", generate(prompt=""), "prompt", "is empty"),
    ("blank prompt", generate(prompt=" \n\t"), "prompt", "is empty"),
    ("long prompt", generate(prompt="x" * 301), "prompt", "at most 300"),
    ("many tokens", generate(prompt="é" * 60), "prompt", "at most 44"),
    ("many tokens said", conversation(("user", "é" * 60)), "conversation.messages", "at most 44"),
    ("no turns", conversation(), "conversation.messages", "1..256"),
    ("many turns", conversation(*[("user", "x")] * 257), "conversation.messages", "1..256"),
    ("role", conversation(("root", "x")), "conversation.messages[0].role", "system, user, assistant"),
    ("no content", conversation(("user", "x"), ("user", "")), "conversation.messages[1].content", "is empty"),
    ("long turns", conversation(("user", "x" * 200), ("user", "x" * 200)), "conversation", "at most 300"),
    ("own last", conversation(("user", "x"), ("assistant", "y")), "conversation.messages[1].role", "assistant"),
    ("n below", generate(n=-1), "n", "1..4"),
    ("n above", generate(n=5), "n", "1..4"),
    ("cold", sampling(temperature=0.0), "sampling.temperature", "0.01..5"),
    ("below 0", sampling(temperature=-1.0), "sampling.temperature", "0.01..5"),
    ("hot", sampling(temperature=5.1), "sampling.temperature", "0.01..5"),
    ("nan", sampling(temperature=NAN), "sampling.temperature", "0.01..5"),
    ("inf", sampling(temperature=float("inf")), "sampling.temperature", "0.01..5"),
    ("p 0", sampling(top_p=0.0), "sampling.top_p", "at most 1"),
    ("p above 1", sampling(top_p=1.01), "sampling.top_p", "at most 1"),
    ("p nan", sampling(top_p=NAN), "sampling.top_p", "at most 1"),
    ("k", sampling(top_k=-1), "sampling.top_k", "0.."),
    ("no tokens", sampling(max_new_tokens=0), "sampling.max_new_tokens", "1..20"),
    ("tokens", sampling(max_new_tokens=21), "sampling.max_new_tokens", "1..20"),
    ("stops", sampling(stop=["a"] * 5), "sampling.stop", "at most 4"),
    ("empty stop", sampling(stop=["a", ""]), "sampling.stop[1]", "1..64"),
    ("long stop", sampling(stop=["a" * 65]), "sampling.stop[0]", "1..64"),
    ("user id", generate(user=pb.User(id="u" * 257)), "user.id", "at most 256"),
    ("request id", generate(request_id="r" * 129), "request_id", "at most 128"),
    ("empty text", pb.ClassifyRequest(text=""), "text", "is empty"),
    ("blank text", pb.ClassifyRequest(text="   "), "text", "is empty"),
    ("long text", pb.ClassifyRequest(text="x" * 101), "text", "at most 100"),
    ("text tokens", pb.ClassifyRequest(text="x" * 65), "text", "at most 64 are allowed"),
]


@pytest.fixture
def both(home: Any) -> None:
    home.publish("chat", PolicyKind.GENERATE, seed=1, positions=64)
    home.publish("intent", PolicyKind.CLASSIFY, seed=1)


async def refused(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


def violation(error: Any) -> Any:
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert status.message == error.details()
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    [one] = bad.field_violations
    return one


@pytest.mark.usefixtures("both")
async def test_every_bad_field_is_named_with_its_limit(home: Any, serve: Any) -> None:
    async with serve(**SETTINGS) as service:
        for name, request, field, words in CASES:
            method = service.stub.Classify if isinstance(request, pb.ClassifyRequest) else service.stub.Generate
            error = await refused(method(request))
            assert error.code() is INVALID, name
            assert error.details().startswith(f"{field}: "), name
            one = violation(error)
            assert one.field == field, name
            assert words in one.description, name
            if isinstance(request, pb.GenerateRequest):
                streamed = await refused(service.stub.StreamGenerate(request).read())
                assert (streamed.code(), streamed.details()) == (error.code(), error.details()), name
    assert home.logged() == []


@pytest.mark.usefixtures("both")
async def test_the_edges_of_the_ranges_are_taken(serve: Any) -> None:
    async with serve(**SETTINGS) as service:
        for request in (
            sampling(temperature=0.01),
            sampling(temperature=5.0, top_p=1.0, top_k=0),
            sampling(top_p=1e-6, top_k=1_000_000, max_new_tokens=20, stop=["a" * 64] * 4),
            generate(n=4, user=pb.User(id="é" * 256), request_id="r" * 128),
            generate(prompt="\u0000 \U0001f600 <|end|>"),
        ):
            await service.stub.Generate(request)
        await service.stub.Classify(pb.ClassifyRequest(text="x" * 64))


@pytest.mark.usefixtures("both")
async def test_an_unknown_policy_is_answered_with_those_that_exist(home: Any, serve: Any) -> None:
    async with serve() as service:
        wrong = await refused(service.stub.Generate(generate(policy="chatt")))
        of_other_kind = await refused(service.stub.Generate(generate(policy="intent")))
        described = await refused(service.stub.DescribePolicy(pb.DescribePolicyRequest(policy="nope")))
        tagged = await refused(service.stub.Tag(pb.TagRequest(text="x")))
        home.publish("chat-two", PolicyKind.GENERATE, seed=1)
        await service.inference.reconciler.reconcile()
        ambiguous = await refused(service.stub.Generate(generate()))
    for error in (wrong, of_other_kind, described, tagged, ambiguous):
        assert error.code() is NOT_FOUND
    assert "chatt" in wrong.details() and "there is: chat" in wrong.details()
    assert "is of kind classify: call classify()" in of_other_kind.details()
    assert "chat, intent" in described.details()
    assert "chat, chat-two" in ambiguous.details()


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    "payload",
    [
        b"\x12\x02\xff\xfe",  # prompt that is not UTF-8
        b"\x12\x7fshort",  # length beyond the end
        b"\xff\xff\xff",
    ],
)
@pytest.mark.parametrize("method", ["Generate", "StreamGenerate", "Classify"])
async def test_bytes_that_are_no_message_are_the_callers_mistake(serve: Any, method: str, payload: bytes) -> None:
    async with serve() as service:
        make = service.channel.unary_stream if method == "StreamGenerate" else service.channel.unary_unary
        call = make(f"/{SERVICE}/{method}")(payload)
        error = await refused(call.read() if method == "StreamGenerate" else call)
    assert error.code() is INVALID
    assert "UTF-8" in error.details()


@pytest.mark.usefixtures("both")
async def test_a_defect_is_answered_by_a_correlation_id_only(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve() as service:
        monkeypatch.setattr(service.inference.policies, "choose", lambda *_: 1 / 0)
        error = await refused(service.stub.Generate(generate(), metadata=(("x-correlation-id", "my-id-7"),)))
        foreign = await refused(service.stub.Generate(generate(), metadata=(("x-correlation-id", "bad id"),)))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error; tell the operator this correlation id: my-id-7"
    assert dict(error.trailing_metadata())["x-correlation-id"] == "my-id-7"
    assert "bad id" not in foreign.details()


@pytest.mark.usefixtures("both")
async def test_a_message_above_the_limit_is_refused(serve: Any) -> None:
    async with serve(serve={"max_message_bytes": 1 << 16}) as service:
        error = await refused(service.stub.Generate(generate(prompt="x" * 70_000)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
