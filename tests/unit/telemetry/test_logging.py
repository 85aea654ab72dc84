"""Logs: one way for all of them, with correlation ids, without secrets and users' texts."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from thumbwheel.config.settings import Telemetry
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import HEAD, migrate
from thumbwheel.telemetry.logging import configure_logging, get_logger
from thumbwheel.telemetry.redaction import is_secret


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def configured(
    log_format: Literal["console", "json"] = "json",
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    log_user_text: bool = False,
) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(Telemetry(log_level=log_level, log_format=log_format, log_user_text=log_user_text), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_what() -> None:
    stream = configured()
    get_logger("thumbwheel.swap").info("version swapped", policy="desk", seconds=0.5)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "version swapped",
        "level": "info",
        "logger": "thumbwheel.swap",
        "policy": "desk",
        "seconds": 0.5,
    }


def test_a_library_that_tells_of_its_own_making_is_not_heard() -> None:
    stream = configured()
    logging.getLogger("alembic.runtime.plugins").info("setup plugin alembic.autogenerate.tables")
    logging.getLogger("alembic.runtime.migration").info("Context impl SQLiteImpl.")
    logging.getLogger("alembic.runtime.migration").warning("a migration went wrong")
    assert [line["event"] for line in lines(stream)] == ["a migration went wrong"]


def test_a_change_of_the_schema_is_told_once(tmp_path: Path) -> None:
    stream = configured()
    engine = connect(f"sqlite:///{tmp_path}/store.sqlite")
    for _ in range(2):
        migrate(engine)
    engine.dispose()
    assert [line["event"] for line in lines(stream)] == [f"the database's schema is {HEAD} now, it was none"]


def test_the_standard_library_goes_the_same_way() -> None:
    stream = configured()
    with bound_contextvars(correlation_id="c1"):
        logging.getLogger("uvicorn.error").warning("port %d is %s", 80, "taken")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("port 80 is taken", "warning", "uvicorn.error")
    assert line["correlation_id"] == "c1"


def test_lines_below_the_level_are_not_written() -> None:
    stream = configured(log_level="warning")
    get_logger("a").info("no")
    logging.getLogger("b").info("no")
    get_logger("a").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_configuring_again_replaces_what_was() -> None:
    first, second = configured(), configured()
    get_logger("a").info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


async def test_each_task_has_its_own_correlation_id() -> None:
    stream = configured()

    async def handle(own: str) -> None:
        with bound_contextvars(correlation_id=own):
            await asyncio.sleep(0)
            get_logger("a").info("handled", own=own)

    await asyncio.gather(*(handle(f"c{index}") for index in range(5)))
    assert [line["correlation_id"] for line in lines(stream)] == [line["own"] for line in lines(stream)]
    assert len(lines(stream)) == 5


def test_secrets_and_user_ids_are_hidden_at_any_depth() -> None:
    stream = configured(log_user_text=True)
    get_logger("a").info(
        "got", feedback_token="t0p", headers={"Authorization": "t0p"}, keys=[{"secret": "t0p"}], user_id="t0p"
    )
    assert "t0p" not in stream.getvalue()
    (line,) = lines(stream)
    assert (line["feedback_token"], line["keys"]) == ("(hidden)", [{"secret": "(hidden)"}])


def test_users_texts_are_measured_unless_asked_for() -> None:
    stream = configured()
    get_logger("a").info("asked", text="my card", request={"messages": ["a", "b"], "n": 2})
    (line,) = lines(stream)
    assert line["text"] == "(7 characters)"
    assert line["request"] == {"messages": "(2 items)", "n": 2}
    stream = configured(log_user_text=True)
    get_logger("a").info("asked", text="my card")
    assert lines(stream)[0]["text"] == "my card"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("feedback_token", True),
        ("x_api_key", True),
        ("tokens", False),
        ("completion_tokens", False),
        ("prompt_token_ids", False),
        ("policy", False),
    ],
)
def test_secrets_are_told_by_their_names(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_local_variables(log_format: Literal["console", "json"]) -> None:
    stream = configured(log_format)
    confidential = "my card " + "number"
    try:
        int("x" * len(confidential))
    except ValueError:
        get_logger("a").exception("failed")
    assert "ValueError" in stream.getvalue()
    assert "my card number" not in stream.getvalue()


def test_the_console_form_is_one_readable_line() -> None:
    stream = configured("console")
    get_logger("a").info("version swapped", policy="desk")
    (line,) = stream.getvalue().splitlines()
    assert "version swapped" in line and "policy=desk" in line
    assert "\x1b" not in line
