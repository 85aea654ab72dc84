"""`thumbwheel erase`."""

from __future__ import annotations

import click

from thumbwheel.admin.validate import user_id
from thumbwheel.cli.answers import forget, recall
from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import counted, emit_json
from thumbwheel.cli.versions import actor
from thumbwheel.errors import Conflict

# What descends from a version that learned from them has learned from them, so a run from a clean one has to follow.
_WHAT_NEXT = """\
These stay, and serve where they are the champion. To be rid of what they learned:
  thumbwheel versions                                  find an earlier version that is not among them
  thumbwheel promote POLICY VERSION --reason "..."     let it serve
  thumbwheel retrain POLICY                            learn anew from it, without the user's votes"""


@click.command(name="erase")
@click.argument("user")
@click.option("--reason", required=True, help="Why; the audit trail keeps it, without the user.")
@click.option("--yes", is_flag=True, help="Don't ask whether you are sure.")
@json_option
@pass_context
def command(context: Context, user: str, reason: str, yes: bool) -> None:
    """Remove all texts and votes of a user, for good, and list the versions that learned from them.

    The answer that `ask` keeps here for `vote` goes too, if it is the user's.

    \b
    thumbwheel erase alice --reason "asked by mail on 3 May"
    """
    user_id(user)
    if not yes:
        click.confirm(f"Erase everything of user {user!r}? This can not be undone", abort=True)
    with context.admin() as admin:
        report = admin.erase_user(user, reason=reason, actor=actor())
    _forget(context, user)
    versions = list(report.versions_trained_on_it)
    if not (report.responses or report.feedback or versions):
        click.echo("nothing of such a user is here: check the id", err=True)
    if context.json:
        counts = {"responses": report.responses, "feedback": report.feedback}
        emit_json({**counts, "versions": versions, "runs_ended": list(report.runs_ended)})
        return
    click.echo(f"erased: {counted(report.responses, 'answer')}, {counted(report.feedback, 'vote')}")
    click.echo(f"versions that learned from them: {', '.join(versions) or 'none'}")
    if versions:
        click.echo(_WHAT_NEXT)
    for run_id in report.runs_ended:
        click.echo(f"run {run_id} was learning from them and ends as failed; start another: thumbwheel retrain POLICY")


def _forget(context: Context, user: str) -> None:
    """Remove the answer that `ask` kept, if it was given to the user."""
    home = context.settings.home
    try:
        if recall(home).user == user:
            forget(home)
    except Conflict:
        return  # none is kept
    except OSError as error:
        click.echo(f"the user's last answer is still in {home} ({error.strerror}): remove it there", err=True)
