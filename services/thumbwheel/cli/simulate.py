"""`thumbwheel simulate`: users who are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, assert_never

import click

from thumbwheel.cli.context import COUNT, SEED, Context, FloatRange, json_option, pass_context
from thumbwheel.cli.output import emit
from thumbwheel.errors import InvalidInput
from thumbwheel.records import PolicyKind

if TYPE_CHECKING:
    from thumbwheel.client.answers import PolicyDescription
    from thumbwheel.simulate.crowd import Ledger, Question
    from thumbwheel.simulate.shown import Rater


@click.group(name="simulate")
def command() -> None:
    """Let simulated users ask and vote, or write the help desk's texts to a file.

    \b
    thumbwheel simulate users support --data tickets.jsonl --asks 5000
    """


@command.command(short_help="Let simulated users ask a running service and vote.")
@click.argument("policy")
@click.option("--asks", type=COUNT, default=1_000, show_default=True, help="How many questions.")
@click.option("--users", type=COUNT, default=100, show_default=True, help="How many users take turns.")
@click.option("--noise", type=FloatRange(0, 1), default=0.1, show_default=True, help="Share of thumbs that are wrong.")
@click.option(
    "--rates",
    type=FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Share of answers that are rated at all.",
)
@click.option("--at-once", type=COUNT, default=16, show_default=True, help="Questions under way at the same time.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="classify: your labelled texts, whose labels are the truth."
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="SORT:SHARE[:OPTION=VALUE,...]",
    help="Make a share of the users of another sort; may be said several times. `simulate sorts` lists them.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="The same seed asks and votes the same.")
@json_option
@pass_context
def users(
    context: Context,
    policy: str,
    asks: int,
    users: int,
    noise: float,
    rates: float,
    at_once: int,
    data: Path | None,
    parts: tuple[str, ...],
    seed: int,
) -> None:
    """Let simulated users of the help desk, or of your own labelled texts, ask a running service and vote.

    \b
    thumbwheel simulate users helpdesk-intent --asks 2000 --noise 0.2
    thumbwheel simulate users support --data tickets.jsonl --asks 5000
    thumbwheel simulate users support --part moody:0.3 --part spammer:0.05
    thumbwheel simulate users support --part brigade:0.05:answer=refund,up=yes
    """
    from thumbwheel.cli.show import Bars
    from thumbwheel.simulate.crowd import Ledger
    from thumbwheel.simulate.mixed_crowd import mixed_crowd, read_part
    from thumbwheel.simulate.users import SimulatedUser

    like = SimulatedUser(noise=noise, rates_pleased=rates, rates_displeased=rates)
    crowd = mixed_crowd(users, like, [read_part(part) for part in parts])
    with context.client() as client:
        [served] = client.describe(policy)
    questions = _questions(served.kind, data, seed)
    ledger = Ledger()
    with Bars(stderr=context.json) as bars:
        told = bars.counter(f"{policy}: asking and voting", asks)
        votes = Votes(crowd, questions, asks, at_once, seed)
        asyncio.run(_ask(context, served, votes, ledger, told))
    emit(context, _rows(policy, ledger), empty="no question was answered")
    for problem in sorted({*ledger.dropped, *ledger.lost_votes})[:5]:
        click.echo(problem, err=True)
    if ledger.dropped or ledger.lost_votes:
        raise SystemExit(1)


@command.command(short_help="List the sorts of users that --part can name.")
@json_option
@pass_context
def sorts(context: Context) -> None:
    """List the sorts of users that `simulate users --part` can name, and their options as they are by default.

    \b
    thumbwheel simulate sorts
    """
    from thumbwheel.simulate.mixed_crowd import SORTS

    emit(context, [_sort(name, sort.options, sort.about) for name, sort in SORTS.items()], prose="users who")


@command.command(short_help="Write texts of the help desk, to train a first policy from.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    required=True,
    type=click.Choice(["classify", "generate", "tag"]),
    help="Labelled texts, chats, or tagged words.",
)
@click.option("--rows", type=COUNT, default=2_000, show_default=True, help="How many.")
@click.option("--good", is_flag=True, help="generate: good replies only, for `policy init --worth-keeping`.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same seed, same file.")
def data(file: Path, kind: str, rows: int, good: bool, seed: int) -> None:
    """Write texts of the help desk, to train a first policy from.

    \b
    thumbwheel simulate data intents.jsonl --kind classify
    thumbwheel policy init helpdesk-intent --kind classify --data intents.jsonl
    """
    from thumbwheel.simulate.helpdesk import write_chats, write_labelled, write_tagged, write_worth_keeping
    from thumbwheel.simulate.world import World, small_desk

    chats = write_worth_keeping if good else write_chats
    write = {"classify": write_labelled, "tag": write_tagged}.get(kind, chats)
    world = small_desk(seed) if kind == "generate" else World(seed)
    write(world, rows, Random(f"data {seed}"), file)
    click.echo(f"{rows} rows in {file}")


@dataclass(frozen=True, slots=True)
class Votes:
    """What the users do."""

    raters: Sequence[Rater]
    questions: Iterator[Question]
    asks: int
    at_once: int
    seed: int


async def _ask(
    context: Context, served: PolicyDescription, votes: Votes, ledger: Ledger, told: Callable[[], None]
) -> None:
    from thumbwheel.client import AsyncClient
    from thumbwheel.simulate.crowd import ONE_TRY, Crowd

    async with AsyncClient(context.grpc_address, retry=ONE_TRY, **context.way(context.grpc_address)) as client:
        rng = Random(f"votes {votes.seed}")
        crowd = Crowd(client, served.policy, served.kind, votes.questions, votes.raters, rng)
        await crowd.ask(votes.asks, votes.at_once, ledger, told)


def _questions(kind: PolicyKind, data: Path | None, seed: int) -> Iterator[Question]:
    from thumbwheel.simulate.helpdesk import intent_questions, labelled_questions, reply_questions, slot_questions
    from thumbwheel.simulate.world import World, small_desk

    rng = Random(f"questions {seed}")
    if data is not None and kind is not PolicyKind.CLASSIFY:
        raise InvalidInput("data", "labelled texts tell the truth about a classify policy only")
    if data is not None:
        from thumbwheel.pretrain.corpus import read_labelled

        return labelled_questions([(row.text, row.label) for row in read_labelled(data)], rng)
    match kind:
        case PolicyKind.CLASSIFY:
            return intent_questions(World(seed), rng)
        case PolicyKind.GENERATE:
            return reply_questions(small_desk(seed), rng)
        case PolicyKind.TAG:
            return slot_questions(World(seed), rng)
        case _:
            assert_never(kind)


def _sort(name: str, options: Mapping[str, object], about: str) -> dict[str, object]:
    told = {True: "yes", False: "no", "": "(none)"}
    written = [
        f"{option}={told.get(value, value) if isinstance(value, bool | str) else value}"
        for option, value in options.items()
    ]
    return {"sort": name, "options": ",".join(written), "users who": about}


def _rows(policy: str, ledger: Ledger) -> list[dict[str, object]]:
    return [
        {
            "policy": policy,
            "version": version,
            "answers": tally.answers,
            "up": tally.ups,
            "down": tally.downs,
            "up rate": tally.up_rate,
            "true quality": tally.mean_quality,
        }
        for version, tally in sorted(ledger.by_version.items())
    ]
