"""`thumbwheel ask`: one question, one answer, and the way to rate it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, assert_never

import click

from thumbwheel.cli.answers import LastAnswer, remember
from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit_json
from thumbwheel.errors import InvalidInput, UnknownPolicy
from thumbwheel.records import PolicyKind

if TYPE_CHECKING:
    from thumbwheel.client import Client
    from thumbwheel.client.answers import Candidate, Classification, PolicyDescription


@click.command(name="ask")
@click.argument("text")
@click.option("--policy", default="", help="Which policy; may be left out when only one is served.")
@click.option("--user", default="", help="Who asks. The service keeps a pseudonym only.")
@click.option("--temperature", type=float, default=None, help="Sampling temperature of a `generate` policy.")
@click.option("--max-new-tokens", type=int, default=None, help="Longest answer of a `generate` policy, tokens.")
@json_option
@pass_context
def command(
    context: Context, text: str, policy: str, user: str, temperature: float | None, max_new_tokens: int | None
) -> None:
    """Ask a policy and see the answer.

    \b
    thumbwheel ask "Where is my parcel?"
    thumbwheel ask "Where is my parcel?" --policy helpdesk-reply --user alice
    thumbwheel vote up
    """
    with context.client() as client:
        served = _find(client.describe(), policy)
        match served.kind:
            case PolicyKind.CLASSIFY:
                answer = client.classify(text, served.policy, user=user)
                _keep(context, served, answer, user, answer.label)
                _show_label(context, answer)
            case PolicyKind.GENERATE:
                sampling = {"temperature": temperature, "max_new_tokens": max_new_tokens}
                _stream(context, client, served, text, user, {k: v for k, v in sampling.items() if v is not None})
            case PolicyKind.TAG:
                raise InvalidInput("policy", f"{served.policy} is of kind tag, which can not be asked yet")
            case _:
                assert_never(served.kind)


def _find(policies: tuple[PolicyDescription, ...], name: str) -> PolicyDescription:
    names = ", ".join(one.policy for one in policies)
    if not policies:
        raise UnknownPolicy("policy: none is served; make one with `thumbwheel policy init`")
    if not name and len(policies) > 1:
        raise click.UsageError(f"several policies are served, choose one with --policy: {names}")
    for one in policies:
        if name in ("", one.policy):
            return one
    raise UnknownPolicy(f"policy: no {name!r} is served; there is {names}")


def _keep(
    context: Context,
    served: PolicyDescription,
    answer: Classification[str] | Candidate[str],
    user: str,
    shown: str,
) -> None:
    last = LastAnswer(answer.response_id, answer.receipt.token, user, served.policy, answer.version, shown)
    remember(context.settings.home, last)


def _show_label(context: Context, answer: Classification[str]) -> None:
    if context.json:
        said = {"label": answer.label, "probabilities": dict(answer.probabilities)}
        emit_json({**said, "response_id": answer.response_id, "version": answer.version})
        return
    click.secho(answer.label, bold=True)
    for label, probability in list(answer.probabilities.items())[:5]:
        click.echo(f"  {probability:6.1%}  {label}")
    _hint(answer.version)


def _stream(
    context: Context,
    client: Client,
    served: PolicyDescription,
    text: str,
    user: str,
    sampling: dict[str, float | int],
) -> None:
    with client.stream(text, served.policy, user=user, **sampling) as stream:  # type: ignore[arg-type]
        for delta in stream:
            if not context.json:
                click.echo(delta, nl=False)
                sys.stdout.flush()
        answer = stream.generation.first
    _keep(context, served, answer, user, answer.text)
    if context.json:
        said = {"text": answer.text, "finish_reason": answer.finish_reason, "tokens": answer.completion_tokens}
        emit_json({**said, "response_id": answer.response_id, "version": answer.version})
        return
    click.echo()
    _hint(answer.version)


def _hint(version: str) -> None:
    click.secho(f"version {version}; rate it: thumbwheel vote up | down | 1..5", dim=True, err=True)
