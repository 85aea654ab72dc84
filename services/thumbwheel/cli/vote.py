"""`thumbwheel vote`: rate the last answer, or any answer by its id and token."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import click
from click.core import ParameterSource

from thumbwheel.cli.answers import LastAnswer, recall
from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit_json
from thumbwheel.records import PolicyKind

if TYPE_CHECKING:
    from thumbwheel.client.answers import Ballot

_VOTES = ("up", "down", "1", "2", "3", "4", "5")
_SHOWN_CHARS = 40
_RETRACTABLE = click.Choice(["thumb", "rating", "ranking", "edit"])


@click.command(name="vote")
@click.argument("vote", required=False, default="")
@click.option(
    "--correct",
    "edit",
    default="",
    help="What the answer should have been: a text, a label, or all tags in order.",
)
@click.option("--retract", type=_RETRACTABLE, default=None, help="Take a vote of this kind back.")
@click.option("--comment", default="", help="A remark, at most 2,000 characters.")
@click.option("--reason", "reasons", multiple=True, help="A tag such as `too-long`; may be given several times.")
@click.option("--response-id", default="", help="Which answer; the last one if left out.")
@click.option("--token", default="", help="Its feedback token, needed with --response-id.", envvar="THUMBWHEEL_TOKEN")
@click.option("--policy", default="", help="Which policy gave it, for --correct with --response-id.")
@click.option("--user", default="", help="Who votes: the user who asked, needed with --response-id.")
@json_option
@pass_context
def command(
    context: Context,
    vote: str,
    edit: str,
    retract: str | None,
    comment: str,
    reasons: tuple[str, ...],
    response_id: str,
    token: str,
    policy: str,
    user: str,
) -> None:
    """Rate the last answer: `up`, `down`, or 1 to 5 stars. The last vote of a kind counts.

    \b
    thumbwheel vote up
    thumbwheel vote 4 --comment "right, but slow"
    thumbwheel vote --correct "It left our warehouse today."
    thumbwheel vote --retract thumb
    Any answer, by what `thumbwheel ask TEXT --json` printed of it:
      thumbwheel vote up --response-id ID --token TOKEN
    """
    if sum(bool(given) for given in (vote, edit, retract)) != 1:
        raise click.UsageError("give exactly one of: up, down, 1..5, --correct TEXT, --retract KIND")
    if vote and vote not in _VOTES:
        raise click.UsageError(f"{vote[:_SHOWN_CHARS]!r} is no vote: use up, down, or 1 to 5")
    _demand_fitting(retract, comment, reasons, response_id)
    last = LastAnswer(response_id, token, user, policy, "") if response_id else recall(context.settings.home)
    with context.client() as client:
        ballot = client.ballot(last.response_id, last.token, last.user)
        if retract:
            feedback_id = ballot.retract(retract)
        elif edit:
            feedback_id = _correct(ballot, _kind(context, last.policy), edit, comment, reasons)
        elif vote in ("up", "down"):
            give = ballot.thumbs_up if vote == "up" else ballot.thumbs_down
            feedback_id = give(comment, reasons)
        else:
            feedback_id = ballot.rate(int(vote), comment, reasons)
    if context.json:
        said = {"feedback_id": feedback_id, "response_id": last.response_id}
        emit_json({**said, "policy": last.policy or None, "version": last.version or None})
    else:
        click.echo(f"taken back: {retract} on {last}" if retract else f"counted: {_said(vote)} for {last}")


def _demand_fitting(retract: str | None, comment: str, reasons: tuple[str, ...], response_id: str) -> None:
    """Refuse what would be ignored. A token of the environment is no option: it waits for a --response-id."""
    if retract and (comment or reasons):
        raise click.UsageError("--retract takes a vote back, without --comment or --reason: leave them out")
    source = click.get_current_context().get_parameter_source
    named = [option for option in ("token", "policy", "user") if source(option) is ParameterSource.COMMANDLINE]
    if named and not response_id:
        raise click.UsageError(f"--{named[0]} is for an answer named by --response-id: give that too, or leave it out")


def _said(vote: str) -> str:
    if vote.isdecimal():
        return f"{vote} of 5 stars"
    return f"thumb {vote}" if vote else "your correction"


def _correct(ballot: Ballot[str], kind: PolicyKind | None, edit: str, comment: str, reasons: tuple[str, ...]) -> str:
    """Send a correction of the sort that fits a policy of that kind; a text where it is not known."""
    match kind:
        case PolicyKind.CLASSIFY:
            return ballot.correct_label(edit, comment, reasons)
        case PolicyKind.TAG:
            return ballot.correct_tags(edit.split(), comment, reasons)
        case PolicyKind.GENERATE | None:
            return ballot.correct_text(edit, comment, reasons)
        case _:
            assert_never(kind)


def _kind(context: Context, policy: str) -> PolicyKind | None:
    """The kind of that policy; of an answer of no named policy, the kind of all that are served, or None."""
    with context.client() as client:
        kinds = {one.kind for one in client.describe(policy)}
    return kinds.pop() if len(kinds) == 1 else None
