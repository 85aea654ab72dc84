"""Which of the store's queries read a whole table that grows, as the database plans them with what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from filled_store import END_MS, START_MS, response_id, user
from recorded_batch import recorded_batch
from sqlalchemy import Engine, event, text

from thumbwheel.database.schema import SLICED
from thumbwheel.events.convert import encode
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

DAY_US = 86_400_000_000
# What is small as long as all is well, but would not be for ever.
_OTHERS = (
    "INSERT INTO orphans SELECT 'u' || n, 'g' || n, 'y' || n, 1000 + n, 't', 0, n, :vote FROM {rows}",
    "INSERT INTO dead_letters SELECT 100 + n, 't', 0, n, 'r', :vote, {end} + n FROM {rows}",
    "INSERT INTO audit SELECT 100 + n, n, 'a', 'p' || n % 20, 's', 'a', 'r' FROM {rows}",
    "INSERT INTO user_keys SELECT 'k' || n, 'u' || n % 500, :vote FROM {rows}",
)
_SERIES = {
    "postgresql": "generate_series(1, 20000) AS n",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s)",
}
_GROWING = {statement.split()[2] for statement in _OTHERS} | {table.name for table in SLICED}
Plans = list[tuple[str, str]]


def fill_others(engine: Engine) -> None:
    """Fill the tables that are small while all is well."""
    with engine.begin() as connection:
        for statement in _OTHERS:
            filling = text(statement.format(rows=_SERIES[connection.dialect.name], end=END_MS * 1_000))
            connection.execute(filling, {"vote": encode(vote("o", "o"))} if ":vote" in statement else {})
        for name in _GROWING - {table.name for table in SLICED}:
            connection.execute(text(f"ANALYZE {name}"))


@contextmanager
def planned(engine: Engine) -> Iterator[Plans]:
    """Yield what each statement does with the tables that grow: (step, statement), as planned when it is made.

    A step begins with "all of" where it reads a whole table, or a whole slice or index of it, and no LIMIT ends it.
    """
    seen: Plans = []
    explain = {"sqlite": _explained_by_sqlite, "postgresql": _explained_by_postgres}[engine.dialect.name]

    def look(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.split()[0] in {"SELECT", "UPDATE", "DELETE"} and "pg_" not in statement:
            steps = explain(connection.connection.driver_connection, statement, parameters[0] if many else parameters)
            seen.extend((step, statement) for step in steps)

    event.listen(engine, "before_cursor_execute", look)
    yield seen
    event.remove(engine, "before_cursor_execute", look)


def whole(plans: Plans) -> str:
    """Return the steps that read a whole table, a line each."""
    found = sorted({plan for plan in plans if plan[0].startswith("all ")})
    return "\n".join(f"{step}   {statement!r}" for step, statement in found)


def _explained_by_sqlite(driver: Any, statement: str, parameters: Any) -> Iterator[str]:
    for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall():
        step = str(row[3])
        if step.startswith(("SCAN ", "SEARCH ")) and step.split()[1] in _GROWING:
            newest = "LIMIT" in statement and ("INDEX" in step or f"ORDER BY {step.split()[1]}.id" in statement)
            whole = step.startswith("SCAN") and not newest
            yield f"{'all' if whole else 'some'} of {step.split()[1]}: {step}"


def _explained_by_postgres(driver: Any, statement: str, parameters: Any) -> Iterator[str]:
    (plan,) = driver.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchone()[0]
    for node in _nodes(plan["Plan"]):
        name = next((table for table in _GROWING if node.get("Relation Name", "").startswith(table)), "")
        if name and node["Node Type"] != "ModifyTable":
            bounded = "Index Cond" in node or "Recheck Cond" in node or "LIMIT" in statement
            whole = "Seq" in node["Node Type"] or not bounded
            rest = node["Relation Name"].endswith("_rest")  # a few rows
            yield f"{'all' if whole and not rest else 'some'} of {name}: {node['Node Type']}"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


def answer(name: str) -> LoggedResponse:
    served = ClassifyAnswer("text", 0, "a", (1.0,), 0.0, ("a",))
    ref = VersionRef("support", "v12", "d")
    return LoggedResponse(name, "q", ref, Channel.CHAMPION, "", user(0), "", END_MS * 1_000, "", served)


def vote(feedback_id: str, name: str) -> Feedback:
    time_us = END_MS * 1_000
    return Feedback(feedback_id, name, user(0), "", "support", "v12", FeedbackKind.THUMB, time_us, thumb_up=True)


def use_everything(store: SqlStore) -> None:
    """What doors, pages, ingest, freeze, runs, erasure and retention ask for, with what is most: `support`, user 0."""
    made = [answer(response_id(END_MS + number, number)) for number in range(20)]
    votes = [vote(f"new-{number}", one.response_id) for number, one in enumerate(made[:10])]
    late = [vote(f"late-{number}", response_id(END_MS - 1, number)) for number in range(10)]
    store.apply(recorded_batch("c", "t", 0, 0, 1, (), [*votes[:5], *late], (), [DeadLetter("t", 0, 0, "r", b"", 1)]))
    store.apply(recorded_batch("c", "t", 0, 1, 2, made, votes))
    taken = Retraction("taken", made[0].response_id, user(0), "", FeedbackKind.THUMB, END_MS * 1_000 + 1)
    store.apply(recorded_batch("c", "t", 0, 2, 3, (), [taken]))
    store.response(made[0].response_id)
    store.current_vote(made[1].response_id, user(0), FeedbackKind.THUMB)
    store.has_voted(made[1].response_id, user(0), FeedbackKind.THUMB)
    store.has_feedback(votes[1])
    store.votes_of(user(0), 50)
    store.vote_counts("support")
    store.watermark()
    store.thumbs_after("support", store.watermark() - 1_000, 100)
    store.thumbs_before("support", store.watermark(), 100)
    store.newest_answers("support", "v12", (START_MS * 1_000, END_MS * 1_000), 200)
    store.enter_limits({"kl_budget": 3.0}, "ann")
    store.new_votes("support", store.watermark() - 1_000)
    list(islice(store.rated("support", store.watermark()), 1_000))
    store.answers_after("support", made[0].response_id, 50)
    store.dead_letters(5)
    store.dead_letters_from(1, 5)
    store.audit(AuditEntry(1, AuditAction.RUN_STARTED, "ann", "asked for", "support", "run"))
    store.audit_trail("support", 5)
    lease = store.acquire_lease("support", "h", 60)
    run = Run("run", "support", RunState.RUNNING, RunStep.FIT, "v", 1, candidate_version="w", watermark=9)
    store.save_run(run, lease)
    store.run("run")
    store.runs("support")
    store.runs()
    store.expire_orphans(1_100)
    store.answers_concerning(user(1_500))
    store.erase_user(user(1_500))
    store.forget_before(START_MS * 1_000 + 3 * DAY_US, 1)
