"""Every error of the tree has its HTTP status, and only one."""

from __future__ import annotations

from collections.abc import Iterator

from thumbwheel.errors import ThumbwheelError
from thumbwheel.web.problems import STATUS_OF, status_of

EXPECTED = {
    "InvalidInput": 422,
    "InvalidConfig": 422,
    "InvalidData": 422,
    "PoisonRecord": 422,
    "NotFound": 404,
    "UnknownPolicy": 404,
    "UnknownVersion": 404,
    "UnknownRun": 404,
    "NothingToRetract": 404,
    "TokenMissing": 401,
    "TokenRefused": 403,
    "KeyRefused": 401,
    "ScopeMissing": 403,
    "AlreadyExists": 409,
    "AlreadyMoved": 409,
    "Conflict": 409,
    "HomeInUse": 409,
    "SchemaMismatch": 409,
    "RunInProgress": 409,
    "Fenced": 409,
    "Unlearnable": 409,
    "NotEnoughData": 409,
    "Overloaded": 429,
    "Unavailable": 503,
    "LogUnavailable": 503,
    "Unreachable": 503,
    "DeadlineMissed": 504,
    "DamagedArtifact": 409,
    "UnservableVersion": 409,
}


def below(kind: type[ThumbwheelError]) -> Iterator[type[ThumbwheelError]]:
    for child in kind.__subclasses__():
        if child.__module__ == "thumbwheel.errors":
            if not child.__name__.startswith("_"):
                yield child
            yield from below(child)


def test_every_error_of_the_tree_has_its_status() -> None:
    statuses = {kind.__name__: status_of(kind.__new__(kind)) for kind in below(ThumbwheelError)}
    assert statuses == EXPECTED


def test_no_error_has_two_statuses() -> None:
    for kind in below(ThumbwheelError):
        assert len([one for one in kind.__mro__ if one in STATUS_OF]) == 1, kind
