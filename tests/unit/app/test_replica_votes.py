"""A replica's votes: acknowledged once their own answers are in no outbox of the machine any more."""

from __future__ import annotations

from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from answered import answer_and_vote

from thumbwheel.app import replica, storage
from thumbwheel.app.outboxes import held_folder, outbox_of, replicas_dir, ship_abandoned
from thumbwheel.app.storage import open_outbox
from thumbwheel.bus.codec import to_log
from thumbwheel.bus.port import FEEDBACK, TOPICS, USER_KEYS, EventLog
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.errors import LogUnavailable
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.telemetry.metrics import Metrics


def settings_of(home: Path, durability: str) -> Settings:
    given = {"kind": "kafka", "feedback_durability": durability}
    kafka = {"bootstrap_servers": "127.0.0.1:1", "request_timeout_s": 1, "ack_timeout_s": 2}
    made = Settings.model_validate({"home": home, "log": given, "kafka": kafka})
    load_or_make_keys(made.keys_path, 1)
    return made


@pytest.mark.parametrize("durability", ["broker", "outbox"])
async def test_an_answer_that_a_hanging_replica_holds_keeps_its_own_vote_from_being_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    def kafka(_: Settings) -> EventLog:
        return open_log(tmp_path / "kafka.sqlite", topics=(*TOPICS, USER_KEYS))

    monkeypatch.setattr(storage, "open_kafka", kafka)
    settings = settings_of(tmp_path / "home", durability)
    folder = replicas_dir(settings)
    answer, vote = (to_log(record) for record in answer_and_vote(1))
    _, other_vote = (to_log(record) for record in answer_and_vote(2))
    async with AsyncExitStack() as stack:
        log = stack.enter_context(closing(kafka(settings)))
        with held_folder(folder) as hanging:  # its lock is held, and nothing ships its outbox
            with closing(open_outbox(settings, outbox_of(hanging))) as outbox:
                outbox.append([answer])
            votes = replica._storage(stack, settings, Metrics()).votes
            if durability == "outbox":
                await votes.append([vote])
                return
            with pytest.raises(LogUnavailable, match="still on its way to Kafka from the process that gave it"):
                await votes.append([vote])
            await votes.append([other_vote])
        ship_abandoned(settings, folder, log, lambda: False)
        await votes.append([vote])
        assert [one.key for one in log.read(FEEDBACK, 0, 0, 10)] == ["r1", "r2", "r1"]
