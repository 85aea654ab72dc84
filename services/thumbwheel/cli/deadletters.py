"""`thumbwheel deadletters`: what ingest could not use."""

from __future__ import annotations

import click

from thumbwheel.cli.context import COUNT, Context, json_option, pass_context
from thumbwheel.cli.output import emit, when

_SHOWN_BYTES = 256  # of those that people look at; --json has all


@click.group(name="deadletters")
def command() -> None:
    """Look at records of the log that could not be used, or try them again. Works on the home and its database.

    \b
    thumbwheel deadletters list
    """


@command.command(name="list", short_help="List the newest.")
@click.option("--limit", default=50, type=COUNT, show_default=True, help="How many at most.")
@json_option
@pass_context
def list_(context: Context, limit: int) -> None:
    """List the newest dead letters, each with the reason.

    \b
    thumbwheel deadletters list
    """
    from thumbwheel.app.dead_letters import stored

    with stored(context.settings) as store:
        letters = store.dead_letters(limit)
    rows = [
        {
            "number": one.number,
            "topic": one.topic,
            "partition": one.partition,
            "offset": one.offset,
            "time": when(one.time_us),
            "bytes": len(one.payload),
            "reason": one.reason,
        }
        for one in letters
    ]
    emit(context, rows, empty="no dead letters", prose="reason")


@command.command(short_help="Show one with its bytes, and the event if it is one.")
@click.argument("number", type=COUNT)
@json_option
@pass_context
def show(context: Context, number: int) -> None:
    """Show a dead letter: its place, the reason, its bytes, and the event in them if they are one.

    It may hold users' texts.

    \b
    thumbwheel deadletters show 17
    """
    from thumbwheel.app.dead_letters import find, stored

    with stored(context.settings) as store:
        letter = find(store, number)
    place = {"number": letter.number, "topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
    shown = letter.payload if context.json else letter.payload[:_SHOWN_BYTES]
    facts = {**place, "time": when(letter.time_us), "reason": letter.reason, "bytes": shown.hex()}
    emit(
        context, [{"field": name, "value": value} for name, value in {**facts, "event": _event(letter.payload)}.items()]
    )


@command.command(short_help="Send them into the log once more.")
@click.argument("numbers", type=COUNT, nargs=-1)
@click.option("--all", "every", is_flag=True, help="All there are.")
@json_option
@pass_context
def retry(context: Context, numbers: tuple[int, ...], every: bool) -> None:
    """Append dead letters to the log once more: after an upgrade that can read them, or since their answer has come.

    What still can not be read stays; exit status 1 then.

    \b
    thumbwheel deadletters retry 12 13
    """
    if bool(numbers) == every:
        raise click.UsageError("name dead letters by their numbers, or say --all")
    from thumbwheel.app.dead_letters import retry as retried

    outcomes = list(retried(context.settings, numbers))
    rows = [{"number": one.number, "back": not one.problem, "problem": one.problem} for one in outcomes]
    emit(context, rows, empty="no dead letters", prose="problem")
    if any(one.problem for one in outcomes):
        raise SystemExit(1)


def _event(payload: bytes) -> str:
    from thumbwheel.errors import PoisonRecord
    from thumbwheel.events.convert import decode

    try:
        return str(decode(payload))
    except PoisonRecord as error:
        return f"none: {error}"
