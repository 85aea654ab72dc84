"""`thumbwheel policy`: first versions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from thumbwheel.cli.context import SEED, Context, IntRange, json_option, pass_context
from thumbwheel.cli.output import counted, emit
from thumbwheel.cli.versions import actor
from thumbwheel.records import PolicyKind

if TYPE_CHECKING:
    from thumbwheel.app.first_policy import FirstVersion, Source
    from thumbwheel.pretrain.step_done import StepDone

_OF_ONE_KIND = {"labels_per_class": "classify", "tagged_texts": "tag", "worth_keeping": "generate"}


@click.group(name="policy")
def command() -> None:
    """Make a first policy, or take an existing model.

    \b
    thumbwheel policy init support --kind classify --data tickets.jsonl
    """


@command.command(short_help="Make the first version of a policy, and its champion.")
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(["classify", "generate", "tag"]), help="What it does.")
@click.option("--data", type=click.Path(path_type=Path), help="Your texts, to train a small model from scratch.")
@click.option("--from", "model", default="", help="An existing model: a folder, or a hub id (needs the network).")
@click.option("--base", default="", help="Where --from is a LoRA adapter: the model it was trained on.")
@click.option(
    "--labels-per-class",
    type=IntRange(1, 1_000_000),
    default=5,
    show_default=True,
    help="classify: labelled texts the first version may see.",
)
@click.option(
    "--tagged-texts",
    type=IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="tag: tagged texts the first version may see.",
)
@click.option(
    "--worth-keeping", type=click.Path(path_type=Path), help="generate: good chats that learning must not unlearn."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same data and seed, same policy.")
@json_option
@pass_context
def init(
    context: Context,
    name: str,
    kind: str,
    data: Path | None,
    model: str,
    base: str,
    labels_per_class: int,
    tagged_texts: int,
    worth_keeping: Path | None,
    seed: int,
) -> None:
    """Make the first version of a policy, and its champion. A running service serves it within a second.

    \b
    From your own labelled texts, {"text": "...", "label": "..."} a line:
      thumbwheel policy init support --kind classify --data tickets.jsonl
    From your own tagged words, one text a line:
    {"tokens": ["to", "Rome"], "tags": ["O", "B-city"]}
      thumbwheel policy init places --kind tag --data words.jsonl
    From plain text, or from chats, one a line:
    {"messages": [{"role": "user", "content": "..."}, ...]}
      thumbwheel policy init reply --kind generate --data chats.jsonl
    From an existing model:
      thumbwheel policy init reply --kind generate --from ./my-model
    From a LoRA adapter, which is merged into its model:
      thumbwheel policy init reply --kind generate --from ./lora --base ./model
    """
    from thumbwheel.app.first_policy import Source

    _demand_own_options(kind)
    source = Source(PolicyKind(kind), data, model, labels_per_class, worth_keeping, seed, base, tagged_texts)
    _show(context, _init(context, name, source), source)


def _demand_own_options(kind: str) -> None:
    """Refuse an option that the kind does not read, rather than leave its user to think that it did something."""
    context = click.get_current_context()
    for name, owner in _OF_ONE_KIND.items():
        if owner != kind and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --kind {owner}; leave it out")


def _show(context: Context, first: FirstVersion, source: Source) -> None:
    manifest, counts = first.manifest, {}
    if context.json and first.labelled_texts:
        counts = {"labelled_texts": first.labelled_texts, "learned_from": first.learned_from}
    row = {"policy": manifest.policy, "version": manifest.version, "kind": manifest.kind, "base": manifest.base}
    emit(context, [{**row, "digest": manifest.digest, **counts}])
    if context.json:
        return
    if first.learned_from < first.labelled_texts:
        click.echo(f"learned from {first.learned_from:,} of {_of_how_many(first.labelled_texts, source)}")
    for line in _next_steps(context, manifest.policy):
        click.echo(line)


def _of_how_many(texts: int, source: Source) -> str:
    if source.kind is PolicyKind.TAG:
        return f"{counted(texts, 'tagged text')}; more with --tagged-texts N"
    limit = f"up to {source.labels_per_class:,} a class"
    return f"{counted(texts, 'labelled text')} ({limit}); more with --labels-per-class N"


def _next_steps(context: Context, policy: str) -> Iterator[str]:
    from thumbwheel.app.home import announced

    named = [f" --config {shlex.quote(str(context.config_file))}"] if context.config_file else []
    named += [f" --home {shlex.quote(context.flags['home'])}"] if "home" in context.flags else []
    program = "".join(["thumbwheel", *named])
    if announced(context.settings.home) is None:
        yield f"serve it: {program} up"
    yield f'ask it:   {program} ask "a text of yours" --policy {policy} --user alice'


def _init(context: Context, name: str, source: Source) -> FirstVersion:
    from thumbwheel.app.first_policy import demand_place, demand_source, init_policy
    from thumbwheel.app.storage import open_registry

    with closing(open_registry(context.settings)) as registry:
        demand_source(registry, name, source)
        demand_place(context.settings)
        what = f"training {name}" if source.data else f"taking {name}"
        with _told_as_json() if context.json else _shown_as_bar(what) as step_done:
            _prepare_transformers()
            return init_policy(registry, name, source, actor(), step_done)


def _prepare_transformers() -> None:
    """Import the libraries that train, which takes seconds, with one core left to whoever else computes."""
    from thumbwheel.inference.torch_runtime import prepare_torch

    # Threads that spin while they wait for each other made a training ten times as long on a machine with other work.
    prepare_torch(0)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # what concerns the user is said as one error


@contextmanager
def _told_as_json() -> Iterator[StepDone]:
    """One object a step on standard error, for whoever started us."""
    yield lambda step, steps, loss: click.echo(json.dumps({"step": step, "steps": steps, "loss": loss}), err=True)


@contextmanager
def _shown_as_bar(what: str) -> Iterator[StepDone]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from thumbwheel.cli.show import at_times, draws_bars

    console = Console(stderr=True)
    if not draws_bars(console):
        click.echo(what, err=True)
        say = at_times(lambda sentence: click.echo(sentence, err=True))
        yield lambda step, steps, loss: say(f"{what}: {step / steps:.0%}, loss {loss:.3f}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("loss {task.fields[loss]}"))
    with Bars(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        task = bars.add_task(what, total=None, loss="-")
        yield lambda step, steps, loss: bars.update(task, completed=step, total=steps, loss=f"{loss:.3f}")
