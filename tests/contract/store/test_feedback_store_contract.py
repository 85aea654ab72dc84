"""What every feedback store does with batches, votes, orphans, dead letters and watermarks."""

from __future__ import annotations

import string
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest
from recorded_batch import recorded_batch

from thumbwheel.bus.port import FEEDBACK
from thumbwheel.errors import AlreadyExists, Fenced
from thumbwheel.events.checks import MAX_ID_BYTES
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    DeadLetter,
    Edit,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    RatedResponse,
    Retraction,
    VersionRef,
    VoteCounts,
)
from thumbwheel.store.port import Batch, FeedbackStore

OpenStore = Callable[[], FeedbackStore]
LABELS = ("card", "cash")


def response(response_id: str = "r1", policy: str = "bank", version: str = "v1", user: str = "u1") -> LoggedResponse:
    return LoggedResponse(
        response_id=response_id,
        request_id="q-" + response_id,
        ref=VersionRef(policy, version, "sha256:00"),
        channel=Channel.CHAMPION,
        tenant="t",
        user_hash=user,
        client_request_id="c",
        time_us=1_000,
        not_learnable="",
        answer=ClassifyAnswer("where is my card", 0, "card", (0.75, 0.25), 0.5, LABELS),
    )


def vote(feedback_id: str, time_us: int = 10, response_id: str = "r1", rater: str = "u1", up: bool = True) -> Feedback:
    return Feedback(
        feedback_id=feedback_id,
        response_id=response_id,
        rater=rater,
        tenant="t",
        policy="bank",
        policy_version="v1",
        kind=FeedbackKind.THUMB,
        time_us=time_us,
        thumb_up=up,
    )


def rating(feedback_id: str, stars: int, response_id: str = "r1", rater: str = "u1") -> Feedback:
    thumb = vote(feedback_id, response_id=response_id, rater=rater)
    return replace(thumb, kind=FeedbackKind.RATING, thumb_up=None, rating=stars)


def retraction(feedback_id: str, time_us: int, response_id: str = "r1", rater: str = "u1") -> Retraction:
    return Retraction(feedback_id, response_id, rater, "t", FeedbackKind.THUMB, time_us)


def put(
    store: FeedbackStore,
    *records: LoggedResponse | Feedback | Retraction,
    dead: Sequence[DeadLetter] = (),
    consumer: str = "c",
) -> None:
    """Apply records as one batch, behind what the consumer applied before."""
    feedback = [record for record in records if not isinstance(record, LoggedResponse)]
    responses = [record for record in records if isinstance(record, LoggedResponse)]
    offset = store.offset(consumer, FEEDBACK, 0)
    offsets = [offset + place for place in range(len(feedback))]
    store.apply(
        recorded_batch(consumer, FEEDBACK, 0, offset, offset + max(len(records), 1), responses, feedback, offsets, dead)
    )


def thumb(store: FeedbackStore, response_id: str = "r1", rater: str = "u1") -> bool | None:
    found = store.current_vote(response_id, rater, FeedbackKind.THUMB)
    return found.thumb_up if found else None


def reasons(store: FeedbackStore) -> list[str]:
    return [letter.reason for letter in store.dead_letters(100)]


# --- offsets ------------------------------------------------------------------------------------------------


def test_offsets_move_by_compare_and_set(store: FeedbackStore) -> None:
    assert store.offset("c", FEEDBACK, 0) == 0
    store.apply(recorded_batch("c", FEEDBACK, 0, 0, 5))
    store.apply(recorded_batch("c", FEEDBACK, 0, 5, 6))
    assert store.offset("c", FEEDBACK, 0) == 6
    assert store.offset("c", FEEDBACK, 1) == store.offset("d", FEEDBACK, 0) == 0


def test_in_a_topic_that_was_made_anew_a_consumer_stands_at_zero(store: FeedbackStore) -> None:
    def advance(expected: int, following: int, log_id: str) -> None:
        store.apply(Batch("c", FEEDBACK, 0, expected, following, log_id=log_id))

    def offsets() -> list[int]:
        return [store.offset("c", FEEDBACK, 0, log_id) for log_id in ("one", "other", "")]

    advance(0, 4, "")  # of which topic an earlier release did not know
    assert offsets() == [4, 4, 4]
    advance(4, 5, "one")
    assert offsets() == [5, 0, 5]
    for expected in (4, 5):
        with pytest.raises(Fenced):
            advance(expected, 9, "other")
    advance(0, 3, "other")
    assert offsets() == [0, 3, 3]
    with pytest.raises(Fenced):
        advance(5, 6, "one")
    advance(3, 4, "")
    assert offsets() == [0, 4, 4]


@pytest.mark.parametrize("expected", [0, 4, 6])
def test_a_fenced_batch_writes_nothing(store: FeedbackStore, expected: int) -> None:
    store.apply(recorded_batch("c", FEEDBACK, 0, 0, 5))
    letter = DeadLetter(FEEDBACK, 0, 5, "poison", b"", 1)
    with pytest.raises(Fenced, match="another worker"):
        store.apply(recorded_batch("c", FEEDBACK, 0, expected, 9, [response()], [vote("f1")], [7], [letter]))
    assert store.offset("c", FEEDBACK, 0) == 5
    assert store.response("r1") is None
    assert (store.count_orphans(), store.count_dead_letters(), store.watermark()) == (0, 0, 0)


def test_a_consumer_that_never_committed_is_fenced_off_a_later_offset(store: FeedbackStore) -> None:
    with pytest.raises(Fenced):
        store.apply(recorded_batch("c", FEEDBACK, 0, 3, 4))


def test_ids_of_the_longest_kind_are_stored(store: FeedbackStore) -> None:
    def longest(seed: int) -> str:  # of what no index makes shorter
        return "".join(Random(seed).choices(string.printable.strip(), k=MAX_ID_BYTES))

    answer, rater, waiting = response(longest(1), longest(2), longest(3), longest(4)), longest(5), longest(6)
    given = vote(longest(7), 1, answer.response_id, rater)
    put(store, answer, replace(given, policy=answer.ref.policy, policy_version=answer.ref.version))
    put(store, vote(longest(8), 1, waiting, rater))
    assert store.response(answer.response_id) == answer
    assert (thumb(store, answer.response_id, rater), store.count_orphans()) == (True, 1)


def test_a_batch_of_many_rows_is_stored_whole(store: FeedbackStore) -> None:
    many = 1_237
    answers = [response(f"r{number:04}", user=f"u{number}") for number in range(many)]
    votes = [vote(f"f{number}", number, f"r{number:04}", up=number % 3 > 0) for number in range(many)]
    early = [vote(f"e{number}", 1, f"later{number}") for number in range(many)]
    put(store, *answers, *votes, *early)
    assert (store.watermark(), store.count_orphans(), store.count_dead_letters()) == (many, many, 0)
    assert store.vote_counts("bank")["v1"] == VoteCounts(responses=many, thumbs_up=824, thumbs_down=413)
    assert list(store.rated("bank", many)) == [
        RatedResponse(answer, (replace(given, sequence=place),))
        for place, (answer, given) in enumerate(zip(answers, votes, strict=True), 1)
    ]
    changed = [
        replace(one, feedback_id=f"c{one.feedback_id}", time_us=one.time_us + 1, thumb_up=not one.thumb_up)
        for one in votes
    ]
    put(store, *answers, *votes, *changed, *(response(f"later{number}") for number in range(many)))
    assert (store.watermark(), store.count_orphans(), store.count_dead_letters()) == (3 * many, 0, 0)
    counts = store.vote_counts("bank")["v1"]
    assert counts == VoteCounts(responses=2 * many, thumbs_up=413 + many, thumbs_down=824)


def test_of_consumers_racing_for_one_offset_one_wins(store: FeedbackStore) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def race(name: str) -> None:
        barrier.wait()
        try:
            store.apply(recorded_batch("c", FEEDBACK, 0, 0, 1, [response(name)]))
            outcomes.append("won")
        except Fenced:
            outcomes.append("fenced")

    threads = [threading.Thread(target=race, args=(f"r{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["fenced", "fenced", "fenced", "won"]
    assert sum(store.response(f"r{number}") is not None for number in range(4)) == 1


# --- answers ------------------------------------------------------------------------------------------------


def test_answers_come_back_whole(store: FeedbackStore) -> None:
    text = GenerateAnswer(
        messages=(Message("user", "caf\u00e9 \u4f60\u597d\0"), Message("", "")),
        text="fine",
        prompt_token_ids=(1, 2, 3),
        token_ids=(4, 5),
        logprobs=(-0.5, -2.25),
        temperature=0.5,
        top_p=1.0,
        top_k=0,
        max_new_tokens=8,
        finish_reason="stop",
        candidate=1,
        candidates=2,
    )
    generated = replace(response("r2"), answer=text, not_learnable="top_p", channel=Channel.CANARY)
    put(store, response("r1"), generated)
    assert store.response("r1") == response("r1")
    assert store.response("r2") == generated
    assert store.response("r3") is None


def test_an_answer_that_is_there_stays_as_it_is(store: FeedbackStore) -> None:
    put(store, response(version="v1"), response(version="v2"))
    put(store, response(version="v3"))
    found = store.response("r1")
    assert found is not None
    assert found.ref.version == "v1"


# --- current votes ------------------------------------------------------------------------------------------


def test_the_last_vote_by_time_wins_whatever_came_last(store: FeedbackStore) -> None:
    put(store, response(), vote("f1", 20, up=False), vote("f2", 10, up=True))
    assert thumb(store) is False
    put(store, vote("f3", 30, up=True))
    assert thumb(store) is True
    put(store, vote("f4", 25, up=False))
    assert thumb(store) is True


def test_votes_of_one_time_are_ordered_by_id(store: FeedbackStore) -> None:
    put(store, response(), vote("f2", 10, up=True))
    put(store, vote("f1", 10, up=False))
    assert thumb(store) is True
    put(store, vote("f3", 10, up=False))
    assert thumb(store) is False


def test_raters_kinds_and_answers_are_apart(store: FeedbackStore) -> None:
    put(store, response("r1"), response("r2"))
    put(store, vote("a", up=True), vote("b", rater="u2", up=False), vote("c", response_id="r2", up=False))
    put(store, rating("d", 4))
    assert [thumb(store), thumb(store, rater="u2"), thumb(store, "r2")] == [True, False, False]
    stars = store.current_vote("r1", "u1", FeedbackKind.RATING)
    assert stars is not None and stars.rating == 4
    assert store.current_vote("r1", "u1", FeedbackKind.EDIT) is None


def test_a_retraction_takes_back_what_was_before_it(store: FeedbackStore) -> None:
    put(store, response(), vote("f1", 10), rating("f2", 5))
    put(store, retraction("x1", 5))
    assert thumb(store) is True
    put(store, retraction("x2", 20))
    assert thumb(store) is None
    assert store.current_vote("r1", "u1", FeedbackKind.RATING) is not None
    put(store, vote("f3", 15))
    assert thumb(store) is None
    put(store, vote("f4", 30, up=False))
    assert thumb(store) is False


def test_every_kind_comes_back_whole_with_its_sequence(store: FeedbackStore) -> None:
    base = replace(vote("f"), comment="why: \u00fc", reasons=("wrong", "rude"))
    given = [
        replace(base, feedback_id="f1", thumb_up=False),
        replace(base, feedback_id="f2", kind=FeedbackKind.RATING, thumb_up=None, rating=3),
        replace(base, feedback_id="f3", kind=FeedbackKind.RANKING, thumb_up=None, ranking=("r1", "r9", "r8")),
        replace(base, feedback_id="f4", kind=FeedbackKind.EDIT, thumb_up=None, edit=Edit("t", "l", ("A", "B"))),
    ]
    put(store, response(), *given)
    found = [store.current_vote("r1", "u1", feedback.kind) for feedback in given]
    assert found == [replace(feedback, sequence=place + 1) for place, feedback in enumerate(given)]


# --- idempotency --------------------------------------------------------------------------------------------


def test_the_same_feedback_again_changes_nothing(store: FeedbackStore) -> None:
    put(store, response(), vote("f1", 10, up=True), vote("f1", 10, up=True))
    put(store, vote("f2", 20, up=False))
    put(store, vote("f1", 99, up=True))  # the client tried again: only the server's time differs
    assert thumb(store) is False
    assert (store.watermark(), store.count_dead_letters()) == (2, 0)


def test_a_used_id_with_other_content_is_a_dead_letter(store: FeedbackStore) -> None:
    put(store, response(), vote("f1", 10, up=True), vote("f1", 11, up=False))
    put(store, vote("f1", 20, up=False), retraction("f1", 30))
    assert thumb(store) is True
    assert store.watermark() == 1
    letters = store.dead_letters(10)
    assert [(letter.topic, letter.partition, letter.offset, letter.time_us) for letter in letters] == [
        (FEEDBACK, 0, 4, 30),
        (FEEDBACK, 0, 3, 20),
        (FEEDBACK, 0, 1, 11),
    ]
    assert all("another content" in reason for reason in reasons(store))


def test_nobody_can_take_another_raters_id(store: FeedbackStore) -> None:
    put(store, response(), vote("f1", rater="u1", up=True), vote("f1", rater="u2", up=False))
    assert (thumb(store, rater="u1"), thumb(store, rater="u2")) == (True, False)
    assert store.count_dead_letters() == 0


# --- orphans and dead letters -------------------------------------------------------------------------------


def test_feedback_waits_for_its_answer_even_across_a_restart(store: FeedbackStore, reopen: OpenStore) -> None:
    put(store, vote("f1", 10, up=True), vote("f2", 20, up=False), vote("g1", 10, "r2"))
    assert (store.count_orphans(), store.watermark(), thumb(store)) == (3, 0, None)
    store.close()
    again = reopen()
    put(again, response())
    assert (again.count_orphans(), again.watermark(), thumb(again)) == (1, 2, False)
    put(again, vote("f1", 99, up=True))
    assert again.watermark() == 2


def test_an_orphan_again_changes_nothing_and_its_id_is_taken(store: FeedbackStore) -> None:
    put(store, vote("f1", 10), vote("f1", 10))
    put(store, vote("f1", 11), vote("f1", 12, up=False))
    assert (store.count_orphans(), store.count_dead_letters()) == (1, 1)


def test_an_answer_and_its_vote_may_come_in_one_batch(store: FeedbackStore) -> None:
    put(store, vote("f1", 10))
    put(store, response(), vote("f1", 11), vote("f2", 12, up=False))
    assert (store.count_orphans(), store.watermark(), thumb(store)) == (0, 2, False)


def test_old_orphans_become_dead_letters_where_they_stood(store: FeedbackStore) -> None:
    put(store, vote("f1", 10), vote("f2", 20), vote("f3", 30))
    assert store.expire_orphans(20) == 1
    assert store.expire_orphans(31) == 2
    assert store.expire_orphans(31) == 0
    assert store.count_orphans() == 0
    assert [(letter.offset, letter.time_us) for letter in store.dead_letters(10)] == [(2, 30), (1, 20), (0, 10)]
    put(store, response())
    assert thumb(store) is None


@pytest.mark.parametrize("change", [{"policy": "other"}, {"policy_version": "v2"}])
def test_feedback_that_names_another_version_is_a_dead_letter(store: FeedbackStore, change: dict[str, str]) -> None:
    wrong = replace(vote("f1"), **change)  # type: ignore[arg-type]
    put(store, replace(wrong, response_id="r2", feedback_id="f0"))
    put(store, response("r1"), response("r2"), wrong, vote("f2", 5, up=False))
    assert thumb(store) is False
    assert (store.count_orphans(), store.count_dead_letters()) == (0, 2)
    assert all("another policy or version" in reason for reason in reasons(store))


def test_dead_letters_are_kept_newest_first(store: FeedbackStore) -> None:
    letters = [DeadLetter("topic", 1, offset, f"reason {offset}", b"\x00\xff", 77) for offset in range(5)]
    put(store, dead=letters[:2])
    put(store, dead=letters[2:])
    assert store.dead_letters(3) == letters[:1:-1]
    assert store.count_dead_letters() == 5


def test_dead_letters_have_numbers_that_are_not_given_again(store: FeedbackStore) -> None:
    letters = [DeadLetter("topic", 1, offset, "reason", b"\xff", 77) for offset in range(5)]
    put(store, dead=letters[:3])
    numbers = [one.number for one in store.dead_letters_from(0, 10)]
    assert numbers == sorted(numbers) and min(numbers) > 0
    assert [one.number for one in store.dead_letters(10)] == numbers[::-1]
    assert store.dead_letters_from(numbers[1], 1) == [letters[1]]
    store.remove_dead_letter(numbers[2])
    store.remove_dead_letter(numbers[2])
    put(store, dead=letters[3:])
    assert [one.offset for one in store.dead_letters_from(numbers[1], 10)] == [1, 3, 4]
    assert store.dead_letters_from(numbers[2] + 1, 1)[0].number > numbers[2]


def test_a_store_is_untouched_until_something_is_applied(store: FeedbackStore) -> None:
    assert store.is_untouched()
    put(store)
    assert not store.is_untouched()


# --- what pages and learning read ---------------------------------------------------------------------------


def test_votes_of_a_rater_newest_first(store: FeedbackStore) -> None:
    put(store, *(response(f"r{number}") for number in range(4)))
    put(store, vote("a", 10, "r1"), vote("b", 30, "r2"), vote("c", 20, "r3"), vote("d", 40, "r0", "u2"))
    put(store, rating("e", 2, "r1"), retraction("x", 50, "r3"))
    found = store.votes_of("u1", 10)
    assert [rated.response.response_id for rated in found] == ["r2", "r1"]
    assert [[feedback.feedback_id for feedback in rated.votes] for rated in found] == [["b"], ["e", "a"]]
    assert [rated.response.response_id for rated in store.votes_of("u1", 1)] == ["r2"]
    assert store.votes_of("nobody", 10) == []


def test_counts_by_version(store: FeedbackStore) -> None:
    put(store, *(response(f"r{number}", version="v1") for number in range(4)), response("x", policy="other"))
    put(store, response("s1", version="v2"), response("s2", version="v3"))
    put(store, vote("a", 1, "r0"), vote("b", 1, "r1"), vote("c", 1, "r2", up=False), vote("d", 1, "r3"))
    put(store, retraction("e", 2, "r3"), rating("f", 5, "r0"), rating("g", 2, "r1"))
    put(store, replace(vote("h", 1, "s1", up=False), policy_version="v2"))
    put(store, replace(vote("i"), response_id="r0", kind=FeedbackKind.EDIT, thumb_up=None, edit=Edit(label="cash")))
    put(store, replace(vote("j"), response_id="r1", kind=FeedbackKind.RANKING, thumb_up=None, ranking=("r1", "r2")))
    assert store.vote_counts("bank") == {
        "v1": VoteCounts(4, thumbs_up=2, thumbs_down=1, ratings=2, rating_mean=3.5, rankings=1, edits=1),
        "v2": VoteCounts(1, thumbs_down=1),
        "v3": VoteCounts(1),
    }
    assert store.vote_counts("nothing") == {}


def test_a_vote_taken_back_was_given_all_the_same(store: FeedbackStore) -> None:
    put(store, response(), vote("f1", 1))
    assert store.has_voted("r1", "u1", FeedbackKind.THUMB)
    put(store, retraction("f2", 2))
    assert thumb(store) is None
    assert store.has_voted("r1", "u1", FeedbackKind.THUMB)
    for key in (("r1", "u1", FeedbackKind.RATING), ("r1", "u2", FeedbackKind.THUMB), ("r2", "u1", FeedbackKind.THUMB)):
        assert not store.has_voted(*key)


def test_feedback_is_known_by_rater_id_and_content(store: FeedbackStore) -> None:
    put(store, response("r1"))
    put(store, vote("f1", 1), retraction("f2", 2), vote("f3", 3, "r9"))
    known = (vote("f1", 77), replace(vote("f1"), sequence=5), retraction("f2", 99), vote("f3", 4, "r9"))
    assert all(store.has_feedback(record) for record in known)
    assert not store.has_feedback(vote("f4")) and not store.has_feedback(vote("f1", rater="u2"))
    other = (vote("f1", up=False), vote("f1", response_id="r2"), rating("f1", 3), retraction("f1", 1), vote("f3"))
    for record in other:
        with pytest.raises(AlreadyExists, match="feedback_id: was used for other feedback before"):
            store.has_feedback(record)


def test_new_votes_are_counted_by_kind_since_a_watermark(store: FeedbackStore) -> None:
    thumbs, stars = FeedbackKind.THUMB, FeedbackKind.RATING
    put(store, response("r1"), response("r2"), response("r3"), response("x", policy="other"))
    put(store, vote("a", 1, "r1"), rating("b", 3, "r1"), vote("c", 1, "r2"))
    watermark = store.watermark()
    assert (watermark, store.new_votes("bank", watermark)) == (3, {})
    assert store.new_votes("bank", 0) == {thumbs: 2, stars: 1}
    put(store, vote("d", 2, "r1"), vote("e", 1, "r3"), retraction("f", 2, "r3"))
    assert (store.new_votes("bank", 0), store.new_votes("bank", watermark)) == ({thumbs: 2, stars: 1}, {thumbs: 1})
    assert store.new_votes("other", 0) == {}


def test_rated_gives_what_was_current_at_the_watermark(store: FeedbackStore) -> None:
    put(store, vote("o", 1, "r3"))  # waits: not part of any watermark yet
    put(store, response("r2"), response("r1"), response("x", policy="other"))
    put(store, vote("a", 10, "r1"), vote("b", 10, "r2", up=False), vote("c", 5, "r1", "u0"))
    first = store.watermark()
    before = list(store.rated("bank", first))
    assert [(rated.response.response_id, [v.feedback_id for v in rated.votes]) for rated in before] == [
        ("r1", ["c", "a"]),
        ("r2", ["b"]),
    ]
    put(store, vote("d", 20, "r1", up=False), retraction("e", 20, "r2"), response("r3"), vote("f", 1, "r1", "u9"))
    assert list(store.rated("bank", first)) == before
    later = list(store.rated("bank", store.watermark()))
    assert [(rated.response.response_id, [v.feedback_id for v in rated.votes]) for rated in later] == [
        ("r1", ["c", "d", "f"]),
        ("r3", ["o"]),
    ]
    assert list(store.rated("bank", 0)) == list(store.rated("nothing", first)) == []


def test_rated_streams_many_pages_while_votes_come_in(store: FeedbackStore) -> None:
    ids = [f"r{number:04}" for number in range(1_000)]
    put(store, *(response(response_id) for response_id in ids))
    put(store, *(vote(f"f{response_id}", 1, response_id) for response_id in ids))
    put(store, *(retraction(f"x{response_id}", 2, response_id) for response_id in ids[100:700]))
    stream = store.rated("bank", store.watermark())
    found: list[RatedResponse] = [next(stream)]
    put(store, *(vote(f"g{response_id}", 3, response_id, up=False) for response_id in ids))
    found.extend(stream)
    assert [rated.response.response_id for rated in found] == ids[:100] + ids[700:]
    assert {rated.votes[0].thumb_up for rated in found} == {True}


def test_answers_after_an_id_are_those_of_the_policy_among_the_next(store: FeedbackStore) -> None:
    put(store, response("r2"), response("r1"), response("r3", policy="other"), response("r4"), response("r5"))
    put(store, vote("a", 10, "r2"))

    def after(response_id: str, limit: int) -> list[str]:
        return [one.response_id for one in store.answers_after("bank", response_id, limit)]

    assert after("r1", 3) == ["r2", "r4"]
    assert after("", 1) == ["r1"]
    assert after("r5", 9) == []
    assert store.answers_after("bank", "r4", 9) == [store.response("r5")]
