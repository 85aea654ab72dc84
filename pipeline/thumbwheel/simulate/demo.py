"""The demonstration: a real service, simulated users at its door, and the loop doing what it is for.

1. Two first policies are trained on a made-up help desk: one names a message's intent, one replies to it.
2. As soon as the first of them is there the service is started, as `thumbwheel up` would, with a schedule: learn when
   enough new votes are in. The second joins it when it is trained.
3. Users ask for intents over gRPC and give thumbs over gRPC. One in ten of their thumbs is wrong. The service starts
   a run by itself; meanwhile users ask for replies, until there are votes for the next run. Users go on asking while
   the service learns and swaps.
4. Where the gates refuse a candidate, as they now and then do by chance, users go on voting until the next run is due.
5. The same users ask again, and the table tells whether they are happier.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from thumbwheel.client import AdminClient, AsyncClient
from thumbwheel.client.admin import ServiceStatus
from thumbwheel.records import PolicyKind, Run, RunState
from thumbwheel.simulate.crowd import ONE_TRY, Crowd, Ledger, Question, Tally
from thumbwheel.simulate.helpdesk import (
    intent_questions,
    reply_questions,
    write_chats,
    write_labelled,
    write_worth_keeping,
)
from thumbwheel.simulate.progress import Show
from thumbwheel.simulate.users import crowd_of
from thumbwheel.simulate.world import World, small_desk

INTENT = "helpdesk-intent"
REPLY = "helpdesk-reply"
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How large the demonstration is. The defaults take a few minutes on two cores.

    `users` are many, so that about a fifth of them judge whatever the keys: of 120, 14 to 27 % did.
    """

    seed: int = 0
    users: int = 1_000
    training_rows: int = 6_000
    asks: Mapping[str, int] = field(default_factory=lambda: {INTENT: 4_000, REPLY: 3_000})
    asks_after: int = 500
    at_once: int = 32
    pause_s: float = 0.2
    most_runs: int = 3
    """Of one policy: it is waited for no longer."""

    @property
    def settings(self) -> dict[str, object]:
        """What the service is started with: learn as soon as nearly all first votes on a policy are in."""
        votes = ", ".join(f"{policy}={int(asks * 0.95)}" for policy, asks in self.asks.items())
        # Its own users come in plain text and without a key, whatever the configuration says of the real ones.
        open_here = {
            "tls.certificate_file": "",
            "tls.key_file": "",
            "tls.client_ca_file": "",
            "tls.connect": "plain",
            "auth.mode": "off",
        }
        return {"schedule.min_new_votes_of": votes, "schedule.check_s": 0.5, "serve.reconcile_s": 0.5, **open_here}


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What became of one policy: of its last run, and of those before, which the gates refused."""

    policy: str
    before: str
    after: str
    tally_before: Tally
    tally_after: Tally
    run: Run
    swap_s: float
    refused: tuple[Run, ...] = ()

    @property
    def better(self) -> bool:
        """Whether a new version was promoted and its users are happier and truly better served."""
        happier = self.tally_after.up_rate > self.tally_before.up_rate
        return self.run.state is RunState.PROMOTED and happier and self.gain > 0

    @property
    def gain(self) -> float:
        """Growth of true quality."""
        return self.tally_after.mean_quality - self.tally_before.mean_quality


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What became of the whole: `stored` are the votes that the service counts, `acknowledged` those it said OK to.

    `under_way` are runs that began by themselves and had not ended.
    """

    policies: tuple[PolicyOutcome, ...]
    asked: int
    dropped: tuple[str, ...]
    acknowledged: int
    stored: int
    dead_letters: int
    under_way: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """Votes that were acknowledged and are not in the store."""
        return max(0, self.acknowledged - self.stored)

    @property
    def from_elsewhere(self) -> int:
        """Votes in the store that no simulated user gave: the pages are open meanwhile."""
        return max(0, self.stored - self.acknowledged)

    @property
    def good(self) -> bool:
        """Whether every policy got better and nothing was dropped or lost."""
        intact = not self.dropped and not self.lost and not self.dead_letters
        return intact and all(one.better for one in self.policies)


def write_first_data(plan: DemoPlan, folder: Path) -> dict[str, list[str]]:
    """Write the first policies' data; return for each policy the arguments of `thumbwheel policy init`."""
    folder.mkdir(parents=True, exist_ok=True)
    desk, rng = small_desk(plan.seed), Random(f"demo data {plan.seed}")
    labelled, chats, keep = folder / "intents.jsonl", folder / "chats.jsonl", folder / "worth_keeping.jsonl"
    write_labelled(World(plan.seed), plan.training_rows // 3, rng, labelled)
    write_chats(desk, plan.training_rows, rng, chats)
    write_worth_keeping(desk, 300, rng, keep)
    return {
        INTENT: ["--kind", "classify", "--data", str(labelled)],
        REPLY: ["--kind", "generate", "--data", str(chats), "--worth-keeping", str(keep)],
    }


def example_question(plan: DemoPlan) -> str:
    """Return a customer's message as both policies have learned them."""
    return small_desk(plan.seed).message(Random(f"example {plan.seed}")).text


async def run_loop(
    plan: DemoPlan, addresses: Mapping[str, str], trained: Mapping[str, Future[None]], show: Show
) -> DemoOutcome:
    """Let users ask, wait for the service to learn from them, let them ask again (steps 3 to 5).

    `trained` tells of each policy when its first version is there, or why not.
    """
    async with AsyncClient(addresses["grpc"], retry=ONE_TRY) as client:
        with AdminClient(addresses["admin"]) as admin:
            crowds = _crowds(plan, client)
            first, meanwhile, ended = await _vote_and_learn(plan, crowds, trained, client, admin, show)
            again = replace(plan, asks=dict.fromkeys(crowds, plan.asks_after))
            after = {policy: await _ask(policy, crowds[policy], again, "asking again", show) for policy in crowds}
            status = await _drained(admin)
            ledgers = [ledger for part in (first, meanwhile, after) for ledger in part.values()]
            outcomes = tuple(_outcome(one, ended[one], first, after, status) for one in crowds)
            stored = await asyncio.to_thread(_stored_votes, admin, list(crowds))
            last = await asyncio.to_thread(admin.status)
    return DemoOutcome(
        policies=outcomes,
        asked=sum(ledger.answered + len(ledger.dropped) for ledger in ledgers),
        dropped=tuple(problem for ledger in ledgers for problem in (*ledger.dropped, *ledger.lost_votes)),
        acknowledged=sum(ledger.acknowledged for ledger in ledgers),
        stored=stored,
        dead_letters=status.dead_letters,
        under_way=tuple(one.running_run_id for one in last.policies if one.running_run_id),
    )


def _crowds(plan: DemoPlan, client: AsyncClient) -> dict[str, Crowd]:
    users = crowd_of(plan.users)

    def crowd(policy: str, kind: PolicyKind, questions: Iterator[Question]) -> Crowd:
        return Crowd(client, policy, kind, questions, users, Random(f"{policy} votes {plan.seed}"))

    asked = {name: Random(f"{name} questions {plan.seed}") for name in plan.asks}
    return {
        INTENT: crowd(INTENT, PolicyKind.CLASSIFY, intent_questions(World(plan.seed), asked[INTENT])),
        REPLY: crowd(REPLY, PolicyKind.GENERATE, reply_questions(small_desk(plan.seed), asked[REPLY])),
    }


async def _vote_and_learn(
    plan: DemoPlan,
    crowds: Mapping[str, Crowd],
    trained: Mapping[str, Future[None]],
    client: AsyncClient,
    admin: AdminClient,
    show: Show,
) -> tuple[dict[str, Ledger], dict[str, Ledger], dict[str, list[Run]]]:
    """Return the first votes, those given while the service learned, and each policy's runs, oldest first."""
    first: dict[str, Ledger] = {}
    meanwhile = {policy: Ledger() for policy in crowds}

    async def vote_on(policy: str, lacking: int) -> None:
        told = show.counter(f"{policy}: voting on", lacking)
        await crowds[policy].ask(lacking, plan.at_once, meanwhile[policy], told)

    async with AsyncExitStack() as going_on:
        learned = asyncio.create_task(_learned(admin, list(crowds), plan.most_runs, vote_on, show))
        going_on.callback(learned.cancel)
        for policy, crowd in crowds.items():
            await asyncio.wrap_future(trained[policy])
            await _serving(client, policy)
            first[policy] = await _ask(policy, crowd, plan, "asking and voting", show)
            await going_on.enter_async_context(_trickle(crowd, plan.pause_s, meanwhile[policy]))
        ended = await learned
        await _swapped(client, ended)
    return first, meanwhile, ended


async def _serving(client: AsyncClient, policy: str) -> None:
    """Wait until the policy has a champion that answers."""
    while not any(one.served for one in await client.describe() if one.policy == policy):
        await asyncio.sleep(_POLL_S)


async def _ask(policy: str, crowd: Crowd, plan: DemoPlan, what: str, show: Show) -> Ledger:
    ledger, asks = Ledger(), plan.asks[policy]
    await crowd.ask(asks, plan.at_once, ledger, show.counter(f"{policy}: {what}", asks))
    return ledger


@asynccontextmanager
async def _trickle(crowd: Crowd, pause_s: float, ledger: Ledger) -> AsyncIterator[None]:
    """Let users go on asking now and then while the block runs."""
    stop = asyncio.Event()
    asking = asyncio.create_task(crowd.keep_asking(pause_s, ledger, stop))
    try:
        yield
    finally:
        stop.set()
        await asking


async def _learned(
    admin: AdminClient,
    policies: Collection[str],
    most_runs: int,
    vote_on: Callable[[str, int], Awaitable[None]],
    show: Show,
) -> dict[str, list[Run]]:
    """Wait for a run of every policy that the gates do not refuse, or for the last of `most_runs`, showing how far.

    After a refusal `vote_on` is called with the policy and the number of votes that its next run lacks. Return each
    policy's runs, oldest first.
    """
    ended: dict[str, list[Run]] = {policy: [] for policy in policies}
    waiting = set(policies)
    async with asyncio.TaskGroup() as voting:
        while waiting:
            status = await asyncio.to_thread(admin.status)
            known = {run.run_id for runs in ended.values() for run in runs}
            for one in (one for one in status.policies if one.policy in waiting):
                runs = await asyncio.to_thread(admin.runs, one.policy, 1)
                if not runs or not runs[0].state.is_final or runs[0].run_id in known:
                    continue
                run = await asyncio.to_thread(admin.run, runs[0].run_id)
                ended[one.policy].append(run)
                known.add(run.run_id)
                again = run.state is RunState.REJECTED and len(ended[one.policy]) < most_runs
                show.learned(one.policy, _not_yet(run, most_runs) if again else f"{run.state}: {_said(run)}")
                if again:
                    voting.create_task(_lacking(admin, one.policy, vote_on))
                else:
                    waiting.remove(one.policy)
            # after those that ended, which the status does not tell from those that wait for their run
            for one in status.policies:
                if one.policy in waiting and one.running_run_id not in {"", *known}:
                    show.learning(one.policy, one.running_step, one.running_progress)
            await asyncio.sleep(_POLL_S)
    return ended


def _not_yet(run: Run, most_runs: int) -> str:
    goes_on = f"users go on voting, and the service learns again by itself (at most {most_runs} runs in all)"
    return f'the gates say "not yet": {_said(run)}\n  {goes_on}'


def _said(run: Run) -> str:
    return run.error or run.summary


async def _lacking(admin: AdminClient, policy: str, vote_on: Callable[[str, int], Awaitable[None]]) -> None:
    """Let users give as many votes as the next run lacks."""
    status = await asyncio.to_thread(admin.status)
    lacking = next(one.votes_needed - one.new_votes for one in status.policies if one.policy == policy)
    if lacking > 0:
        await vote_on(policy, lacking)


async def _swapped(client: AsyncClient, ended: Mapping[str, list[Run]]) -> None:
    """Wait until the service serves what the last runs published."""
    last = {policy: runs[-1] for policy, runs in ended.items()}
    wanted = {policy: run.candidate_version for policy, run in last.items() if run.state is RunState.PROMOTED}
    while True:
        served = {one.policy: {version.version for version in one.served} for one in await client.describe()}
        if all(version in served[policy] for policy, version in wanted.items()):
            return
        await asyncio.sleep(_POLL_S)


async def _drained(admin: AdminClient) -> ServiceStatus:
    """Wait until every event is in the store."""
    while (status := await asyncio.to_thread(admin.status)).log_backlog_events or status.orphan_votes:
        await asyncio.sleep(_POLL_S)
    return status


def _stored_votes(admin: AdminClient, policies: list[str]) -> int:
    votes = [version.votes for policy in policies for version in admin.versions(policy)]
    return sum(one.thumbs_up + one.thumbs_down for one in votes)


def _outcome(
    policy: str, runs: list[Run], first: Mapping[str, Ledger], after: Mapping[str, Ledger], status: ServiceStatus
) -> PolicyOutcome:
    [(before_version, tally_before)] = first[policy].by_version.items()
    after_version, tally_after = max(after[policy].by_version.items(), key=lambda entry: entry[1].answers)
    swap_s = next(one.last_swap_duration_s for one in status.policies if one.policy == policy)
    *refused, last = runs
    tallies = tally_before, tally_after
    return PolicyOutcome(policy, before_version, after_version, *tallies, last, swap_s, tuple(refused))
