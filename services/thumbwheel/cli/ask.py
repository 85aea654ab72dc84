"""`thumbwheel ask`: one question, one answer, and the way to rate it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, assert_never

import click

from thumbwheel.cli.answers import LastAnswer, forget, remember
from thumbwheel.cli.context import Context, json_option, pass_context
from thumbwheel.cli.output import emit_json, printable
from thumbwheel.errors import UnknownPolicy
from thumbwheel.records import PolicyKind

if TYPE_CHECKING:
    from thumbwheel.client import Client
    from thumbwheel.client.answers import Candidate, Classification, PolicyDescription, Tagging

_LIKELIEST = 5
# Said where a likelier label was passed over: only a draw does that, so it is certain, and only that asks for a word.
_DRAWN = "drawn at random by these probabilities, so that it can learn (classify.mode=argmax: always the likeliest)"


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
                _demand_no_sampling(served, temperature, max_new_tokens)
                answer = client.classify(text, served.policy, user=user)
                unratable = _keep(context, served, answer, user, answer.label)
                _show_label(context, answer, unratable)
            case PolicyKind.GENERATE:
                sampling = {"temperature": temperature, "max_new_tokens": max_new_tokens}
                _stream(context, client, served, text, user, {k: v for k, v in sampling.items() if v is not None})
            case PolicyKind.TAG:
                _demand_no_sampling(served, temperature, max_new_tokens)
                tagging = client.tag(text, served.policy, user=user)
                _show_tags(context, tagging, _keep(context, served, tagging, user, " ".join(tagging.tags)))
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


def _demand_no_sampling(served: PolicyDescription, temperature: float | None, max_new_tokens: int | None) -> None:
    if temperature is not None or max_new_tokens is not None:
        raise click.UsageError(
            f"--temperature and --max-new-tokens are for policies of kind generate; {served.policy} is of kind "
            f"{served.kind}: leave them out"
        )


def _keep(
    context: Context,
    served: PolicyDescription,
    answer: Classification[str] | Candidate[str] | Tagging[str],
    user: str,
    shown: str,
) -> str:
    """Keep the answer for `vote`. Returns why it can't be rated, or "" when it can."""
    home = context.settings.home
    last = LastAnswer(answer.response_id, answer.receipt.token, user, served.policy, answer.version, shown)
    try:
        if answer.receipt.logged:
            remember(home, last)
            return ""
        forget(home)
    except OSError as error:
        # or else the next vote would be on the answer before this one
        with suppress(OSError):
            forget(home)
        if answer.receipt.logged:
            return (
                f"it could not be remembered in {home} ({error.strerror}), so it can't be rated; mend that, ask again"
            )
    return "it could not be logged, so it can't be rated; `thumbwheel doctor` may say why"


def _show_label(context: Context, answer: Classification[str], unratable: str) -> None:
    if context.json:
        said = {"label": answer.label, "probabilities": dict(answer.probabilities)}
        _show_json(said, answer, unratable)
        return
    click.secho(printable(answer.label), bold=True)
    for line in _likely(answer):
        click.echo(line)
    if answer.probabilities.get(answer.label, 1.0) < max(answer.probabilities.values(), default=0.0):
        click.secho(_DRAWN, dim=True, err=True)
    _hint(answer.version, unratable)


def _show_tags(context: Context, answer: Tagging[str], unratable: str) -> None:
    if context.json:
        _show_json({"tokens": [asdict(word) for word in answer.words]}, answer, unratable)
        return
    widest = max(len(word.tag) for word in answer.words)
    for word in answer.words:
        line = f"{word.probability:6.1%}  {word.tag:{widest}}  {printable(word.text)}"
        click.secho(line, bold=word.tag != "O", dim=word.tag == "O")
    _hint(answer.version, unratable)


def _likely(answer: Classification[str]) -> Iterator[str]:
    """Yield a line for each of the likeliest labels, and for the one that was served, which is marked."""
    for place, (label, probability) in enumerate(answer.probabilities.items()):
        served = label == answer.label
        if served or place < _LIKELIEST:
            yield f"{'>' if served else ' '} {probability:6.1%}  {printable(label)}"


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
                click.echo(printable(delta), nl=False)
                sys.stdout.flush()
        answer = stream.generation().first
    unratable = _keep(context, served, answer, user, answer.text)
    if context.json:
        said = {"text": answer.text, "finish_reason": answer.finish_reason, "tokens": answer.completion_tokens}
        _show_json(said, answer, unratable)
        return
    click.echo()
    _hint(answer.version, unratable)


def _show_json(
    said: Mapping[str, object], answer: Classification[str] | Candidate[str] | Tagging[str], unratable: str
) -> None:
    receipt = answer.receipt
    stamp = {"response_id": answer.response_id, "version": answer.version, "logged": receipt.logged}
    # The token is the right to rate this one answer: a script that asks often rates with it, `vote --token`.
    right = {"policy": receipt.policy, "checkpoint_digest": receipt.digest, "feedback_token": receipt.token}
    emit_json({**said, **stamp, **right})
    if unratable:
        click.echo(unratable, err=True)


def _hint(version: str, unratable: str) -> None:
    how = unratable or "rate it: thumbwheel vote up | down | 1..5"
    click.secho(f"version {version}; {how}", dim=not unratable, err=True)
