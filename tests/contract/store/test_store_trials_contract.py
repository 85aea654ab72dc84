"""What every feedback store tells those who follow its thumbs, and how it keeps the gates' thresholds."""

from __future__ import annotations

from recorded_batch import recorded_batch
from voted import vote_on

from thumbwheel.records import AuditAction, Feedback, FeedbackKind, Retraction
from thumbwheel.store.port import FeedbackStore

USERS = [f"u{number:032x}" for number in range(6)]


def test_thumbs_come_page_by_page_in_the_order_of_ingest(store: FeedbackStore) -> None:
    vote_on(store, "bank", "v1", USERS, lambda number: number < 2, at_us=1_790_000_000_000_000)
    vote_on(store, "other", "v9", USERS, lambda _: True, at_us=1_790_000_000_000_001)
    first, cursor = store.thumbs_after("bank", 0, 4)
    second, end = store.thumbs_after("bank", cursor, 4)
    assert [(one.rater, one.up, one.version) for one in (*first, *second)] == [
        (user, number < 2, "v1") for number, user in enumerate(USERS)
    ]
    assert store.thumbs_after("bank", end, 4) == ([], end)
    newest = store.thumbs_before("bank", store.watermark(), 2)
    assert [one.rater for one in newest] == [USERS[5], USERS[4]]
    assert store.thumbs_before("bank", first[0].sequence, 10) == first[:1]


def test_what_was_taken_back_or_is_no_thumb_is_passed_over(store: FeedbackStore) -> None:
    vote_on(store, "bank", "v1", USERS[:2], lambda _: True, at_us=1_790_000_000_000_000)
    thumbs, _ = store.thumbs_after("bank", 0, 10)
    name, rater = thumbs[0].response_id, thumbs[0].rater
    taken = Retraction("taken", name, rater, "", FeedbackKind.THUMB, 1_790_000_000_000_009)
    stars = Feedback("s", name, rater, "", "bank", "v1", FeedbackKind.RATING, 1_790_000_000_000_009, rating=4)
    store.apply(recorded_batch("c", "t", 1, 0, 1, (), [taken, stars]))
    left, cursor = store.thumbs_after("bank", 0, 10)
    assert [one.rater for one in left] == [USERS[1]]
    assert cursor == store.watermark()  # they are gone past, though not told of


def test_the_newest_answers_of_a_version_in_a_span(store: FeedbackStore) -> None:
    for minute, version in enumerate(("v1", "v2", "v1")):
        vote_on(store, "bank", version, USERS[:2], lambda _: True, at_us=1_790_000_000_000_000 + minute * 60_000_000)
    start, end = 1_790_000_000_000_000, 1_790_000_000_000_000 + 180_000_000
    assert len(store.newest_answers("bank", "v1", (start, end), 100)) == 4
    assert len(store.newest_answers("bank", "v1", (start, end), 2)) == 2  # of the last two answers
    assert len(store.newest_answers("bank", "v2", (start, end), 2)) == 0
    assert len(store.newest_answers("bank", "v1", (start, start + 60_000_000), 100)) == 2
    assert store.newest_answers("bank", "v1", (end, end + 1_000), 100) == []


def test_thresholds_that_change_are_audited_with_old_and_new(store: FeedbackStore) -> None:
    assert store.enter_limits({"kl_budget": 3.0, "win_rate": 0.5}, "ann") == ""
    assert store.enter_limits({"win_rate": 0.5, "kl_budget": 3.0}, "ann") == ""
    changed = "kl_budget 3 -> 2.5; latency none -> 1.5; win_rate 0.5 -> none"
    assert store.enter_limits({"kl_budget": 2.5, "latency": 1.5}, "bob") == changed
    [entry] = store.audit_trail("", 10)
    assert (entry.action, entry.actor, entry.reason) == (AuditAction.GATES_CHANGED, "bob", changed)
    assert entry.subject.startswith("sha256:")
