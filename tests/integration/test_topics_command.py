"""`thumbwheel topics` against a real broker."""

from __future__ import annotations

import json
import sys
import uuid

import pytest
from kafka_server import KafkaBroker

from thumbwheel.cli.main import main


def test_topics_are_made_and_shown(
    kafka_broker: KafkaBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"{uuid.uuid4()}."
    values = {"bootstrap_servers": kafka_broker.bootstrap, "topic_prefix": prefix, "replication": 1, "partitions": 3}

    def run(*arguments: str) -> tuple[int, str]:
        flags = [word for name, value in values.items() for word in ("--set", f"kafka.{name}={value}")]
        monkeypatch.setattr(sys, "argv", ["thumbwheel", *flags, "topics", *arguments])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, capsys.readouterr().out

    names = [f"{prefix}thumbwheel.requests", f"{prefix}thumbwheel.feedback", f"{prefix}thumbwheel.deadletters"]
    names.append(f"{prefix}thumbwheel.userkeys")
    status, output = run("describe", "--json")
    assert (status, [one["partitions"] for one in json.loads(output)]) == (1, [0, 0, 0, 0])
    status, output = run("create", "--json")
    assert (status, json.loads(output)) == (0, [{"made": name} for name in names])
    assert run("create") == (0, "all topics were there\n")
    status, output = run("describe", "--json")
    copies = {"replication": 1, "in_step": 1, "min_in_step": 1}
    assert (status, json.loads(output)) == (
        0,
        [
            {
                "topic": name,
                "partitions": 1 if "userkeys" in name else 3,
                **copies,
                "retention_hours": 168 if "userkeys" in name else 24 * 365,
                "cleanup": "compact" if "userkeys" in name else "delete",
            }
            for name in names
        ],
    )
