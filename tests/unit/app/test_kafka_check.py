"""What `doctor` says of topics that are missing or have other partitions than expected."""

from __future__ import annotations

import pytest

from thumbwheel.app.kafka_check import _all_topics, _topic
from thumbwheel.bus.kafka_topics import TopicState
from thumbwheel.bus.port import FEEDBACK, REQUESTS, USER_KEYS
from thumbwheel.config.settings import Kafka


def topic(name: str, partitions: int, wanted: int) -> TopicState:
    return TopicState(name, partitions, 1 if partitions else 0, 1 if partitions else 0, wanted)


def test_topics_are_counted_and_those_that_are_not_as_expected_named() -> None:
    well = [topic(REQUESTS, 12, 12), topic(USER_KEYS, 1, 1)]
    assert _all_topics(well).found == "2 of 2 are there, each with the partitions that are expected"
    finding = _all_topics([*well, topic(FEEDBACK, 0, 12), topic("x.other", 5, 12)])
    assert not finding.ok
    assert finding.found == (
        "3 of 4 are there; 1 missing: thumbwheel.feedback (partitions expected: 12); "
        "1 with other partitions than expected: x.other (5 instead of 12)"
    )
    assert "topics create" in finding.cure
    assert "see each" in _all_topics([topic(REQUESTS, 5, 12)]).cure


@pytest.mark.parametrize(
    ("state", "found", "cure"),
    [
        (topic(REQUESTS, 0, 12), "is missing: 12 partitions are expected, 1 copies of each", "topics create"),
        (topic(REQUESTS, 3, 12), "has 3 partitions instead of 12", "set kafka.partitions to 3 where all"),
        (topic(REQUESTS, 3, 12), "has 3 partitions instead of 12", "bring this one to 12 (kafka-topics.sh --alter"),
        (topic(REQUESTS, 13, 12), "has 13 partitions instead of 12", "set kafka.partitions to 13:"),
        (topic(USER_KEYS, 3, 1), "has 3 partitions instead of 1: keys", "choose another kafka.topic_prefix"),
    ],
)
def test_each_topic_says_what_was_expected_and_found_and_how_to_mend_it(
    state: TopicState, found: str, cure: str
) -> None:
    finding = _topic(state, Kafka(replication=1), {}, False)
    assert not finding.ok
    assert found in finding.found and cure in finding.cure
