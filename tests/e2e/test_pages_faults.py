"""The pages while the service behind them waits, changes or fails."""

from __future__ import annotations

import re
from typing import Any

import pytest
from demo_world import World
from playwright.sync_api import Page, expect

from thumbwheel.errors import Conflict, LogUnavailable, Overloaded, Unavailable

pytestmark = pytest.mark.browser


def ask(page: Page, kind: str, question: str) -> Any:
    page.locator("label.pill", has=page.locator(f'[data-kind="{kind}"]')).click()
    page.get_by_label("Your message").fill(question)
    page.keyboard.press("Enter")
    return page.locator(".card").first


def test_words_show_as_they_come_and_the_rest_can_be_stopped(page: Page, memory_site: Any, world: World) -> None:
    world.stream_gate.clear()
    page.goto(memory_site.url)
    card = ask(page, "generate", "my parcel")
    expect(card.locator(".answer")).to_have_text("Thank")
    expect(card.locator(".answer")).to_have_attribute("aria-busy", "true")
    card.get_by_role("button", name="Stop").click()
    expect(card.locator(".card-note")).to_have_text("Stopped.")
    assert world.cancelled.wait(timeout=20)
    world.stream_gate.set()
    expect(card.locator(".rate")).to_be_hidden()


def test_a_stream_that_breaks_says_so_and_keeps_the_question(page: Page, memory_site: Any, world: World) -> None:
    world.failures["break"] = Unavailable("gone", 0.1)
    page.goto(memory_site.url)
    card = ask(page, "generate", "my parcel")
    expect(card.locator(".card-note")).to_contain_text("the engine went away")
    expect(page.get_by_label("Your message")).to_have_value("my parcel")


def test_a_refused_question_can_be_asked_again(page: Page, memory_site: Any, world: World) -> None:
    world.failures["Classify"] = Overloaded("the queue is full; ask again in a moment", 0.1)
    page.goto(memory_site.url)
    card = ask(page, "classify", "my refund")
    expect(card.locator(".card-note")).to_have_text("the queue is full; ask again in a moment")
    world.failures.clear()
    page.keyboard.press("Enter")
    expect(page.locator(".card").first.locator(".answer")).to_have_text("refund")


def test_a_vote_is_sent_again_when_the_log_was_away(page: Page, memory_site: Any, world: World) -> None:
    page.goto(memory_site.url)
    card = ask(page, "classify", "my refund")
    world.failures["SubmitFeedback"] = LogUnavailable("the disk is full", 0.3)
    with page.expect_response(lambda response: response.status == 503):
        card.get_by_role("button", name="Good answer").click()
    world.failures.clear()
    expect(card.locator(".candidate-note")).to_have_text("Counted. Thank you!")
    assert len(world.votes) == 1


def test_a_vote_that_fails_is_not_shown_as_given(page: Page, memory_site: Any, world: World) -> None:
    page.goto(memory_site.url)
    card = ask(page, "classify", "my refund")
    world.failures["SubmitFeedback"] = Overloaded("user_id: more than 120 votes in a minute", 3)
    expect(card.locator(".rate")).to_be_visible()
    card.get_by_label("5 of 5 stars").check(force=True)
    expect(card.locator(".candidate-note")).to_contain_text("more than 120 votes in a minute")
    expect(card.get_by_label("5 of 5 stars")).not_to_be_checked()
    expect(page.locator("#mine .vote")).to_have_count(0)


def test_an_answer_that_was_not_logged_offers_no_thumbs(page: Page, memory_site: Any, world: World) -> None:
    world.logged = False
    page.goto(memory_site.url)
    card = ask(page, "classify", "my refund")
    expect(card.locator(".candidate-note")).to_contain_text("can not be rated")
    expect(card.get_by_role("button", name="Good answer")).to_be_hidden()


def test_a_cleared_cookie_is_explained(page: Page, memory_site: Any, world: World) -> None:
    page.goto(memory_site.url)
    page.context.clear_cookies()
    card = ask(page, "classify", "my refund")
    expect(card.locator(".card-note")).to_contain_text("Reload it and try again")


def test_the_operators_page_follows_what_happens(page: Page, memory_site: Any, world: World) -> None:
    opened = page.goto(f"{memory_site.url}/operate")
    assert opened is not None and opened.ok, opened and opened.text()
    page.locator("details.run").nth(1).locator("summary").click()
    page.get_by_role("button", name="Promote v3").focus()
    world.champions["helpdesk"].append("v1")
    world.runs[1].summary.votes = 4321
    world.status.policies[0].new_votes = 555
    expect(page.locator(".tile-figure").first).to_have_text("v1")
    expect(page.get_by_text("555 of 1,000")).to_be_visible()
    expect(page.get_by_text("4,321 votes")).to_be_visible()
    expect(page.locator("details.run").nth(1)).to_have_attribute("open", "")
    expect(page.get_by_role("button", name="Promote v3")).to_be_focused()


def test_a_refused_order_stays_open_with_its_text(page: Page, memory_site: Any, world: World) -> None:
    world.failures["Rollback"] = Conflict("there is no earlier champion to return to")
    page.goto(f"{memory_site.url}/operate")
    page.get_by_role("button", name="Roll back").click()
    order = page.get_by_role("dialog")
    order.get_by_label("Reason").fill("worse")
    order.get_by_label("Your name").fill("Ada")
    order.get_by_role("button", name="Roll back").click()
    expect(order.get_by_role("alert")).to_contain_text("no earlier champion")
    expect(order.get_by_label("Reason")).to_have_value("worse")


def test_an_outage_is_said_and_passes(page: Page, memory_site: Any, world: World) -> None:
    page.goto(f"{memory_site.url}/operate")
    world.failures["Status"] = Unavailable("restarting", 0.1)
    expect(page.locator("#fresh")).to_have_text(re.compile("Not up to date: .*503.* Trying again"))
    expect(page.locator(".tile-figure").first).to_have_text("v2")
    world.failures.clear()
    expect(page.locator("#fresh")).to_be_empty()


def test_gates_are_listed_and_the_report_opens(page: Page, memory_site: Any, world: World) -> None:
    page.goto(f"{memory_site.url}/operate")
    run = page.locator("details.run").first
    expect(run.locator("li.failed")).to_contain_text("held-out reward")
    expect(run.locator("li.passed")).to_have_count(2)
    with page.context.expect_page() as opened:
        run.get_by_role("link", name="Report of the run").click()
    expect(opened.value.get_by_role("heading", name="Rejected, and why")).to_be_visible()


def test_the_page_says_when_no_policy_is_served(page: Page, memory_site: Any, world: World) -> None:
    world.failures["DescribePolicy"] = Unavailable("starting", 0.1)
    page.goto(memory_site.url)
    expect(page.get_by_text("No policy is served right now.")).to_be_visible()


def test_a_list_that_lacks_the_latest_votes_says_so(page: Page, memory_site: Any) -> None:
    page.route("**/votes", lambda route: route.fulfill(json={"votes": [], "complete": False}))
    page.goto(memory_site.url)
    note = page.get_by_text("Your latest votes are saved, but this list does not show all of them yet.")
    expect(note).to_be_visible()
    expect(page.get_by_text("None yet.")).to_be_hidden()
    page.unroute("**/votes")
    page.reload()
    expect(page.get_by_text("None yet.")).to_be_visible()
    expect(note).to_be_hidden()
