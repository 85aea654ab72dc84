"""Giving votes, taking them back, and the list of one's own."""

from __future__ import annotations

from typing import Any

import pytest
from demo_world import World

from thumbwheel.errors import LogUnavailable, Overloaded


@pytest.mark.parametrize(
    ("value", "kind", "listed"),
    [
        ({"thumb": "up"}, "thumb", {"thumb": "up"}),
        ({"thumb": "down"}, "thumb", {"thumb": "down"}),
        ({"rating": 4}, "rating", {"rating": 4}),
        ({"edit": {"label": "delivery"}}, "edit", {"edit": "delivery"}),
        ({"edit": {"text": "Please wait."}}, "edit", {"edit": "Please wait."}),
    ],
)
def test_a_vote_is_counted_and_listed(browser: Any, value: dict[str, Any], kind: str, listed: dict[str, Any]) -> None:
    answer = browser.ask("my refund")
    response = browser.vote(answer, **value)
    assert response.status_code == 200
    (row,) = browser.votes()
    assert row["feedback_id"] == response.json()["feedback_id"]
    assert (row["response_id"], row["kind"], row["version"]) == (answer["response_id"], kind, "v2")
    assert (row["question"], row["answer"]) == ("my refund", "refund")
    assert listed.items() <= row.items()


def test_tags_are_asked_for_corrected_and_listed_by_what_they_mark(browser: Any) -> None:
    body = {"policy": "places", "text": "to New York"}
    answer = browser.post("/ask/tag", body).json()["answers"][0]
    assert [(word["text"], word["tag"], word["probability"]) for word in answer["words"]] == [
        ("to", "O", 0.5),
        ("New", "B-city", 0.5),
        ("York", "B-city", 0.5),
    ]
    assert browser.vote(answer, edit={"tags": ["O", "B-city", "I-city"]}).status_code == 200
    (row,) = browser.votes()
    assert (row["question"], row["answer"]) == ("to New York", "New (city), York (city)")
    assert row["edit"] == "New York (city)"


def test_entities_that_are_apart_are_listed_apart(browser: Any) -> None:
    answer = browser.post("/ask/tag", {"policy": "places", "text": "Rome and OSLO"}).json()["answers"][0]
    assert [word["tag"] for word in answer["words"]] == ["B-city", "O", "I-city"]
    assert browser.vote(answer, edit={"tags": ["I-city", "B-city", "I-city"]}).status_code == 200
    (row,) = browser.votes()
    assert (row["answer"], row["edit"]) == ("Rome (city), OSLO (city)", "Rome (city), and OSLO (city)")


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        ({"tags": []}, "edit.tags: must be a list of 1 to 4,096 strings"),
        ({"tags": "O"}, "edit.tags: must be a list"),
        ({"tags": ["O", 1]}, "edit.tags.1: must be a string"),
        ({"tags": ["O"], "label": "x"}, "edit: exactly one of text, label, tags must be given"),
    ],
)
def test_tags_of_no_use_are_refused(browser: Any, edit: dict[str, Any], problem: str) -> None:
    answer = browser.post("/ask/tag", {"policy": "places", "text": "to Rome"}).json()["answers"][0]
    refused = browser.vote(answer, edit=edit)
    assert refused.status_code == 422 and problem in refused.text


def test_comment_and_reasons_go_with_the_vote(browser: Any) -> None:
    browser.vote(browser.ask(), thumb="down", comment=" too slow ", reasons=["wrong", "too-long"])
    (row,) = browser.votes()
    assert (row["comment"], row["reasons"]) == ("too slow", ["wrong", "too-long"])


@pytest.mark.parametrize("edit", [{"label": "delivery"}, {"text": "Please wait."}])
def test_comment_and_reasons_go_with_an_edit(browser: Any, edit: dict[str, str]) -> None:
    assert browser.vote(browser.ask(), edit=edit, comment="c", reasons=["short"]).status_code == 200
    (row,) = browser.votes()
    assert (row["kind"], row["comment"], row["reasons"]) == ("edit", "c", ["short"])


def test_the_last_vote_of_a_kind_counts(browser: Any) -> None:
    answer = browser.ask()
    browser.vote(answer, thumb="up")
    browser.vote(answer, thumb="down")
    browser.vote(answer, rating=2)
    assert {row["kind"]: row["thumb"] or row["rating"] for row in browser.votes()} == {"thumb": "down", "rating": 2}


def test_a_ranking_shows_the_answer_that_was_put_first(browser: Any, world: World) -> None:
    body = {"policy": "helpdesk", "text": "my parcel", "candidates": 2}
    first, second = browser.post("/ask/generate", body).json()["answers"]
    order = [{"response_id": one["response_id"], "feedback_token": one["feedback_token"]} for one in (second, first)]
    assert browser.vote(second, ranking=order, comment="c", reasons=["short"]).status_code == 200
    (row,) = browser.votes()
    assert (row["comment"], row["reasons"]) == ("c", ["short"])
    assert row["ranking"] == [second["response_id"], first["response_id"]]
    assert row["answer"] == second["text"]
    holder = min(first, second, key=lambda one: one["response_id"])
    taken = {"response_id": holder["response_id"], "feedback_token": holder["feedback_token"], "kind": "ranking"}
    assert browser.post("/votes/take-back", taken).status_code == 200
    assert browser.votes() == []


def test_a_vote_taken_back_is_gone_and_cannot_be_taken_back_twice(browser: Any) -> None:
    answer = browser.ask()
    browser.vote(answer, thumb="up")
    body = {"response_id": answer["response_id"], "feedback_token": answer["feedback_token"], "kind": "thumb"}
    assert browser.post("/votes/take-back", body).status_code == 200
    assert browser.votes() == []
    again = browser.post("/votes/take-back", body)
    assert again.status_code == 404
    assert "no vote of this kind" in again.json()["error"]["message"]


def test_nobody_sees_or_gives_votes_in_anothers_name(browser: Any) -> None:
    answer = browser.ask()
    browser.vote(answer, thumb="up")
    stranger = type(browser)(browser.url)
    assert stranger.votes() == []
    stranger.open()
    assert stranger.votes() == []
    refused = stranger.vote(answer, thumb="down")
    assert refused.status_code == 403
    assert "does not belong to this answer and user" in refused.json()["error"]["message"]
    stranger.http.close()


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "", "exactly one of thumb, rating, ranking, edit must be given, 0 are"),
        ({"thumb": "up", "rating": 3}, "", "2 are"),
        ({"thumb": "sideways"}, "thumb", "one of up, down"),
        ({"thumb": ["up"]}, "thumb", "one of up, down"),
        ({"rating": 0}, "rating", "1 to 5"),
        ({"rating": 6}, "rating", "1 to 5"),
        ({"rating": 2.5}, "rating", "1 to 5"),
        ({"rating": True}, "rating", "1 to 5"),
        ({"rating": 10**30}, "rating", "1 to 5"),
        ({"ranking": []}, "ranking", "2 to 8"),
        ({"ranking": [1, 2]}, "ranking", "objects only"),
        ({"ranking": [{}, {}]}, "ranking[0].response_id", "1 to 64"),
        ({"edit": "better"}, "edit", "object"),
        ({"edit": {}}, "edit", "exactly one of text, label"),
        ({"edit": {"text": "a", "label": "b"}}, "edit", "exactly one of text, label"),
        ({"edit": {"text": ""}}, "edit.text", "1 to 16,000"),
        ({"thumb": "up", "comment": "x" * 2001}, "comment", "0 to 2,000"),
        ({"thumb": "up", "reasons": ["Bad"]}, "reasons", "a-z"),
        ({"thumb": "up", "reasons": ["a"] * 9}, "reasons", "at most 8"),
        ({"thumb": "up", "stars": 3}, "", "unknown field 'stars'"),
    ],
)
def test_a_wrong_vote_is_explained(browser: Any, body: dict[str, Any], field: str, problem: str) -> None:
    response = browser.vote({"response_id": "r", "feedback_token": "t"}, **body)
    assert response.status_code == 422
    assert response.json()["error"]["field"] == field
    assert problem in response.json()["error"]["message"]
    assert browser.votes() == []


def test_an_unknown_kind_cannot_be_taken_back(browser: Any) -> None:
    body = {"response_id": "r", "feedback_token": "t", "kind": "smile"}
    assert browser.post("/votes/take-back", body).json()["error"]["field"] == "kind"


@pytest.mark.parametrize(("token", "status"), [("forged", 403), ("x" * 2049, 422), ("", 422)])
def test_a_wrong_token_is_refused(browser: Any, token: str, status: int) -> None:
    answer = {**browser.ask(), "feedback_token": token}
    assert browser.vote(answer, thumb="up").status_code == status


def test_a_vote_that_could_not_be_stored_says_so(browser: Any, world: World) -> None:
    world.failures["SubmitFeedback"] = Overloaded("user_id: more than 120 votes in a minute", 4.2)
    response = browser.vote(browser.ask(), thumb="up")
    assert (response.status_code, response.headers["retry-after"]) == (429, "5")
    world.failures["SubmitFeedback"] = LogUnavailable("the disk is full", 0.01)
    assert browser.vote(browser.ask(), thumb="up").status_code == 503
    assert browser.votes() == []


def test_the_list_says_when_votes_are_still_on_their_way_to_it(browser: Any, switch: Any) -> None:
    browser.vote(browser.ask(), thumb="up")
    assert browser.http.get("/votes").json()["complete"] is True
    switch.settled = False
    try:
        answer = browser.http.get("/votes").json()
    finally:
        switch.settled = True
    assert (answer["complete"], len(answer["votes"])) == (False, 1)
