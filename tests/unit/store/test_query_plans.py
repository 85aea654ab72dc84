"""Every query the store makes finds its rows by an index, and `rated` keeps little in memory.

With many rows, on both databases: `tests/integration/test_plans_at_scale.py`.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from recorded_batch import recorded_batch
from sqlalchemy import Engine, event, text

from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.records import (
    AuditAction,
    AuditEntry,
    Channel,
    ClassifyAnswer,
    DeadLetter,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    Retraction,
    Run,
    RunState,
    RunStep,
    VersionRef,
)
from thumbwheel.store.sql import SqlStore

# Counting them all is what these are for; both tables are small when all is well.
SMALL = {"orphans": "count_orphans", "dead_letters": "count_dead_letters"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path / 'store.sqlite'}")
    migrate(made)
    yield made
    made.dispose()


def answer(response_id: str, text_size: int = 1) -> LoggedResponse:
    served = ClassifyAnswer("x" * text_size, 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(response_id, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", 1, "", served)


def vote(feedback_id: str, response_id: str) -> Feedback:
    return Feedback(feedback_id, response_id, "u", "", "p", "v", FeedbackKind.THUMB, 1, thumb_up=True)


def put(store: SqlStore, responses: Sequence[LoggedResponse], feedback: Sequence[Feedback | Retraction]) -> None:
    offset = store.offset("c", "t", 0)
    letters = [DeadLetter("t", 0, 0, "r", b"", 1)]
    store.apply(recorded_batch("c", "t", 0, offset, offset + 1, responses, feedback, (), letters))


def use_everything(store: SqlStore) -> None:
    """Go through every method of the store, and through every branch of `apply`."""
    put(store, [], [vote("o", "r2"), vote("p", "r3")])
    put(store, [answer("r1"), answer("r2")], [vote("f1", "r1"), vote("f1", "r1")])
    put(store, [], [Retraction("f2", "r1", "u", "", FeedbackKind.THUMB, 2), vote("f3", "r1"), vote("f3", "r2")])
    store.response("r1")
    store.current_vote("r1", "u", FeedbackKind.THUMB)
    store.has_voted("r1", "u", FeedbackKind.THUMB)
    store.has_feedback(vote("f1", "r1"))
    store.votes_of("u", 10)
    store.vote_counts("p")
    store.watermark()
    store.new_votes("p", 0)
    store.audit(AuditEntry(1, AuditAction.RUN_STARTED, "ann", "asked for", "p", "run"))
    store.audit_trail("p", 5)
    store.audit_trail("", 5)
    list(store.rated("p", 9))
    store.dead_letters(5)
    store.count_dead_letters()
    store.dead_letters_from(1, 5)
    store.remove_dead_letter(1)
    store.is_untouched()
    store.count_orphans()
    lease = store.acquire_lease("p", "h", 60)
    lease = store.renew_lease(lease, 60)
    store.save_run(Run("run", "p", RunState.RUNNING, RunStep.FIT, "v", 1, candidate_version="w", watermark=9), lease)
    store.release_lease(lease)
    store.run("run")
    store.runs()
    store.runs("p")
    store.expire_orphans(2)
    store.forget_before(3_000_000_000_000_000, 7)
    store.answers_concerning("u")
    store.erase_user("u")


def queries(engine: Engine) -> dict[str, Any]:
    """Return every statement of the store that looks for rows, with some parameters."""
    seen: dict[str, Any] = {}

    def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.split()[0] in {"SELECT", "UPDATE", "DELETE"}:
            seen[statement] = parameters[0] if many else parameters

    event.listen(engine, "before_cursor_execute", remember)
    use_everything(SqlStore(engine))
    event.remove(engine, "before_cursor_execute", remember)
    return seen


def test_no_query_scans_a_table_that_grows(engine: Engine) -> None:
    seen = queries(engine)
    scans = []
    with engine.connect() as connection:
        for statement, parameters in seen.items():
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).all()
            steps = [row[3] for row in plan]
            scans += [(step, statement) for step in steps if step.startswith("SCAN ") and "INDEX" not in step]
            scans += [(step, statement) for step in steps if step.startswith("SCAN ") and _whole_index(step, statement)]
    assert len(seen) > 40
    assert [scan for scan in scans if not _allowed(*scan)] == []


def _whole_index(step: str, statement: str) -> bool:
    """Walking an index in order is fine where a LIMIT ends it."""
    return "INDEX" in step and "LIMIT" not in statement


def _allowed(step: str, statement: str) -> bool:
    counted = any(step.startswith(f"SCAN {table}") and "count(*)" in statement for table in SMALL)
    newest = step.startswith(("SCAN dead_letters", "SCAN audit")) and "LIMIT" in statement  # by row id, from the end
    given = "VIRTUAL TABLE" in step  # a list that came with the statement
    return counted or newest or given


def test_rated_keeps_one_page_in_memory(engine: Engine) -> None:
    store = SqlStore(engine)
    size, count = 20_000, 1_000
    for start in range(0, count, 100):
        ids = [f"r{number:05}" for number in range(start, start + 100)]
        put(store, [answer(name, size) for name in ids], [vote(f"f{name}", name) for name in ids])
    tracemalloc.start()
    try:
        rows = sum(1 for _ in store.rated("p", store.watermark()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == count
    assert peak < size * count / 2


def test_a_leases_time_is_the_clocks(engine: Engine) -> None:
    now = [1_000_000]
    store = SqlStore(engine, clock=lambda: now[0])
    lease = store.acquire_lease("p", "h", 2.5)
    assert lease.expires_us == 3_500_000
    now[0] = 3_499_999
    assert store.renew_lease(lease, 1.0).expires_us == 4_499_999
    now[0] = 4_499_999
    assert store.acquire_lease("p", "other", 1.0).fence == lease.fence + 1


def test_the_current_schema_is_opened_without_a_write(engine: Engine, tmp_path: Path) -> None:
    read_only = connect(f"sqlite:///file:{tmp_path / 'store.sqlite'}?mode=ro&uri=true")
    migrate(read_only)
    with read_only.connect().execution_options(thumbwheel_read_only=True) as connection:
        assert connection.scalar(text("SELECT count(*) FROM responses")) == 0
    read_only.dispose()
