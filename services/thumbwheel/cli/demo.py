"""`thumbwheel demo`: the whole loop, shown."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumbwheel.app.home import make_home
from thumbwheel.cli.context import COUNT, SEED, Context, json_option, pass_context
from thumbwheel.cli.first_policies import first_policies
from thumbwheel.cli.output import counted, emit
from thumbwheel.records import RunState

if TYPE_CHECKING:
    from thumbwheel.simulate.demo import DemoOutcome, PolicyOutcome


@click.command(name="demo")
@click.option("--exit", "leave", is_flag=True, help="End after the table; status 0 only if all went well.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Another seed, another help desk.")
@click.option("--asks", type=COUNT, default=3_000, show_default=True, help="Questions to the first reply policy.")
@json_option
@pass_context
def command(context: Context, leave: bool, seed: int, asks: int) -> None:
    """See the whole loop: serve, vote, learn, judge, swap.

    Simulated users ask a service that is really there, over gRPC, and give thumbs; one in ten is wrong. The service
    learns from them by itself, and the same users ask again. Where its gates refuse what it learned, users go on voting
    and it learns again, up to three times. It takes a few minutes; afterwards the service and its pages stay up until
    Ctrl-C.

    \b
    thumbwheel demo
    thumbwheel demo --exit --seed 7
    """
    from thumbwheel.cli.show import Bars
    from thumbwheel.simulate.demo import INTENT, REPLY, DemoPlan, example_question, run_loop, write_first_data
    from thumbwheel.simulate.service import ServiceProcess

    plan = DemoPlan(seed=seed, asks={INTENT: asks * 4 // 3, REPLY: asks})
    home = _home(context)
    with _told_at_the_end(context, home), Bars(stderr=context.json) as bars:
        bars.say(f"home: {home}")
        bars.say(
            "about five minutes on two idle cores, longer where others compute beside it, or where the gates refuse"
        )
        with first_policies(home, write_first_data(plan, home / "data"), bars) as trained:
            trained[INTENT].result()
            service = ServiceProcess(home, {**_free_ports(context), **plan.settings})
            bars.say("starting the service")
            with service:
                bars.say(f"serving at {service.addresses['grpc']}, pages at {service.addresses['web']}/")
                outcome = asyncio.run(run_loop(plan, service.addresses, trained, bars))
                bars.stop()
                report(context, outcome)
                for run_id in outcome.under_way if leave else ():
                    click.echo(f"run {run_id} is under way and is broken off; `up` goes on with it", err=context.json)
                if not leave:
                    _stay(context, service.addresses, example_question(plan))
    for fault in faults(outcome):
        click.secho(fault, fg="red", err=True)
    sys.exit(0 if outcome.good else 1)


@contextmanager
def _told_at_the_end(context: Context, home: Path) -> Iterator[None]:
    """However it ends, say what is left on the disk, and what can be done with it."""
    try:
        yield
    finally:
        where = shlex.quote(str(home))
        click.echo(f"\nAll of it is kept in {where}", err=context.json)
        click.echo(f"  go on with it  {_program()} --home {where} up", err=context.json)
        if "home" not in context.flags:
            click.echo(f"  remove it      rm -r {where}", err=context.json)


def _program() -> str:
    """This program as whoever called it can call it again: by its name only where that is found."""
    return "thumbwheel" if shutil.which("thumbwheel") else shlex.quote(sys.argv[0])


def faults(outcome: DemoOutcome) -> Iterator[str]:
    """Say why the exit status is 1."""
    for one in outcome.policies:
        if not one.better:
            why = f"see {one.run.report_path}" if one.run.report_path else one.run.error or one.run.summary
            yield f"{one.policy} did not get better; {why}"
    if outcome.dropped:
        yield f"{len(outcome.dropped):,} of the requests and votes were dropped"
    if outcome.lost:
        yield f"{outcome.acknowledged:,} votes were acknowledged, but {outcome.stored:,} are in the store"
    if outcome.dead_letters:
        yield f"{counted(outcome.dead_letters, 'dead letter')} in the store"


def _home(context: Context) -> Path:
    """The home asked for, or a fresh one: a demonstration must not learn into anybody's own versions."""
    if "home" in context.flags:
        home = Path(context.flags["home"]).absolute()
        make_home(home)
        return home
    return Path(tempfile.mkdtemp(prefix="thumbwheel-demo-"))


def _free_ports(context: Context) -> dict[str, object]:
    """The usual ports where they are free, others where they are not."""
    serve = context.settings.serve
    places = {
        "serve.port": (serve.host, serve.port),
        "serve.admin_port": (serve.admin_host, serve.admin_port),
        "serve.web_port": (serve.host, serve.web_port),
    }
    return {name: place[1] if _is_free(*place) else 0 for name, place in places.items()}


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def report(context: Context, outcome: DemoOutcome) -> None:
    """Print what the users got."""
    emit(context, [row for one in outcome.policies for row in _rows(one)], title="What the users got")
    if context.json:
        return
    click.echo(
        f"\n{outcome.asked:,} requests, {len(outcome.dropped)} dropped; {outcome.acknowledged:,} votes acknowledged, "
        f"{outcome.stored:,} in the store, {outcome.dead_letters} dead letters"
    )
    if outcome.from_elsewhere:
        click.echo(f"{counted(outcome.from_elsewhere, 'vote')} in the store came from elsewhere, such as the page")
    for problem in sorted(set(outcome.dropped))[:5]:
        click.secho(f"  {problem}", fg="red")
    for one in outcome.policies:
        for run in one.refused:
            click.echo(f"{one.policy} was refused before: {run.summary} report: {run.report_path}")
        click.echo(f"report of {one.policy}: {one.run.report_path}")


def _rows(one: PolicyOutcome) -> Iterator[dict[str, Any]]:
    passed = f"{sum(gate.passed for gate in one.run.gates)}/{len(one.run.gates)}"
    for version, tally, gates, swap in (
        (one.before, one.tally_before, "", ""),
        (_after(one), one.tally_after, passed, f"{one.swap_s:.2f} s" if one.swap_s else ""),
    ):
        yield {
            "policy": one.policy,
            "version": version,
            "answers": tally.answers,
            "thumbs up": f"{tally.up_rate:.1%}",
            "true quality": f"{tally.mean_quality:.3f}",
            "gates": gates,
            "swapped in": swap,
        }


def _after(one: PolicyOutcome) -> str:
    """The version that users met last; where no run brought it, why not."""
    why = {RunState.REJECTED: " (candidate refused)", RunState.FAILED: " (run failed)"}
    return one.after + why.get(one.run.state, "")


def _stay(context: Context, addresses: Mapping[str, Any], example: str) -> None:
    click.echo(f"\nThe service goes on: gRPC {addresses['grpc']}, operators {addresses['admin']}", err=context.json)
    click.echo(f"  ask and vote   {addresses['web']}/", err=context.json)
    click.echo(f"                 the help desk knows only its own world; try: {example}", err=context.json)
    click.echo(f"  operate        {addresses['web']}/operate", err=context.json)
    click.echo("It goes on learning by itself from the votes that come in.", err=context.json)
    click.echo("Ctrl-C stops it.", err=context.json)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    click.echo("stopping", err=context.json)
