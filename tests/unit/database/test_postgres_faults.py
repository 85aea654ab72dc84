"""What a server's codes mean: each condition has its cure, and a defect is none."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from thumbwheel.database.postgres_faults import fault
from thumbwheel.database.transactions import translated
from thumbwheel.errors import Unavailable


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (errors.DiskFull, "free some space"),
        (errors.OutOfMemory, "free disk or memory"),
        (errors.TooManyConnections, "max_connections"),
        (errors.ReadOnlySqlTransaction, "primary"),
        (errors.LockNotAvailable, "keeps it locked"),
        (errors.QueryCanceled, "took too long"),
        (errors.AdminShutdown, "stopping"),
        (errors.CannotConnectNow, "starting"),
        (errors.SerializationFailure, "nothing was written"),
        (errors.DeadlockDetected, "nothing was written"),
        (errors.InvalidPassword, "mend user or password"),
        (errors.InvalidCatalogName, "create it"),
        (errors.InsufficientPrivilege, "owner"),
        (errors.IdleInTransactionSessionTimeout, "stood still"),
        (errors.DataCorrupted, "backup"),
    ],
)
def test_a_condition_of_the_server_has_its_cure(error: type[psycopg.Error], cure: str) -> None:
    found = fault(error())
    assert found is not None
    assert cure in found.problem and found.retry_after_s > 0


@pytest.mark.parametrize("error", [errors.UniqueViolation, errors.SyntaxError, errors.UndefinedTable, ValueError])
def test_a_defect_is_none(error: type[Exception]) -> None:
    assert fault(error()) is None


def test_an_answer_of_the_server_that_is_not_known_is_a_defect_and_no_absence() -> None:
    for error in (errors.ProgramLimitExceeded(), errors.InternalError_()):
        with pytest.raises(DBAPIError), translated():
            raise DBAPIError.instance("SELECT", None, error, psycopg.Error)
    with pytest.raises(Unavailable, match="does not answer"), translated():
        raise DBAPIError.instance("SELECT", None, psycopg.OperationalError("refused"), psycopg.Error)
