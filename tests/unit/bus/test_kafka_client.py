"""What is kept while it works, and ended once it failed and nobody uses it any more."""

from __future__ import annotations

from itertools import count

import pytest
from kafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from thumbwheel.bus import kafka_client
from thumbwheel.bus.kafka_client import Kept, make_client, translated
from thumbwheel.errors import LogUnavailable


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_client, "RETRY_S", 0.0)


@pytest.fixture
def ended() -> list[int]:
    return []


@pytest.fixture
def kept(ended: list[int]) -> Kept[int]:
    numbers = count()
    return Kept(lambda: next(numbers), ended.append)


def fail(kept: Kept[int]) -> None:
    with pytest.raises(LogUnavailable), kept.using():
        raise LogUnavailable("away", 0.0)


def test_what_works_is_lent_again(kept: Kept[int], ended: list[int]) -> None:
    with kept.using() as first:
        pass
    with kept.using() as second:
        pass
    assert first == second
    assert ended == []


def test_what_failed_is_ended_and_another_made(kept: Kept[int], ended: list[int]) -> None:
    fail(kept)
    assert ended == [0]
    with kept.using() as another:
        assert another == 1


def test_what_failed_for_one_is_ended_when_the_others_have_left_it(kept: Kept[int], ended: list[int]) -> None:
    with kept.using() as mine:
        fail(kept)
        assert ended == []
        with kept.using() as another:
            assert another != mine
    assert ended == [mine]


def test_it_is_ended_once_however_many_it_fails(kept: Kept[int], ended: list[int]) -> None:
    with pytest.raises(LogUnavailable), kept.using(), kept.using(), kept.using():
        raise LogUnavailable("away", 0.0)
    fail_of_all = ended.copy()
    with kept.using():
        pass
    assert fail_of_all == ended == [0]


def test_another_defect_ends_nothing(kept: Kept[int], ended: list[int]) -> None:
    with pytest.raises(ValueError, match="mine"), kept.using():
        raise ValueError("mine")
    assert ended == []


def test_closed_it_ends_what_nobody_uses_now_and_the_rest_when_it_is_left(kept: Kept[int], ended: list[int]) -> None:
    with kept.using():
        kept.close()
        assert ended == []
    assert ended == [0]
    with kept.using():
        pass
    kept.close()
    assert ended == [0, 1]


def test_after_a_failure_none_is_made_for_a_while(
    kept: Kept[int], ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_client, "RETRY_S", 60.0)
    fail(kept)
    with pytest.raises(LogUnavailable, match=r"^away \(a moment ago\)$"), kept.using():
        pass
    assert ended == [0]


def test_an_error_says_where_kafka_was_looked_for() -> None:
    both = r"^Kafka is unavailable at k1:9092,k2:9092: KafkaTimeoutError; see that"
    with pytest.raises(LogUnavailable, match=both), translated("k1:9092,k2:9092"):
        raise KafkaTimeoutError
    missing = r"at k1:9092: a topic is missing; `thumbwheel topics create`"
    with pytest.raises(LogUnavailable, match=missing), translated("k1:9092"):
        raise UnknownTopicOrPartitionError

    def refused(**_: object) -> None:
        raise KafkaTimeoutError

    with pytest.raises(LogUnavailable, match="^Kafka is unavailable at a:1,b:2: "):
        make_client(refused, {"bootstrap_servers": ["a:1", "b:2"]})
