"""Every error of the tree has its status; what is outside of it leaks nothing."""

from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from thumbwheel import errors
from thumbwheel.hosts.status import CODES, DETAILS_KEY, PUSHBACK_KEY, Refusal, code_of, refusal

EXPECTED = {
    "InvalidInput": StatusCode.INVALID_ARGUMENT,
    "InvalidConfig": StatusCode.INVALID_ARGUMENT,
    "InvalidData": StatusCode.INVALID_ARGUMENT,
    "PoisonRecord": StatusCode.INVALID_ARGUMENT,
    "NotFound": StatusCode.NOT_FOUND,
    "UnknownPolicy": StatusCode.NOT_FOUND,
    "UnknownVersion": StatusCode.NOT_FOUND,
    "UnknownRun": StatusCode.NOT_FOUND,
    "NothingToRetract": StatusCode.NOT_FOUND,
    "TokenMissing": StatusCode.UNAUTHENTICATED,
    "TokenRefused": StatusCode.PERMISSION_DENIED,
    "KeyRefused": StatusCode.UNAUTHENTICATED,
    "ScopeMissing": StatusCode.PERMISSION_DENIED,
    "AlreadyExists": StatusCode.ALREADY_EXISTS,
    "Conflict": StatusCode.FAILED_PRECONDITION,
    "AlreadyMoved": StatusCode.FAILED_PRECONDITION,
    "HomeInUse": StatusCode.FAILED_PRECONDITION,
    "SchemaMismatch": StatusCode.FAILED_PRECONDITION,
    "RunInProgress": StatusCode.FAILED_PRECONDITION,
    "Fenced": StatusCode.FAILED_PRECONDITION,
    "Unlearnable": StatusCode.FAILED_PRECONDITION,
    "NotEnoughData": StatusCode.FAILED_PRECONDITION,
    "Overloaded": StatusCode.RESOURCE_EXHAUSTED,
    "Unavailable": StatusCode.UNAVAILABLE,
    "LogUnavailable": StatusCode.UNAVAILABLE,
    "Unreachable": StatusCode.UNAVAILABLE,
    "DeadlineMissed": StatusCode.DEADLINE_EXCEEDED,
    "DamagedArtifact": StatusCode.DATA_LOSS,
    "UnservableVersion": StatusCode.DATA_LOSS,
}


def public_errors() -> dict[str, type[errors.ThumbwheelError]]:
    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ThumbwheelError) and not name.startswith("_")
    }


def make(kind: type[errors.ThumbwheelError]) -> errors.ThumbwheelError:
    if issubclass(kind, errors.InvalidInput):
        return kind("a.field", "must be 1..3, got 4")
    if issubclass(kind, errors.Overloaded | errors.Unavailable):
        return kind("later", 1.5)
    return kind("what happened")


def details(refused: Refusal) -> status_pb2.Status:
    return status_pb2.Status.FromString(bytes(dict(refused.metadata)[DETAILS_KEY]))  # type: ignore[arg-type]


def test_every_error_of_the_tree_has_its_status_and_details() -> None:
    kinds = public_errors()
    del kinds["ThumbwheelError"]
    assert set(kinds) == set(EXPECTED)
    for name, kind in kinds.items():
        error = make(kind)
        refused = refusal(error, "c1")
        assert refused.code is EXPECTED[name] is code_of(error), name
        status = details(refused)
        assert (status.code, status.message) == (refused.code.value[0], str(error))
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert info.domain == "thumbwheel"
        assert info.reason.replace("_", "") == name.upper()
        assert info.metadata["correlation_id"] == "c1"


def test_no_error_of_the_tree_has_two_statuses() -> None:
    kinds = public_errors()
    del kinds["ThumbwheelError"]
    for name, kind in kinds.items():
        assert len([one for one in kind.__mro__ if one in CODES]) == 1, name


def test_a_wrong_field_is_named() -> None:
    bad = error_details_pb2.BadRequest()
    assert details(refusal(errors.InvalidInput("n", "must be 1..8"), "c")).details[1].Unpack(bad)
    assert [(one.field, one.description) for one in bad.field_violations] == [("n", "must be 1..8")]


@pytest.mark.parametrize(("seconds", "milliseconds"), [(1.5, 1500), (0.0, 1), (0.0004, 1), (30.0, 30_000)])
def test_a_retry_hint_is_given_twice(seconds: float, milliseconds: int) -> None:
    refused = refusal(errors.LogUnavailable("later", seconds), "c")
    retry = error_details_pb2.RetryInfo()
    assert details(refused).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == milliseconds
    assert dict(refused.metadata)[PUSHBACK_KEY] == str(milliseconds)


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), errors.ThumbwheelError("secret")])
def test_a_defect_tells_a_correlation_id_only(error: Exception) -> None:
    refused = refusal(error, "c9")
    assert refused.code is StatusCode.INTERNAL
    assert "c9" in refused.message
    assert "secret" not in refused.message
    assert b"secret" not in details(refused).SerializeToString()
