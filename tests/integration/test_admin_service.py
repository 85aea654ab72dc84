"""The operators' door over real gRPC, with the real registry, store and log; called by the operators' client."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from thumbwheel import errors
from thumbwheel.admin.erasure import Eraser
from thumbwheel.admin.ports import Schedule, ServiceFacts
from thumbwheel.admin.servicer import AdminServicer
from thumbwheel.admin.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import TOPICS, EventLog
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.client.admin import AdminClient
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Ingest, Serve
from thumbwheel.database.engine import connect
from thumbwheel.feedback.progress import IngestProgress
from thumbwheel.feedback.raters import Raters
from thumbwheel.hosts.local import ADMIN, LocalHost, Registration
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.records import (
    AuditAction,
    AuditEntry,
    Channel,
    ClassifyAnswer,
    Feedback,
    FeedbackKind,
    GateResult,
    LoggedResponse,
    PolicyKind,
    Run,
    RunState,
    RunStep,
    VersionRef,
)
from thumbwheel.registry.artifacts.local import LocalArtifacts
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store
from thumbwheel.telemetry.metrics import Metrics

SERVICE = "thumbwheel.admin.v1.AdminService"
RATERS = Raters(b"u" * 32)
T = TypeVar("T")


class Loop:
    """Starts runs on paper."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.problem: errors.ThumbwheelError | None = None

    def start_run(self, policy: str, actor: str) -> str:
        if self.problem:
            raise self.problem
        self.started.append((policy, actor))
        return "run-9"

    def schedule(self, policy: str) -> Schedule:
        return Schedule(7, 100, "0 3 * * *", 12, running_run_id="run-8", new_other_votes=3)


@dataclass
class Copies:
    """Remembers whom it erased; fails when told to."""

    erased: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    problem: errors.ThumbwheelError | None = None
    unerasable: errors.ThumbwheelError | None = None

    def demand_erasable(self) -> None:
        if self.unerasable:
            raise self.unerasable

    def erase_user(self, user_hash: str) -> list[str]:
        if self.problem:
            raise self.problem
        self.erased.append(user_hash)
        return self.runs


@dataclass
class Desk:
    """An admin service and what stands behind it."""

    home: Path
    registry: SqlRegistry
    store: FeedbackStore
    log: EventLog
    loop: Loop = field(default_factory=Loop)
    copies: Copies = field(default_factory=Copies)
    moves: list[str] = field(default_factory=list)
    target: str = ""

    @property
    def ingest(self) -> IngestWorker:
        return IngestWorker(Source(self.log), self.store, Ingest())

    def publish(self, count: int, policy: str = "desk") -> None:
        folder = self.home / "made"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}")
        for number in range(count):
            (folder / "model.safetensors").write_text(f"w{number}")
            self.registry.publish(NewVersion(policy, PolicyKind.CLASSIFY, verdict="promote"), folder)

    def vote(self, response_id: str, user: str, up: bool, version: str = "v1") -> None:
        """Log an answer to a user and the user's thumb."""
        answer = ClassifyAnswer(f"text of {user}", 0, "lost", (0.9, 0.1), 0.02, ("lost", "other"))
        rater = RATERS.user_hash(user)
        ref = VersionRef("desk", version, "sha256:ab")
        response = LoggedResponse(response_id, "q", ref, Channel.CHAMPION, "", rater, "", 1, "", answer)
        thumb = Feedback(f"f-{response_id}", response_id, rater, "", "desk", version, FeedbackKind.THUMB, 2, up)
        self.log.append([to_log(response), to_log(thumb)])

    async def ask(self, question: Callable[[AdminClient], T]) -> T:
        """Ask the service as an operator does, from another thread."""

        def asked() -> T:
            with AdminClient(self.target, timeout_s=20, retry=RetryPolicy(attempts=1)) as client:
                return question(client)

        return await asyncio.to_thread(asked)


@pytest.fixture
def patience_s() -> float:
    return 60.0


@pytest.fixture
async def desk(tmp_path: Path, patience_s: float) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    store, log = open_store(url), open_log(tmp_path / "log.sqlite")
    desk = Desk(tmp_path, SqlRegistry(connect(url), LocalArtifacts(tmp_path / "versions")), store, log)
    eraser = Eraser(RATERS, IngestProgress(store, Source(log), patience_s), Source(log), store, desk.copies)
    facts = ServiceFacts("1.2.3", 5, tmp_path, desk.ingest.backlog, problem=lambda policy: f"{policy} is damaged")
    servicer = AdminServicer(desk.registry, store, desk.loop, eraser, facts, lambda: desk.moves.append("moved"))
    registration = Registration(SERVICE, lambda server: add_AdminServiceServicer_to_server(servicer, server), ADMIN)
    host = LocalHost(Serve(port=0, admin_port=0, web_port=0, drain_s=0), [registration], Metrics().rpc)
    await host.start()
    desk.target = f"127.0.0.1:{host.ports[ADMIN]}"
    yield desk
    await host.drain()
    desk.registry.close()
    store.close()
    log.close()


# --- versions -------------------------------------------------------------------------------------------------


async def test_policies_and_versions_are_listed_with_channels_and_votes(desk: Desk) -> None:
    desk.publish(2)
    desk.registry.move("desk", Channel.CHAMPION, "v1", actor="ann", reason="first")
    desk.registry.move("desk", Channel.CANARY, "v2", actor="ann", reason="try")
    for number, up in enumerate([True, True, False]):
        desk.vote(f"r{number}", "alice", up)
    desk.ingest.drain()
    (policy,) = await desk.ask(lambda client: client.policies())
    assert (policy.policy, policy.kind, policy.champion, policy.canary, policy.versions) == (
        "desk",
        PolicyKind.CLASSIFY,
        "v1",
        "v2",
        2,
    )
    newest, oldest = await desk.ask(lambda client: client.versions("desk"))
    assert (newest.version, newest.channels, newest.verdict) == ("v2", ("canary",), "promote")
    assert (oldest.version, oldest.channels) == ("v1", ("champion",))
    assert (oldest.votes.responses, oldest.votes.thumbs_up, oldest.votes.thumbs_down) == (3, 2, 1)
    assert newest.votes.responses == 0 and math.isnan(newest.votes.thumbs_up_rate)
    assert newest.votes.rating_mean == 0.0


async def test_a_version_is_described_with_its_manifest(desk: Desk) -> None:
    desk.publish(1)
    summary, manifest = await desk.ask(lambda client: client.version("desk", "v1"))
    assert json.loads(manifest)["digest"] == summary.digest
    assert sorted(json.loads(manifest)["files"]) == ["config.json", "model.safetensors"]


async def test_promotion_and_rollback_move_the_champion_and_leave_a_trail(desk: Desk) -> None:
    desk.publish(2)
    await desk.ask(lambda client: client.promote("desk", "v1", reason="first", actor="ann"))
    moved = await desk.ask(lambda client: client.promote("desk", "v2", reason=" better ", actor="bob"))
    assert (moved.channel, moved.previous, moved.version) == (Channel.CHAMPION, "v1", "v2")
    back = await desk.ask(lambda client: client.rollback("desk", reason="users complain", actor="ann"))
    assert (back.previous, back.version) == ("v2", "v1")
    trail = await desk.ask(lambda client: client.history("desk"))
    assert [(row.version, row.actor, row.reason) for row in trail] == [
        ("v1", "ann", "users complain"),
        ("v2", "bob", "better"),
        ("v1", "ann", "first"),
    ]
    assert desk.registry.channels("desk") == {Channel.CHAMPION: "v1"}
    assert desk.moves == ["moved"] * 3
    assert len(await desk.ask(lambda client: client.history("desk", limit=2))) == 2


async def test_promoting_the_champion_changes_nothing_and_says_so(desk: Desk) -> None:
    desk.publish(2)
    await desk.ask(lambda client: client.promote("desk", "v1", reason="first", actor="ann"))
    generation = desk.registry.generation()
    again = await desk.ask(lambda client: client.promote("desk", "v1", reason="once more", actor="bob"))
    assert (again.previous, again.version) == ("v1", "v1")
    assert [row.actor for row in await desk.ask(lambda client: client.history("desk"))] == ["ann"]
    assert (desk.registry.generation(), desk.moves) == (generation, ["moved"])


async def test_the_audit_trail_tells_of_moves_runs_and_erasures(desk: Desk) -> None:
    desk.publish(1)
    desk.publish(1, policy="other")
    desk.store.audit(AuditEntry(1, AuditAction.RUN_STARTED, "schedule", "votes", "desk", "run-9"))
    desk.store.audit(AuditEntry(2, AuditAction.RUN_STARTED, "cat", "asked for", "other", "run-10"))
    await desk.ask(lambda client: client.promote("desk", "v1", reason="first", actor="ann"))
    desk.vote("r1", "dora", up=True)
    desk.ingest.drain()
    await desk.ask(lambda client: client.erase_user("dora", reason="by mail", actor="bob"))
    trail = await desk.ask(lambda client: client.history())
    assert [(row.action, row.policy, row.subject, row.version, row.actor, row.reason) for row in trail] == [
        ("user erased", "", "1 answer, 1 vote; versions that learned from them: none", "", "bob", "by mail"),
        ("channel moved", "desk", "", "v1", "ann", "first"),
        ("run started", "other", "run-10", "", "cat", "asked for"),
        ("run started", "desk", "run-9", "", "schedule", "votes"),
    ]
    of_desk = await desk.ask(lambda client: client.history("desk", limit=3))
    assert [row.action for row in of_desk] == ["user erased", "channel moved", "run started"]
    assert of_desk[-1].subject == "run-9"
    with sqlite3.connect(desk.home / "store.sqlite") as rows:
        assert "dora" not in str(rows.execute("SELECT * FROM audit").fetchall())


async def test_a_damaged_version_is_not_promoted(desk: Desk) -> None:
    desk.publish(2)
    await desk.ask(lambda client: client.promote("desk", "v1", reason="first", actor="ann"))
    weights = desk.home / "versions" / "desk" / "v2" / "model.safetensors"
    weights.chmod(0o600)
    weights.write_text("w2")
    with pytest.raises(errors.DamagedArtifact):
        await desk.ask(lambda client: client.promote("desk", "v2", reason="better", actor="ann"))
    assert desk.registry.channels("desk") == {Channel.CHAMPION: "v1"}
    assert desk.moves == ["moved"]


# --- runs -----------------------------------------------------------------------------------------------------


async def test_runs_are_listed_and_described_with_their_gates(desk: Desk) -> None:
    desk.publish(1)
    gates = (
        GateResult("kl_budget", True, 0.5, 3.0, 0.25, 0.75, "KL is 0.5 of 3."),
        GateResult("latency", False, 2.0, 1.5, math.nan, math.nan, "Too slow."),
    )
    run = Run("run-1", "desk", RunState.RUNNING, RunStep.FREEZE, "v1", started_us=10, votes=300)
    lease = desk.store.acquire_lease("desk", "tests", ttl_s=60)
    desk.store.save_run(run, lease)
    ended = replace(
        run, state=RunState.REJECTED, step=RunStep.JUDGE, ended_us=20, summary="No.", gates=gates, error="e"
    )
    assert (await desk.ask(lambda client: client.run("run-1"))).report_path == ""
    ended = replace(ended, report_path="runs/run-1/report.html")
    desk.store.save_run(ended, lease)
    (listed,) = await desk.ask(lambda client: client.runs("desk"))
    assert (listed.run_id, listed.state, listed.step, listed.votes) == ("run-1", RunState.REJECTED, RunStep.JUDGE, 300)
    assert listed.error == "e"
    described = await desk.ask(lambda client: client.run("run-1"))
    assert listed.report_path == described.report_path == str(desk.home / "runs" / "run-1" / "report.html")
    assert described.gates[0] == gates[0]
    assert math.isnan(described.gates[1].low) and math.isnan(described.gates[1].high)
    assert (described.error, described.summary, described.ended_us) == ("e", "No.", 20)
    assert len(await desk.ask(lambda client: client.runs())) == 1


async def test_a_run_is_started_and_refusals_come_back_as_they_are(desk: Desk) -> None:
    desk.publish(1)
    assert await desk.ask(lambda client: client.start_run("desk", actor="ann")) == "run-9"
    assert desk.loop.started == [("desk", "ann")]
    desk.loop.problem = errors.RunInProgress("run-9 is at work")
    with pytest.raises(errors.RunInProgress, match="run-9 is at work"):
        await desk.ask(lambda client: client.start_run("desk", actor="ann"))
    desk.loop.problem = errors.NotEnoughData("3 votes, it takes 200")
    with pytest.raises(errors.NotEnoughData, match="3 votes, it takes 200"):
        await desk.ask(lambda client: client.start_run("desk", actor="ann"))


# --- erasure --------------------------------------------------------------------------------------------------


async def test_an_erased_user_is_gone_from_log_store_and_copies(desk: Desk) -> None:
    desk.vote("r1", "alice", True)
    desk.vote("r2", "alice", False)
    desk.vote("r3", "bob", True)
    desk.ingest.drain()
    report = await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert (report.responses, report.feedback) == (2, 2)
    assert desk.copies.erased == [RATERS.user_hash("alice")]
    assert desk.store.answers_concerning(RATERS.user_hash("alice")) == []
    assert desk.store.vote_counts("desk")["v1"].responses == 1
    keys = [record.key for topic in TOPICS for record in desk.log.read(topic, 0, 0, 100)]
    assert keys == ["r3", "r3"]
    for file in desk.home.iterdir():
        assert file.is_dir() or b"text of alice" not in file.read_bytes(), file
    again = await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert (again.responses, again.feedback) == (0, 0)


async def test_an_erasure_names_the_runs_that_it_ends(desk: Desk) -> None:
    lease = desk.store.acquire_lease("desk", "run-1", 60)
    for run_id, state in (("run-1", RunState.RUNNING), ("run-0", RunState.PROMOTED)):
        desk.store.save_run(Run(run_id, "desk", state, RunStep.IMPROVE, "v1", started_us=10), lease)
    desk.copies.runs = ["run-0", "run-1", "run-of-another-home"]
    report = await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert report.runs_ended == ("run-1",)


@pytest.mark.parametrize("expired", [False, True])
async def test_a_vote_on_an_erased_answer_is_gone_after_the_next_erasure(expired: bool, desk: Desk) -> None:
    desk.vote("r1", "alice", True)
    desk.vote("r2", "bob", True)
    desk.ingest.drain()
    await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    rater = RATERS.user_hash("alice")
    late = Feedback("f-late", "r1", rater, "", "desk", "v1", FeedbackKind.THUMB, 3, True, comment="words of alice")
    desk.log.append([to_log(late)])
    desk.ingest.drain()
    if expired:
        assert desk.store.expire_orphans(older_than_us=4) == 1
    assert any(b"words of alice" in file.read_bytes() for file in desk.home.glob("log.sqlite*"))
    report = await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert (report.responses, report.feedback) == (0, 0 if expired else 1)
    for file in desk.home.iterdir():
        assert file.is_dir() or b"words of alice" not in file.read_bytes(), file
    assert [record.key for topic in TOPICS for record in desk.log.read(topic, 0, 0, 100)] == ["r2", "r2"]


@pytest.mark.parametrize("patience_s", [0.05])
async def test_nothing_is_erased_while_events_are_on_their_way(desk: Desk) -> None:
    desk.vote("r1", "alice", True)
    with pytest.raises(errors.Unavailable, match="still on their way to the store; try again"):
        await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert desk.copies.erased == []
    desk.ingest.drain()
    report = await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert report.responses == 1


async def test_nothing_is_erased_while_there_are_copies_that_can_not_be(desk: Desk) -> None:
    desk.vote("r1", "alice", True)
    desk.ingest.drain()
    desk.copies.unerasable = errors.Conflict("store.sqlite.moved still has the texts of users")
    with pytest.raises(errors.Conflict, match="still has the texts"):
        await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert desk.copies.erased == []
    assert desk.store.answers_concerning(RATERS.user_hash("alice")) == ["r1"]


async def test_an_erasure_that_failed_half_way_can_be_repeated(desk: Desk) -> None:
    desk.vote("r1", "alice", True)
    desk.ingest.drain()
    desk.copies.problem = errors.Unavailable("the disk is away", 1.0)
    with pytest.raises(errors.Unavailable, match="the disk is away"):
        await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert desk.store.answers_concerning(RATERS.user_hash("alice")) == ["r1"]
    desk.copies.problem = None
    report = await desk.ask(lambda client: client.erase_user("alice", reason="asked for", actor="ann"))
    assert (report.responses, report.feedback) == (1, 1)
    assert desk.copies.erased == [RATERS.user_hash("alice")]


# --- status ---------------------------------------------------------------------------------------------------


async def test_the_status_shows_the_whole_loop(desk: Desk) -> None:
    desk.publish(1)
    desk.registry.move("desk", Channel.CHAMPION, "v1", actor="ann", reason="first")
    desk.vote("r1", "alice", True)
    desk.ingest.drain()
    desk.vote("r2", "alice", True)
    status = await desk.ask(lambda client: client.status())
    assert (status.service_version, status.started_us, status.home) == ("1.2.3", 5, str(desk.home))
    assert (status.log_backlog_events, status.dead_letters, status.orphan_votes) == (2, 0, 0)
    (policy,) = status.policies
    assert (policy.policy, policy.champion, policy.thumbs, policy.thumbs_up_rate) == ("desk", "v1", 1, 1.0)
    assert (policy.new_votes, policy.votes_needed, policy.schedule, policy.next_run_us, policy.running_run_id) == (
        7,
        100,
        "0 3 * * *",
        12,
        "run-8",
    )
    assert (policy.new_other_votes, policy.problem) == (3, "desk is damaged")
    assert policy.earlier_champion == ""
    desk.publish(1)
    desk.registry.move("desk", Channel.CHAMPION, "v2", actor="ann", reason="better")
    (policy,) = (await desk.ask(lambda client: client.status())).policies
    assert policy.earlier_champion == "v1"


async def test_a_policy_without_champion_and_votes_has_no_rate(desk: Desk) -> None:
    desk.publish(1)
    (policy,) = (await desk.ask(lambda client: client.status())).policies
    assert policy.champion == "" and policy.thumbs == 0 and math.isnan(policy.thumbs_up_rate)


# --- bad input ------------------------------------------------------------------------------------------------

INVALID, UNKNOWN_POLICY = errors.InvalidInput, errors.UnknownPolicy


@pytest.mark.parametrize(
    ("question", "kind", "message"),
    [
        (lambda c: c.versions(""), INVALID, "policy: must not be empty"),
        (lambda c: c.versions("dusk"), UNKNOWN_POLICY, "there are: desk"),
        (lambda c: c.version("desk", "v9"), errors.UnknownVersion, "version: desk has no version 'v9'; it has v1"),
        (lambda c: c.promote("desk", "", reason="r", actor="a"), INVALID, "version: must not be empty"),
        (lambda c: c.promote("desk", "v9", reason="r", actor="a"), errors.UnknownVersion, "v9"),
        (lambda c: c.promote("desk", "v1", reason="", actor="a"), INVALID, "reason: must have 1 to 500 characters"),
        (lambda c: c.promote("desk", "v1", reason=" ", actor="a"), INVALID, "reason: must have 1 to 500 characters"),
        (lambda c: c.promote("desk", "v1", reason="r" * 501, actor="a"), INVALID, "has 501; say why"),
        (lambda c: c.promote("desk", "v1", reason="r", actor=""), INVALID, "actor: must have 1 to 100 characters"),
        (lambda c: c.promote("desk", "v1", reason="r\n\t\x1b[2J", actor="a"), INVALID, "reason: character 3 is U+001B"),
        (lambda c: c.promote("desk", "v1", reason="r", actor="a\nb"), INVALID, "actor: character 1 is U+000A"),
        (lambda c: c.rollback("desk", reason="a\0b", actor="a"), INVALID, "reason: character 1 is U+0000"),
        (lambda c: c.start_run("desk", actor="a\x9bm"), INVALID, "actor: character 1 is U+009B"),
        (lambda c: c.erase_user("u", reason="\x7fr", actor="a"), INVALID, "reason: character 0 is U+007F"),
        (lambda c: c.rollback("desk", reason="", actor="a"), INVALID, "reason: must have"),
        (lambda c: c.rollback("desk", reason="r", actor="a"), errors.Conflict, ""),
        (lambda c: c.rollback("dusk", reason="r", actor="a"), UNKNOWN_POLICY, "there are: desk"),
        (lambda c: c.history("dusk"), UNKNOWN_POLICY, "there are: desk"),
        (lambda c: c.history("desk", limit=-1), INVALID, "limit: must be 1 to 1,000, or 0 for 50, got -1"),
        (lambda c: c.runs("dusk"), UNKNOWN_POLICY, "there are: desk"),
        (lambda c: c.runs(limit=1001), INVALID, "limit: must be 1 to 1,000, or 0 for 20, got 1001"),
        (lambda c: c.run("x"), errors.UnknownRun, "there is no run 'x'; `thumbwheel runs` lists them"),
        (lambda c: c.run(""), INVALID, "run_id: must not be empty"),
        (lambda c: c.start_run("dusk", actor="a"), UNKNOWN_POLICY, "there are: desk"),
        (lambda c: c.start_run("desk", actor=""), INVALID, "actor: must have"),
        (lambda c: c.erase_user("", reason="r", actor="a"), INVALID, "user_id: must have 1 to 256 characters"),
        (lambda c: c.erase_user("alice", reason="", actor="a"), INVALID, "reason: must have"),
        (lambda c: c.erase_user("alice", reason="r", actor=""), INVALID, "actor: must have"),
    ],
)
async def test_a_bad_order_is_refused_by_field_limit_and_cure(
    question: Callable[[AdminClient], object], kind: type[errors.ThumbwheelError], message: str, desk: Desk
) -> None:
    desk.publish(1)
    with pytest.raises(errors.ThumbwheelError) as caught:
        await desk.ask(question)
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert desk.moves == [] and desk.registry.channels("desk") == {} and desk.loop.started == []


# --- trials ---------------------------------------------------------------------------------------------------


async def test_a_canary_is_started_shown_and_stopped(desk: Desk) -> None:
    desk.publish(2)
    desk.registry.move("desk", Channel.CHAMPION, "v1", actor="ann", reason="first")
    begun = await desk.ask(lambda client: client.start_canary("desk", "v2", reason="try", actor="ann", share=0.25))
    assert (begun.kind, begun.state, begun.version, begun.control, begun.share) == (
        "canary",
        "running",
        "v2",
        "v1",
        0.25,
    )
    status = await desk.ask(lambda client: client.status())
    assert status.policies[0].trial == begun and status.policies[0].canary == "v2"
    ended = await desk.ask(lambda client: client.stop_trial("desk", reason="enough", actor="bob"))
    assert (ended.state, ended.sentence) == ("stopped", "Stopped by bob: enough")
    assert desk.registry.channels("desk") == {Channel.CHAMPION: "v1"}
    assert await desk.ask(lambda client: client.trials("desk")) == (ended,)
    assert desk.moves == ["moved", "moved"]


async def test_a_canary_answers_the_share_that_is_set_where_none_is_named(desk: Desk) -> None:
    desk.publish(2)
    desk.registry.move("desk", Channel.CHAMPION, "v1", actor="ann", reason="first")
    begun = await desk.ask(lambda client: client.start_canary("desk", "v2", reason="try", actor="ann"))
    assert begun.share == 0.1


async def test_a_trial_that_can_not_be_is_refused(desk: Desk) -> None:
    desk.publish(2)
    with pytest.raises(errors.Conflict, match="no champion to try v2 against"):
        await desk.ask(lambda client: client.start_canary("desk", "v2", reason="try", actor="ann"))
    desk.registry.move("desk", Channel.CHAMPION, "v1", actor="ann", reason="first")
    for share in (-0.1, 0.6, float("nan")):
        start = partial(AdminClient.start_canary, policy="desk", version="v2", reason="r", actor="a", share=share)
        with pytest.raises(errors.InvalidInput, match="share"):
            await desk.ask(start)
    with pytest.raises(errors.NotFound):
        await desk.ask(lambda client: client.start_canary("desk", "v9", reason="try", actor="ann"))
    with pytest.raises(errors.Conflict, match="no trial"):
        await desk.ask(lambda client: client.stop_trial("desk", reason="enough", actor="bob"))


async def test_a_shadow_is_set_and_taken_away(desk: Desk) -> None:
    desk.publish(2)
    desk.registry.move("desk", Channel.CHAMPION, "v1", actor="ann", reason="first")
    moved = await desk.ask(lambda client: client.set_shadow("desk", "v2", reason="look", actor="ann"))
    assert (moved.channel, moved.version) == (Channel.SHADOW, "v2")
    assert (await desk.ask(lambda client: client.status())).policies[0].shadow == "v2"
    await desk.ask(lambda client: client.set_shadow("desk", "", reason="seen", actor="ann"))
    assert desk.registry.channels("desk") == {Channel.CHAMPION: "v1"}
