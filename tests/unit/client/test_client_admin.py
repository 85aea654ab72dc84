"""The operators' client: which orders it repeats, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc
import pytest

from thumbwheel import errors
from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.client import AdminClient
from thumbwheel.client.admin import _entry
from thumbwheel.client.retry import Attempts, RetryPolicy, Safety
from thumbwheel.records import AuditAction

if TYPE_CHECKING:
    from tests.unit.client.conftest import Script

QUICK = RetryPolicy(attempts=3, first_s=0.001, most_s=0.01)


def test_a_rollback_is_never_repeated(target: str, script: Script) -> None:
    script.refuse(grpc.StatusCode.UNAVAILABLE)
    with AdminClient(target, retry=QUICK) as client, pytest.raises(errors.Unavailable):
        client.rollback("desk", reason="r", actor="a")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (lambda c: c.versions("\udcff"), "policy: character 0 is not valid Unicode"),
        (lambda c: c.version("desk", "v\udcff"), "version: character 1"),
        (lambda c: c.promote("desk", "v1", reason="\udcff", actor="a"), "reason: character 0"),
        (lambda c: c.rollback("desk", reason="r", actor="\udcff"), "actor: character 0"),
        (lambda c: c.history("\udcff"), "policy: character 0"),
        (lambda c: c.history(limit=2**31), "limit: must be 1 to 1,000"),
        (lambda c: c.runs("\udcff"), "policy: character 0"),
        (lambda c: c.runs(limit=10**5000), "limit: must be 1 to 1,000"),
        (lambda c: c.run("\udcff"), "run_id: character 0"),
        (lambda c: c.start_run("\udcff", actor="a"), "policy: character 0"),
        (lambda c: c.erase_user("\udcff", reason="r", actor="a"), "user_id: character 0"),
    ],
)
def test_what_the_contract_can_not_carry_is_refused_by_field(
    order: Callable[[AdminClient], object], message: str, target: str, script: Script
) -> None:
    with AdminClient(target) as client, pytest.raises(errors.InvalidInput) as caught:
        order(client)
    assert str(caught.value).startswith(message)
    assert script.requests == []


def test_a_promotion_is_the_same_however_often_it_is_sent(target: str, script: Script) -> None:
    script.refuse(grpc.StatusCode.UNAVAILABLE)
    with AdminClient(target, retry=QUICK) as client:
        assert client.promote("desk", "v2", reason="r", actor="a").version == "v2"
    assert [(sent.version, sent.reason, sent.actor) for sent in script.requests] == [("v2", "r", "a")] * 2


def test_pauses_double_up_to_the_most_and_never_undercut_the_hint() -> None:
    policy = RetryPolicy(attempts=9, first_s=0.1, most_s=1.0)
    for tried, longest in ((1, 0.1), (2, 0.2), (3, 0.4), (9, 1.0)):
        pauses = [policy.pause_s(tried, None) for _ in range(200)]
        assert longest / 2 <= min(pauses) <= max(pauses) <= longest
        assert len(set(pauses)) > 100
    assert policy.pause_s(1, 2.5) == 2.5


def test_tries_share_the_time_of_the_call() -> None:
    now = [0.0]
    attempts = Attempts(QUICK, Safety.IDEMPOTENT, timeout_s=10, clock=lambda: now[0])
    assert attempts.begin() == 10
    now[0] = 9.0
    assert attempts.begin() == 1
    now[0] = 10.0
    with pytest.raises(errors.DeadlineMissed, match="timeout_s"):
        attempts.begin()


def test_when_time_runs_out_the_refusal_before_is_told() -> None:
    attempts = Attempts(RetryPolicy(attempts=9, first_s=0.001), Safety.IDEMPOTENT, timeout_s=10)
    attempts.begin()
    attempts.pause_after(refused(grpc.StatusCode.UNAVAILABLE, "Kafka is away"))
    attempts.begin()
    with pytest.raises(errors.Unavailable, match="Kafka is away"):
        attempts.pause_after(refused(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
    alone = Attempts(QUICK, Safety.IDEMPOTENT, timeout_s=10)
    alone.begin()
    with pytest.raises(errors.DeadlineMissed):
        alone.pause_after(refused(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))


def refused(code: grpc.StatusCode, details: str) -> grpc.RpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


def test_the_client_imports_nothing_heavy() -> None:
    program = "import sys, thumbwheel.client; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "ray", "transformers", "sqlalchemy", "numpy", "pydantic", "structlog", "prometheus_client"}
    assert "grpc" in loaded
    assert heavy & set(loaded) == set()


def test_what_a_newer_release_wrote_into_the_trail_is_told_in_its_own_words() -> None:
    newer = adm.AuditEntry(time_unix_us=1, action="moon phased", actor="ann", reason="new", subject="full")
    known = adm.AuditEntry(time_unix_us=1, action="run ended", actor="ann", reason="new")
    assert _entry(newer).action == "moon phased"
    assert _entry(known).action is AuditAction.RUN_ENDED
