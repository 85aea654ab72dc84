"""The user's page: opening it, asking, streaming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from demo_world import World
from prometheus_client import CollectorRegistry
from seen_page import seen

from thumbwheel.client.answers import PolicyDescription
from thumbwheel.errors import (
    AlreadyExists,
    Conflict,
    DamagedArtifact,
    DeadlineMissed,
    InvalidInput,
    LogUnavailable,
    NotEnoughData,
    Overloaded,
    ThumbwheelError,
    Unavailable,
)
from thumbwheel.records import PolicyKind
from thumbwheel.web.ask import policy_json
from thumbwheel.web.deps import Deps, Health, HealthState
from thumbwheel.web.problems import status_of


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_the_page_offers_every_policy_and_says_what_it_does(browser: Any) -> None:
    page = browser.open()
    assert page.status_code == 200
    choices = [one.name for one in seen(page.text).by_role("radio")]
    assert choices == ["helpdesk writes a reply · v2", "topics names the topic · v2"]
    assert "Thumbs, stars and corrections are what the next version learns from." in seen(page.text).text
    assert page.headers["cache-control"] == "no-store"


def test_the_page_offers_a_policy_that_tags(browser: Any, world: World) -> None:
    world.tags_words = True
    choices = [one.name for one in seen(browser.open().text).by_role("radio")]
    assert choices[-1] == "places marks words · v2"


def test_the_page_opens_while_the_service_is_away(browser: Any, world: World) -> None:
    world.failures["DescribePolicy"] = Unavailable("the service restarts", 0.01)
    page = browser.open()
    assert page.status_code == 200
    assert "No policy is served right now" in page.text


def test_a_visitor_keeps_their_id_and_gets_one_cookie(browser: Any) -> None:
    cookie = browser.http.cookies["thumbwheel_visitor"]
    again = browser.open()
    assert "set-cookie" not in again.headers
    assert browser.http.cookies["thumbwheel_visitor"] == cookie


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: Any) -> None:
    fresh = httpx.get(browser.url)
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(fresh.headers["set-cookie"].split("; "))


def test_a_forged_cookie_makes_a_new_visitor(browser: Any) -> None:
    visitor_id = browser.http.cookies["thumbwheel_visitor"].split(".")[0]
    page = httpx.get(browser.url, headers={"Cookie": f"thumbwheel_visitor={visitor_id}.forged"})
    assert visitor_id not in page.headers["set-cookie"]


def test_classify_answers_with_label_version_and_probabilities(browser: Any, world: World) -> None:
    answer = browser.ask("Where is my refund?")
    assert (answer["text"], answer["policy"], answer["version"]) == ("refund", "topics", "v2")
    assert answer["probabilities"][0] == {"label": "refund", "probability": pytest.approx(0.85)}
    assert answer["rateable"] is True
    assert world.responses[answer["response_id"]].user_hash.startswith("u")


@pytest.mark.parametrize(
    ("kind", "drawn", "told"),
    [(PolicyKind.CLASSIFY, True, True), (PolicyKind.CLASSIFY, False, False), (PolicyKind.GENERATE, True, False)],
)
def test_the_page_knows_where_labels_are_drawn(kind: PolicyKind, drawn: bool, told: bool) -> None:
    anything: Any = None
    deps = Deps(
        client=anything,
        admin=anything,
        votes=anything,
        rater_of=str,
        health=lambda: Health(HealthState.SERVING),
        metrics=CollectorRegistry(),
        runs_dir=Path(),
        secret=b"s" * 32,
        labels_are_drawn=drawn,
    )
    assert policy_json(PolicyDescription("desk", kind, (), (), 0, 0, 0.0), deps)["is_drawn"] is told


def test_an_answer_that_was_not_logged_is_marked(browser: Any, world: World) -> None:
    world.logged = False
    assert browser.ask()["rateable"] is False


def test_generate_streams_the_text_and_ends_with_the_answer(browser: Any) -> None:
    response = browser.post("/ask/generate", {"policy": "helpdesk", "text": "my parcel", "candidates": 1})
    lines = lines_of(response)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [line["text"] for line in lines[:-1]] == ["Thank", " you", " for", " writing:", " my", " parcel"]
    assert lines[-1]["answer"]["text"] == "Thank you for writing: my parcel"
    assert lines[-1]["answer"]["version"] == "v2"


def test_the_first_words_arrive_while_the_rest_is_still_made(browser: Any, world: World) -> None:
    world.stream_gate.clear()
    body = json.dumps({"policy": "helpdesk", "text": "my parcel", "candidates": 1})
    headers = {"Content-Type": "application/json", "X-CSRF-Token": browser.csrf}
    with browser.http.stream("POST", "/ask/generate", content=body, headers=headers) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines)) == {"text": "Thank"}
        world.stream_gate.set()
        assert json.loads(list(lines)[-1])["answer"]["text"].endswith("my parcel")


def test_leaving_a_stream_stops_the_computation(browser: Any, world: World) -> None:
    world.stream_gate.clear()
    body = json.dumps({"policy": "helpdesk", "text": "my parcel", "candidates": 1})
    headers = {"Content-Type": "application/json", "X-CSRF-Token": browser.csrf}
    with browser.http.stream("POST", "/ask/generate", content=body, headers=headers) as response:
        next(response.iter_lines())
    assert world.cancelled.wait(timeout=20)
    world.stream_gate.set()


def test_two_candidates_have_ids_of_their_own(browser: Any) -> None:
    body = {"policy": "helpdesk", "text": "my parcel", "candidates": 2}
    first, second = browser.post("/ask/generate", body).json()["answers"]
    assert first["response_id"] != second["response_id"]
    assert {first["text"], second["text"]} == {"Thank you for writing: my parcel", "Sorry to hear that: my parcel"}


def test_an_error_before_the_first_word_has_a_status(browser: Any) -> None:
    response = browser.post("/ask/generate", {"policy": "nothing", "text": "hi", "candidates": 1})
    assert response.status_code == 404
    assert "'nothing' is not served; there are: helpdesk" in response.json()["error"]["message"]


@pytest.mark.parametrize(("candidates", "call"), [(1, "StreamGenerate"), (2, "Generate")])
def test_a_prompt_that_the_service_refuses_is_the_pages_text(
    candidates: int, call: str, browser: Any, world: World
) -> None:
    world.failures[call] = InvalidInput("prompt", "is empty: send some text")
    refused = browser.post("/ask/generate", {"policy": "helpdesk", "text": "hi", "candidates": candidates})
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert (error["field"], error["message"]) == ("text", "text: is empty: send some text")


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (824, "about three times what this policy reads."),
        (450, "about two times what this policy reads."),
        (5_000, "about 20 times what this policy reads."),
        (257, "leave out about 10\u202f%."),
        (400, "leave out about 40\u202f%."),
    ],
)
@pytest.mark.parametrize(
    ("kind", "call", "field"), [("classify", "Classify", "text"), ("generate", "Generate", "prompt")]
)
def test_a_message_that_is_too_long_is_told_so_in_words_for_users(
    size: int, told: str, kind: str, call: str, field: str, browser: Any, world: World
) -> None:
    world.failures[call] = InvalidInput(field, f"has {size} tokens, at most 256 are allowed: shorten it")
    asked: dict[str, Any] = {"policy": "helpdesk", "text": "hi"} | ({"candidates": 2} if kind == "generate" else {})
    refused = browser.post(f"/ask/{kind}", asked)
    assert refused.status_code == 422
    assert refused.json()["error"] == {"message": f"Your message is too long: {told}", "field": "text"}


def test_what_to_write_is_said_in_words_for_any_policy(browser: Any) -> None:
    assert 'placeholder="Write your message here"' in browser.open("/").text


def test_an_error_on_the_way_is_the_last_line(browser: Any, world: World) -> None:
    world.failures["break"] = ThumbwheelError()
    lines = lines_of(browser.post("/ask/generate", {"policy": "helpdesk", "text": "hi", "candidates": 1}))
    assert lines[0] == {"text": "Thank"}
    assert "the engine went away" in lines[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AlreadyExists("taken"), 409),
        (Conflict("not now"), 409),
        (NotEnoughData("12 votes, 200 needed"), 409),
        (Overloaded("queue full", 2.5), 429),
        (LogUnavailable("disk full", 0.2), 503),
        (DeadlineMissed("too slow"), 504),
        (DamagedArtifact("v2 damaged"), 409),
    ],
)
def test_each_error_of_the_service_has_its_status(error: ThumbwheelError, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize(
    ("kind", "policy", "longest"), [("classify", "topics", "8,000"), ("generate", "helpdesk", "16,000")]
)
def test_the_limit_that_is_told_is_the_one_that_holds(browser: Any, kind: str, policy: str, longest: str) -> None:
    body: dict[str, Any] = {"policy": policy, "text": ""} | ({"candidates": 1} if kind == "generate" else {})
    error = browser.post(f"/ask/{kind}", body).json()["error"]
    assert error["message"] == f"text: must have 1 to {longest} characters, has 0"
    error = browser.post(f"/ask/{kind}", {**body, "text": None}).json()["error"]
    assert error["message"] == f"text: must be a string of 1 to {longest} characters"


def test_a_full_queue_says_when_to_come_back(browser: Any, world: World) -> None:
    world.failures["Generate"] = Overloaded("the queue is full", 2.5)
    response = browser.post("/ask/generate", {"policy": "helpdesk", "text": "hi", "candidates": 2})
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3"
    assert response.json()["error"] == {"message": "the queue is full", "retry_after_s": pytest.approx(2.5)}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/ask/classify", {"policy": "topics"}, "text"),
        ("/ask/classify", {"policy": "topics", "text": "   "}, "text"),
        ("/ask/classify", {"policy": "topics", "text": "x" * 8_001}, "text"),
        ("/ask/classify", {"policy": "topics", "text": 7}, "text"),
        ("/ask/classify", {"policy": "topics", "text": "\ud800"}, "text"),
        ("/ask/classify", {"text": "hi"}, "policy"),
        ("/ask/classify", {"policy": "p" * 101, "text": "hi"}, "policy"),
        ("/ask/classify", {"policy": "topics", "text": "hi", "\ud800": 1}, ""),
        ("/ask/generate", {"policy": "helpdesk", "text": "hi"}, "candidates"),
        ("/ask/generate", {"policy": "helpdesk", "text": "hi", "candidates": 0}, "candidates"),
        ("/ask/generate", {"policy": "helpdesk", "text": "hi", "candidates": 3}, "candidates"),
        ("/ask/generate", {"policy": "helpdesk", "text": "hi", "candidates": True}, "candidates"),
    ],
)
def test_a_wrong_field_is_named(browser: Any, path: str, body: dict[str, Any], field: str) -> None:
    response = browser.post(path, body)
    assert response.status_code == 422
    assert response.json()["error"]["field"] == field
