"""In which order every feedback store gives what it has: by code points, whatever the database's language."""

from __future__ import annotations

from recorded_batch import recorded_batch

from thumbwheel.bus.port import FEEDBACK
from thumbwheel.records import Channel, ClassifyAnswer, Feedback, FeedbackKind, LoggedResponse, VersionRef
from thumbwheel.store.port import FeedbackStore

IDS = ["B", "Z", "_", "a", "a-b", "aB", "ab", "b", "\u00e4", "\u4f60"]


def answer(response_id: str) -> LoggedResponse:
    served = ClassifyAnswer("text", 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(response_id, "q", VersionRef("p", "v", "d"), Channel.CHAMPION, "", "u", "", 1, "", served)


def vote(response_id: str, feedback_id: str, up: bool = True) -> Feedback:
    return Feedback(feedback_id, response_id, "u", "", "p", "v", FeedbackKind.THUMB, 1, thumb_up=up)


def test_ids_are_ordered_by_code_points(store: FeedbackStore) -> None:
    answers = [answer(response_id) for response_id in reversed(IDS)]
    votes = [vote(response_id, f"f-{response_id}") for response_id in IDS]
    store.apply(recorded_batch("c", FEEDBACK, 0, 0, 1, answers, votes))
    assert [rated.response.response_id for rated in store.rated("p", store.watermark())] == IDS
    assert store.answers_concerning("u") == IDS
    assert [rated.response.response_id for rated in store.votes_of("u", 3)] == IDS[:-4:-1]


def test_of_votes_of_one_time_that_with_the_last_id_by_code_points_counts(store: FeedbackStore) -> None:
    store.apply(recorded_batch("c", FEEDBACK, 0, 0, 1, [answer("r")], [vote("r", "a", up=True)]))
    store.apply(recorded_batch("c", FEEDBACK, 0, 1, 2, feedback=[vote("r", "B", up=False)]))
    current = store.current_vote("r", "u", FeedbackKind.THUMB)
    assert current is not None and current.feedback_id == "a"
