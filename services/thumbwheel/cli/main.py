"""The command `thumbwheel`: global options, the list of commands, errors to exit codes."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from thumbwheel import errors
from thumbwheel.cli.context import Context
from thumbwheel.cli.stopping import exit_status, stopped_by_sigterm
from thumbwheel.cli.wording import worded

# command -> (module, one line for the list); a module is imported only when its command is used
COMMANDS = {
    "demo": ("demo", "See the whole loop: serve, vote, learn, judge, swap."),
    "up": ("up", "Run the service on this machine."),
    "serve": ("serve", "Run only the gRPC doors; ingest, retrain and web run apart."),
    "ingest": ("ingest", "Move Kafka into the store; several share the work."),
    "web": ("web", "Serve the pages alone, before a service elsewhere."),
    "policy": ("policy", "Make a first policy, or take an existing model."),
    "ask": ("ask", "Ask a policy and see the answer."),
    "vote": ("vote", "Rate an answer, or take a vote back."),
    "status": ("status", "Show the state of the loop."),
    "retrain": ("retrain", "Start a training run now, or train in a process of its own."),
    "runs": ("runs", "List training runs, or show one with its gates."),
    "versions": ("versions", "List the versions of a policy."),
    "promote": ("promote", "Make a version the champion."),
    "rollback": ("rollback", "Return to the champion before."),
    "canary": ("canary", "Try a version on some of the users, or see how it stands."),
    "gates": ("gates", "What a candidate must show, and what to do when it does not."),
    "judge": ("judge", "Hold any version against the champion, changing nothing."),
    "drill": ("drill", "See where bad policies and falsified votes are stopped."),
    "simulate": ("simulate", "Let simulated users ask and vote."),
    "erase": ("erase", "Remove a user's texts and votes."),
    "retention": ("retention", "Forget what is older than it is kept."),
    "doctor": ("doctor", "Check this installation and its home folder."),
    "config": ("config", "Show the configuration."),
    "topics": ("topics", "Make or show the event log's topics in Kafka."),
    "deadletters": ("deadletters", "Look at what ingest could not use, or try it again."),
    "backup": ("backup", "Copy the home and its database into a folder."),
    "restore": ("restore", "Make a home and its database from a backup."),
    "move": ("move", "Move versions and votes to another database and store of files."),
    "database": ("database", "Show the database's schema, upgrade it, or take it back."),
    "replay": ("replay", "Rebuild the store from the log into an empty database."),
    "keys": ("keys", "API keys of callers; the service's own secret keys."),
    "completion": ("completion", "Print the shell completion script."),
}

# exit codes: 1 for a negative answer, 2 for wrong use, the rest by the kind of error (sysexits.h)
EXIT_CODES: dict[type[errors.ThumbwheelError], int] = {
    errors.InvalidInput: 2,
    errors.NotFound: 3,
    errors.Conflict: 4,
    errors.AlreadyExists: 4,
    errors.DamagedArtifact: 65,
    errors.Unavailable: 69,
    errors.DeadlineMissed: 75,
    errors.Overloaded: 75,
    errors.TokenMissing: 77,
    errors.TokenRefused: 77,
    errors.KeyRefused: 77,
    errors.ScopeMissing: 77,
}

# how writing to a full disk, or to who has gone, fails
_OUTPUT_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

_EXIT_STATUS = """\b
Exit status:
  0    done
  1    a negative answer (doctor, demo, drill, simulate,
       retrain --once, database show), or a defect
  2    wrong use, or a wrong value or data file
  3    no such policy, version, run or vote
  4    the state does not allow it
  65   a version's files are damaged
  69   the service, or a part of it, is away
  75   overloaded, or the time ran out: try again
  77   no right to rate the answer, or no API key that is
       good for it
  130  stopped with Ctrl-C
  143  stopped with SIGTERM; services end in order, with 0
"""


class Commands(click.Group):
    """Commands that are imported when they are used, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"thumbwheel.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a command; where there is none of the name, the error says which was meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := difflib.get_close_matches(args[0], COMMANDS, n=1):
                raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error
            raise

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; where no service answered, add what starts the one that was meant."""
        try:
            return super().invoke(ctx)
        except errors.Unreachable as error:
            error.add_note(_how_to_reach(ctx.obj))
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _how_to_reach(context: Context) -> str:
    if context.address or context.admin_address:
        return "Does it run there? `thumbwheel up` or `serve` says at its start where its doors are."
    apart = context.settings.log.is_shared  # then `up` is one of two ways
    starts = "`thumbwheel serve` (or `up`, all in one process)" if apart else "`thumbwheel up`"
    return f"Is the service running? Start it with {starts}, or name another with --address and --admin-address."


def _flags(settings: tuple[str, ...], named: Mapping[str, str | None]) -> dict[str, str]:
    flags = {}
    for item in settings:
        name, equals, value = item.partition("=")
        if not equals:
            raise click.BadParameter(
                f"{item!r} is not NAME=VALUE, for example classify.mode=argmax", param_hint="--set"
            )
        flags[name] = value
    return flags | {name: value for name, value in named.items() if value is not None}


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EXIT_STATUS,
)
@click.version_option(package_name="thumbwheel")
@click.option("--home", metavar="PATH", help="Folder that holds everything the service keeps.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set one value, e.g. serve.port=8080.")
@click.option("--address", default="", help="host:port of a service elsewhere.")
@click.option("--admin-address", default="", help="host:port of its admin door.")
@click.option("--tls-ca", metavar="FILE", help="Authority (PEM) that the service's certificate is of; calls go by TLS.")
@click.pass_context
def group(
    ctx: click.Context,
    home: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    address: str,
    admin_address: str,
    tls_ca: str | None,
) -> None:
    """Serve a model, collect your users' thumbs, and let PPO turn them into a better model.

    \b
    The whole loop with simulated users:
      thumbwheel demo
    Your own:
      thumbwheel policy init support --kind classify --data tickets.jsonl
      thumbwheel up
      thumbwheel ask "Where is my parcel?" --user alice
      thumbwheel vote up
      thumbwheel retrain support
    """
    ctx.obj = Context(config_file, _flags(settings, {"home": home, "tls.ca_file": tls_ca}), address, admin_address)


def main() -> None:
    """Run the command line; errors meant for the user become one line and an exit code."""
    # gRPC's own lines about handshakes that strangers break would fill a service's log; what matters our errors tell.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        with stopped_by_sigterm():
            group.main(prog_name="thumbwheel", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as stop:
        click.echo("stopped", err=True)
        sys.exit(exit_status(stop))
    except OSError as error:
        if error.errno not in _OUTPUT_LOST or error.filename is not None:
            raise
        click.echo(f"error: standard output can not be written: {error.strerror}", err=True)
        os._exit(1)  # an ordinary exit would try to write the rest once more, and fail with a traceback
    except errors.ThumbwheelError as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {worded(error)}", err=True)
        for note in getattr(error, "__notes__", ()):
            click.echo(note, err=True)
        sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))
