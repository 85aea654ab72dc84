"""The configuration as a page for people: `docs/configuration.md` is made by it."""

from __future__ import annotations

from thumbwheel.config.load import DEFAULT, Loaded, describe, walk
from thumbwheel.config.settings import Settings

_HEAD = """# Configuration

One frozen object a process, made from these sources, the later winning:

1. the defaults below;
2. a TOML file: `--config FILE`, or `THUMBWHEEL_CONFIG`, or `thumbwheel.toml` in the working folder or in the home;
3. the environment: `THUMBWHEEL_` and the name in capitals, with two underscores for each dot, for example
   `THUMBWHEEL_CLASSIFY__PROBABILITY_FLOOR=0.05`;
4. `--set NAME=VALUE` before the command.

A name that no setting has is an error, wherever it stands, and so is a value out of range.
`thumbwheel config show` prints every value with its origin; secrets are hidden.

This page is made by `thumbwheel config markdown`.
"""


def markdown() -> str:
    """Return the page."""
    origins = {name: DEFAULT for name, _ in walk(Settings)}
    lines = [_HEAD.rstrip()]
    section = None
    for row in describe(Loaded(Settings(), origins)):
        head, dot, name = row.field.rpartition(".")
        if head != section:
            section = head
            lines += [
                "",
                f"## {head or 'At the top'}",
                "",
                "| name | default | unit | range | meaning |",
                "|---|---|---|---|---|",
            ]
        value = "`~/.thumbwheel`" if row.field == "home" else f"`{row.value}`" if row.value else ""
        lines.append(f"| `{row.field}` | {value} | {row.unit} | {row.range} | {row.description} |")
    return "\n".join(lines) + "\n"
