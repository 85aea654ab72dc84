"""What every feedback store forgets of a user: everything, in every file."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from recorded_batch import recorded_batch

from thumbwheel.bus.port import FEEDBACK
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    DeadLetter,
    Edit,
    Feedback,
    FeedbackKind,
    LoggedResponse,
    Run,
    RunState,
    RunStep,
    VersionRef,
)
from thumbwheel.store.port import FeedbackStore


def answer(response_id: str, user: str, text: str = "text", policy: str = "bank") -> LoggedResponse:
    served = ClassifyAnswer(text, 0, "a", (1.0,), 0.0, ("a",))
    return LoggedResponse(
        response_id, "q", VersionRef(policy, "v1", "d"), Channel.CHAMPION, "t", user, "", 1, "", served
    )


def edit(feedback_id: str, response_id: str, rater: str, text: str = "text", policy: str = "bank") -> Feedback:
    return Feedback(
        feedback_id, response_id, rater, "t", policy, "v1", FeedbackKind.EDIT, 5, edit=Edit(text=text), comment=text
    )


def put(store: FeedbackStore, *records: LoggedResponse | Feedback) -> None:
    offset = store.offset("c", FEEDBACK, 0)
    responses = [record for record in records if isinstance(record, LoggedResponse)]
    feedback = [record for record in records if isinstance(record, Feedback)]
    store.apply(recorded_batch("c", FEEDBACK, 0, offset, offset + 1, responses, feedback))


def ran(
    store: FeedbackStore, version: str, parent: str, watermark: int, policy: str = "bank", started: int = 0
) -> None:
    lease = store.acquire_lease(policy, "h", 60)
    run = Run(f"run-{policy}-{version}", policy, RunState.PROMOTED, RunStep.PUBLISH, parent, started or watermark)
    store.save_run(replace(run, candidate_version=version, watermark=watermark), lease)


def test_a_users_answers_and_votes_go_and_others_stay(store: FeedbackStore) -> None:
    put(store, answer("r1", "me"), answer("r2", "me"), answer("r3", "you"))
    put(store, edit("a", "r1", "me"), edit("b", "r2", "you"), edit("c", "r3", "you"), edit("d", "r3", "me"))
    put(store, edit("e", "unknown", "me"))
    assert store.answers_concerning("me") == ["r1", "r2", "r3", "unknown"]
    report = store.erase_user("me")
    assert (report.responses, report.feedback) == (2, 4)
    assert store.answers_concerning("me") == []
    assert store.response("r1") is None
    assert store.count_orphans() == 0
    assert [rated.response.response_id for rated in store.rated("bank", store.watermark())] == ["r3"]
    assert store.votes_of("me", 10) == []
    assert store.vote_counts("bank")["v1"].edits == 1
    assert store.current_vote("r3", "you", FeedbackKind.EDIT) is not None
    again = store.erase_user("me")
    assert (again.responses, again.feedback) == (0, 0)


def test_an_answer_that_never_came_concerns_the_user_whose_vote_became_a_dead_letter(store: FeedbackStore) -> None:
    put(store, answer("r1", "you"), edit("a", "gone", "me"), edit("b", "gone-too", "you"))
    garbage = DeadLetter(FEEDBACK, 0, 1, "garbage", b"\xff me \xff", 1)
    offset = store.offset("c", FEEDBACK, 0)
    store.apply(recorded_batch("c", FEEDBACK, 0, offset, offset + 1, dead_letters=[garbage]))
    assert store.expire_orphans(older_than_us=6) == 2
    assert store.answers_concerning("me") == ["gone"]
    store.erase_user("me")
    assert store.count_dead_letters() == 1
    assert store.answers_concerning("me") == []


def test_the_watermark_does_not_fall(store: FeedbackStore) -> None:
    put(store, answer("r1", "me"), answer("r2", "you"))
    put(store, edit("a", "r1", "me"))
    store.erase_user("me")
    assert store.watermark() == 1
    put(store, edit("b", "r2", "you"))
    assert store.watermark() == 2


def test_the_report_names_versions_that_learned_from_the_user(store: FeedbackStore) -> None:
    put(store, answer("r1", "you"), answer("r2", "me"), answer("x", "me", policy="other"))
    put(store, edit("a", "r1", "you"))
    ran(store, "v2", "v1", watermark=1)
    put(store, edit("b", "r2", "me"))
    ran(store, "v3", "v2", watermark=2)
    ran(store, "v4", "v3", watermark=1, started=3)  # learned from older votes, but on top of v3
    ran(store, "v5", "v2", watermark=1, started=4)
    ran(store, "v2", "v1", watermark=9, policy="other")  # the user had answers of it, but there are no votes on them
    assert list(store.erase_user("me").versions_trained_on_it) == ["bank/v3", "bank/v4"]


def test_no_byte_of_the_user_stays_on_the_disk(store: FeedbackStore, files: Callable[[], list[Path]]) -> None:
    order = random.Random(3)
    for number in range(600):
        mine = order.random() < 0.1
        user, word = ("forgetme", "forgotten") if mine else ("keepme", "kept")
        response_id = f"{'forgetid' if mine else 'r'}-{order.getrandbits(64):016x}"
        text = f"{word}-{number:05} " * order.randint(1, 400)
        put(store, answer(response_id, user, text), edit(f"f{number}", response_id, user, word))
        if mine:
            put(store, edit(f"o{number}", f"unknown-{number}", user, word), edit(f"f{number}", response_id, user, "x"))
    poison = DeadLetter(FEEDBACK, 0, 1, "garbage", b"\xff forgetme \xff", 1)
    offset = store.offset("c", FEEDBACK, 0)
    store.apply(recorded_batch("c", FEEDBACK, 0, offset, offset + 1, dead_letters=[poison]))
    assert store.count_dead_letters() > 1
    assert any(b"forg" in file.read_bytes() for file in files())
    store.erase_user("forgetme")
    contents = {file.name: file.read_bytes() for file in files()}
    assert any(b"keepme" in content for content in contents.values())
    assert [name for name, content in contents.items() if b"forg" in content] == []
    assert store.count_dead_letters() == 0


def test_what_was_erased_can_be_asked_for_and_what_is_past_is_not_it(store: FeedbackStore) -> None:
    put(store, answer("r1", "me"), answer("r2", "you"), answer("r3", "me"))
    assert store.erased_answers(["r1", "r2", "r3"]) == set()
    store.erase_user("me")
    assert store.erased_answers(["r3", "r2", "r1"]) == {"r1", "r3"}
    store.forget_before(1_800_000_000_000_000, 1)
    past = "0190a000-0000-7000-8000-000000000000"
    assert store.erased_answers([past, "r1"]) == {"r1"}
