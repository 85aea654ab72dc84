"""What is past: gone with all votes on it, and not to come back; what is not: untouched."""

from __future__ import annotations

import threading
from collections.abc import Callable

from filled_store import response_id
from recorded_batch import recorded_batch

from thumbwheel.bus.port import FEEDBACK
from thumbwheel.database.slices import DAY_MS
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    DeadLetter,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    VersionRef,
)
from thumbwheel.store.port import FeedbackStore

OLD = [response_id(day * DAY_MS, day) for day in (3, 8, 13)]  # of slices of five days: 0, 5, 10
NEW = [response_id(day * DAY_MS, day) for day in (15, 22)]
DAY_US = DAY_MS * 1_000


def answer(name: str, user: str = "u") -> LoggedResponse:
    served = ClassifyAnswer("text", 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(name, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", user, "", 1, "", served)


def vote(name: str, feedback_id: str = "", rater: str = "u", time_us: int = 1) -> Feedback:
    made = feedback_id or f"f-{name}"
    return Feedback(made, name, rater, "", "p", "v", FeedbackKind.THUMB, time_us, thumb_up=True)


def put(store: FeedbackStore, *records: LoggedResponse | Feedback, letters: tuple[DeadLetter, ...] = ()) -> None:
    offset = store.offset("c", FEEDBACK, 0)
    responses = [record for record in records if isinstance(record, LoggedResponse)]
    feedback = [record for record in records if isinstance(record, Feedback)]
    store.apply(recorded_batch("c", FEEDBACK, 0, offset, offset + 1, responses, feedback, (), letters))


def fill(store: FeedbackStore) -> None:
    for name in (*OLD, *NEW, "not-a-uuid"):
        put(store, answer(name), vote(name))
    put(store, vote(response_id(4 * DAY_MS, 99)), vote(response_id(30 * DAY_MS, 99)))  # whose answers never came


def kept(store: FeedbackStore) -> list[str]:
    return [one.response.response_id for one in store.rated("p", store.watermark())]


def test_what_is_past_goes_with_its_votes_and_the_rest_stays(store: FeedbackStore) -> None:
    store.forget_before(0, 5)
    fill(store)
    letters = tuple(DeadLetter(FEEDBACK, 0, day, "r", b"", day * DAY_US) for day in (14, 16))
    put(store, letters=letters)
    gone = store.forget_before(17 * DAY_US, 5)
    assert gone.horizon_us == 15 * DAY_US
    assert kept(store) == [*NEW, "not-a-uuid"]
    assert [store.response(name) for name in OLD] == [None] * 3
    assert store.vote_counts("p")["v"].responses == store.vote_counts("p")["v"].thumbs_up == 3
    assert len(store.votes_of("u", 10)) == 3
    assert store.count_orphans() == 1
    assert [letter.offset for letter in store.dead_letters(10)] == [16]
    assert store.watermark() == 6
    again = store.forget_before(17 * DAY_US, 5)
    assert (again.slices, again.rows) == (0, 0)


def test_slices_are_dropped_and_not_deleted_where_there_are_any(store: FeedbackStore, url: str) -> None:
    store.forget_before(0, 5)
    fill(store)
    gone = store.forget_before(17 * DAY_US, 5)
    on_file = url.startswith("sqlite")
    assert gone.slices == (0 if on_file else 3)
    assert gone.rows == (10 if on_file else 1)  # an answer, its event, its vote; and the orphan


def test_what_is_past_does_not_come_back(store: FeedbackStore) -> None:
    store.forget_before(17 * DAY_US, 5)
    poison = DeadLetter(FEEDBACK, 0, 1, "poison", b"text", 14 * DAY_US)
    put(store, *(answer(name) for name in (*OLD, *NEW)), *(vote(name) for name in (*OLD, *NEW)), letters=(poison,))
    assert kept(store) == NEW
    assert (store.count_orphans(), store.count_dead_letters(), store.watermark()) == (0, 0, 2)
    assert store.offset("c", FEEDBACK, 0) == 1


def test_the_horizon_never_goes_back(store: FeedbackStore) -> None:
    store.forget_before(17 * DAY_US, 5)
    assert store.forget_before(2 * DAY_US, 5).horizon_us == 15 * DAY_US
    fill(store)
    assert kept(store) == [*NEW, "not-a-uuid"]


def test_slices_of_another_width_fit_between_those_that_are_there(store: FeedbackStore) -> None:
    store.forget_before(0, 5)
    put(store, answer(OLD[1]), answer(NEW[0]))  # days 5 to 10, and 15 to 20
    store.forget_before(0, 12)
    put(store, answer(OLD[0]), answer(OLD[2]), answer(NEW[1]))  # of days 0 to 12, 12 to 24
    gone = store.forget_before(14 * DAY_US, 1)
    assert gone.horizon_us == 14 * DAY_US
    assert [store.response(name) is not None for name in (*OLD, *NEW)] == [False, False, False, True, True]


def test_a_used_id_counts_across_slices(store: FeedbackStore) -> None:
    store.forget_before(0, 5)
    put(store, answer(OLD[0]), answer(NEW[0]))
    put(store, vote(OLD[0], "same"))
    put(store, vote(NEW[0], "same"))
    assert (store.watermark(), [letter.reason[:15] for letter in store.dead_letters(5)]) == (1, ["another content"])


def test_others_write_and_read_while_much_is_forgotten(
    store: FeedbackStore, reopen: Callable[[], FeedbackStore]
) -> None:
    store.forget_before(0, 1)
    names = [response_id(day * DAY_MS, number) for day in range(10) for number in range(300)]
    for start in range(0, len(names), 500):
        put(store, *map(answer, names[start : start + 500]), *map(vote, names[start : start + 500]))
    other, failures = reopen(), list[Exception]()

    def write_and_read() -> None:
        try:
            for number in range(20):
                name = response_id(20 * DAY_MS, number)
                put(other, answer(name), vote(name))
                assert other.vote_counts("p")["v"].thumbs_up >= number
        except Exception as error:
            failures.append(error)
            raise

    beside = threading.Thread(target=write_and_read)
    beside.start()
    store.forget_before(9 * DAY_US, 1)
    beside.join()
    assert failures == []
    assert len(kept(store)) == 300 + 20
