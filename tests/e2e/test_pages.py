"""Both pages, by every action that people can take, in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from demo_facts import HELPDESK, trial_of
from demo_world import World
from playwright.sync_api import Browser, Locator, Page, Route, expect

pytestmark = pytest.mark.browser

on_phone_too = pytest.mark.parametrize("context", ["desktop", "phone"], indirect=True)
GRAVE = {"serious", "critical"}
QUESTION = "Where is the refund for my parcel?"


def choose(page: Page, kind: str) -> None:
    """Choose the policy of a kind, as a person does: by its label."""
    page.locator("label.pill", has=page.locator(f'[data-kind="{kind}"]')).click()


def ask(page: Page, kind: str, question: str = QUESTION) -> Locator:
    """Ask; return the card with the finished answer."""
    choose(page, kind)
    page.get_by_label("Your message").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    card = page.locator(".card").first
    expect(card.locator(".stamp").last).to_contain_text("answered by")
    return card


def own_votes(page: Page) -> Locator:
    return page.locator("#mine .vote")


def listed_by_the_server(page: Page, votes: int) -> None:
    """Wait until the votes, durable already, are listed too: then they are there after a reload."""
    page.wait_for_function(
        "async votes => (await (await fetch('/votes')).json()).votes.length === votes", arg=votes, polling=200
    )


def grave_violations(page: Page) -> list[str]:
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{v['id']}: {[node['html'] for node in v['nodes']]}" for v in violations if v["impact"] in GRAVE]


@on_phone_too
def test_a_label_is_shown_with_its_version_and_rated_by_thumb(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "classify")
    expect(card.locator(".question")).to_have_text(QUESTION)
    expect(card.locator(".answer")).not_to_be_empty()
    expect(card.locator(".stamp")).to_have_text(re.compile(r"answered by \S+ v\d+"))
    assert 2 <= card.locator(".likely li").count() <= 4
    served = card.locator(".likely li", has_text="this answer")
    expect(served).to_have_count(1)
    expect(served).to_contain_text(card.locator(".answer").inner_text())
    expect(card.get_by_text("Drawn at random by these probabilities")).to_be_visible()
    good = card.get_by_role("button", name="Good answer")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(card.locator(".candidate-note")).to_have_text("Counted. Thank you!")
    expect(own_votes(page)).to_have_count(1)
    expect(own_votes(page)).to_contain_text("Good answer")


def test_the_label_that_was_drawn_is_marked_wherever_it_stands(page: Page, site: Any) -> None:
    chances = {"likeliest": 0.4, "second": 0.3, "third": 0.15, "fourth": 0.1, "drawn": 0.05}

    def redrawn(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        likely = [{"label": label, "probability": chance} for label, chance in chances.items()]
        body["answers"][0] |= {"text": "drawn", "probabilities": likely}
        route.fulfill(response=response, json=body)

    page.goto(site.url)
    page.route("**/ask/classify", redrawn)
    card = ask(page, "classify")
    expect(card.locator(".answer")).to_have_text("drawn")
    expect(card.get_by_role("list", name="How likely each label was").get_by_role("listitem")).to_have_text(
        ["likeliest40.0 %", "second30.0 %", "third15.0 %", "drawn this answer5.0 %"]
    )


@on_phone_too
def test_a_long_label_breaks_between_its_words_and_where_it_must(page: Page, site: Any) -> None:
    long = "pending_cash_withdrawal"

    def renamed(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        likely = [{"label": label, "probability": 0.5} for label in (long, "refund")]
        body["answers"][0] |= {"text": "refund", "probabilities": likely}
        route.fulfill(response=response, json=body)

    page.goto(site.url)
    page.route("**/ask/classify", renamed)
    name = ask(page, "classify").locator(".likely li span").first
    expect(name).to_have_text(long)
    lines = name.evaluate(
        """name => [...name.childNodes].filter(one => one.data).map(one => {
            const range = document.createRange();
            range.selectNode(one);
            return [...range.getClientRects()].map(line => line.top);
        })"""
    )
    assert [len(tops) for tops in lines] == [1, 1, 1]
    wide = (page.viewport_size or {"width": 0})["width"] > 1000
    assert (len({top for [top] in lines}) == 1) is wide


def test_a_likeliest_label_is_not_said_to_be_drawn(page: Page, site: Any) -> None:
    def likeliest(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace('"is_drawn": true', '"is_drawn": false'))

    page.route(f"{site.url}/", likeliest)
    page.goto(site.url)
    card = ask(page, "classify")
    expect(card.locator(".likely li", has_text="this answer")).to_have_count(1)
    expect(card.locator(".drawn")).to_be_hidden()


def test_own_votes_are_never_cut_off(page: Page, site: Any) -> None:
    page.goto(site.url)
    for count in range(1, 9):
        ask(page, "classify").get_by_role("button", name="Good answer").click()
        expect(own_votes(page)).to_have_count(count)
    mine = page.locator(".mine")
    assert mine.evaluate("one => one.scrollHeight <= one.clientHeight && one.clientHeight > innerHeight")


def test_pressing_a_thumb_again_takes_it_back(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "classify")
    bad = card.get_by_role("button", name="Bad answer")
    bad.click()
    expect(own_votes(page)).to_have_count(1)
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    expect(own_votes(page)).to_have_count(0)


def test_the_other_thumb_replaces_the_first(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "classify")
    card.get_by_role("button", name="Good answer").click()
    expect(own_votes(page)).to_contain_text("Good answer")
    card.get_by_role("button", name="Bad answer").click()
    expect(own_votes(page)).to_contain_text("Bad answer")
    expect(own_votes(page)).to_have_count(1)


def test_a_vote_may_say_why(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "classify")
    card.get_by_role("button", name="Bad answer").click()
    card.locator(".chip", has_text="wrong").click()
    card.locator(".chip", has_text="too broad").click()
    card.get_by_label("Comment").fill("It is about <delivery>")
    card.get_by_role("button", name="Add").click()
    expect(card.locator(".candidate-note")).to_have_text("Added to your vote.")
    expect(own_votes(page)).to_contain_text("wrong, too-broad, “It is about <delivery>”")


@pytest.mark.parametrize(
    ("kind", "rated", "reasons"),
    [
        ("classify", "Good answer", ["correct", "close enough"]),
        ("classify", "Bad answer", ["wrong", "too broad", "too narrow", "none fits"]),
        ("generate", "Good answer", ["correct", "helpful", "clear", "friendly"]),
        ("generate", "Bad answer", ["wrong", "unhelpful", "too long", "unfriendly"]),
    ],
)
def test_the_reasons_on_offer_fit_what_was_answered(
    page: Page, site: Any, kind: str, rated: str, reasons: list[str]
) -> None:
    page.goto(site.url)
    card = ask(page, kind)
    card.get_by_role("button", name=rated).click()
    expect(card.locator(".chip")).to_have_text(reasons)


def test_a_message_may_be_as_long_as_the_chosen_policy_reads(page: Page, site: Any) -> None:
    page.goto(site.url)
    for kind, longest in (("generate", "16000"), ("classify", "8000"), ("generate", "16000")):
        choose(page, kind)
        expect(page.get_by_label("Your message")).to_have_attribute("maxlength", longest)


def test_stars_are_given_by_mouse_and_by_arrow_keys(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "generate")
    card.get_by_label("4 of 5 stars").check(force=True)
    expect(own_votes(page)).to_contain_text("4 of 5 stars")
    expect(card.get_by_text("Why 4 of 5 stars?")).to_be_visible()
    expect(own_votes(page)).to_have_count(1)
    card.get_by_label("4 of 5 stars").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(own_votes(page)).to_contain_text("2 of 5 stars")
    expect(card.get_by_label("2 of 5 stars")).to_be_checked()


def test_stars_that_are_chosen_stay_whatever_else_is_counted_meanwhile(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "generate")
    page.clock.install()  # the stars' rest before they are sent does not end by itself
    card.get_by_label("4 of 5 stars").check(force=True)
    card.get_by_role("button", name="Good answer").click()
    expect(own_votes(page)).to_have_count(1)
    expect(card.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    assert card.get_by_label("4 of 5 stars").is_checked()
    page.clock.run_for(400)
    expect(own_votes(page).first).to_contain_text("4 of 5 stars")


def test_a_wrong_label_is_corrected(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "classify")
    card.get_by_role("button", name="Bad answer").click()
    expect(card.get_by_text("Why bad?")).to_be_visible()
    card.get_by_role("button", name="Correct it").click()
    right = card.get_by_label("What it should have said")
    expect(right).to_be_focused()
    label = right.locator("option").nth(1).inner_text()
    right.select_option(label)
    card.get_by_role("button", name="Send the correction").click()
    expect(own_votes(page).first).to_contain_text(f"Corrected to: {label}")
    expect(card.locator(".edit")).to_be_hidden()
    expect(card.locator(".why")).to_be_hidden()


def test_a_reply_is_corrected_and_cancelling_changes_nothing(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "generate")
    correct = card.get_by_role("button", name="Correct it")
    correct.click()
    card.get_by_role("button", name="Cancel").click()
    expect(correct).to_be_focused()
    expect(own_votes(page)).to_have_count(0)
    correct.click()
    right = card.get_by_label("What it should have said")
    # a text field turns every line end into "\n"
    shown = card.locator(".answer").inner_text().strip().replace("\r\n", "\n").replace("\r", "\n")
    assert (right.input_value().strip() or "(an empty answer)") == shown
    right.fill("Your refund is on its way.")
    card.get_by_role("button", name="Send the correction").click()
    expect(own_votes(page)).to_contain_text("Corrected to: Your refund is on its way.")


@on_phone_too
def test_the_better_of_two_is_picked_changed_and_taken_back(page: Page, site: Any) -> None:
    page.goto(site.url)
    choose(page, "generate")
    page.get_by_label("Give me two answers").check()
    card = ask(page, "generate")
    first, second = card.locator(".candidate").nth(0), card.locator(".candidate").nth(1)
    second.get_by_role("button", name="This one is better").click()
    expect(second.get_by_role("button", name="Your pick")).to_be_visible()
    expect(own_votes(page)).to_contain_text("Better of two")
    expect(own_votes(page).locator(".vote-answer")).to_have_text(second.locator(".answer").inner_text())
    first.get_by_role("button", name="This one is better").click()
    expect(first.get_by_role("button", name="Your pick")).to_be_visible()
    expect(second.get_by_role("button", name="This one is better")).to_be_visible()
    expect(own_votes(page)).to_have_count(1)
    first.get_by_role("button", name="Your pick").click()
    expect(own_votes(page)).to_have_count(0)


def test_two_answers_are_offered_where_they_make_sense(page: Page, site: Any) -> None:
    page.goto(site.url)
    choose(page, "classify")
    expect(page.get_by_label("Give me two answers")).to_be_hidden()
    choose(page, "generate")
    expect(page.get_by_label("Give me two answers")).to_be_visible()


def test_own_votes_outlive_the_page_and_can_be_taken_back(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "classify", "first refund")
    card.get_by_role("button", name="Good answer").click()
    card = ask(page, "classify", "second refund")
    card.get_by_role("button", name="Bad answer").click()
    expect(own_votes(page)).to_have_count(2)
    listed_by_the_server(page, 2)
    page.reload()
    expect(own_votes(page)).to_have_count(2)
    page.get_by_role("button", name="Take back: Bad answer").click()
    expect(own_votes(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Take back: Good answer")).to_be_focused()
    page.get_by_role("button", name="Take back: Good answer").click()
    expect(page.get_by_text("None yet.")).to_be_visible()
    expect(page.get_by_role("heading", name="Your votes")).to_be_focused()


def test_taking_back_in_the_list_shows_on_the_answer(page: Page, site: Any) -> None:
    page.goto(site.url)
    card = ask(page, "classify")
    card.get_by_role("button", name="Good answer").click()
    page.get_by_role("button", name="Take back: Good answer").click()
    expect(card.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")


def test_votes_are_private_to_their_browser(page: Page, site: Any, chromium: Browser) -> None:
    page.goto(site.url)
    ask(page, "classify").get_by_role("button", name="Good answer").click()
    expect(own_votes(page)).to_have_count(1)
    stranger = chromium.new_context()
    elsewhere = stranger.new_page()
    elsewhere.goto(site.url)
    expect(elsewhere.get_by_text("None yet.")).to_be_visible()
    stranger.close()


@on_phone_too
def test_a_long_address_does_not_widen_the_page(page: Page, site: Any) -> None:
    address = "https://shop.example/orders/" + "0123456789" * 7
    page.goto(site.url)
    page.get_by_label("Your message").fill(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    ask(page, "classify", address)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")


@pytest.mark.parametrize("context", ["phone"], indirect=True)
def test_the_head_ends_where_the_cards_end(page: Page, site: Any) -> None:
    page.goto(f"{site.url}/operate")
    ends = "css => document.querySelector(css).getBoundingClientRect().right"
    expect(page.locator(".tiles")).to_be_visible()
    assert page.evaluate(ends, ".top-nav") == page.evaluate(ends, ".tiles")


@on_phone_too
def test_everything_works_from_the_keyboard(page: Page, site: Any) -> None:
    page.goto(site.url)
    choose(page, "classify")
    page.get_by_label("Your message").focus()
    page.keyboard.type("line one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("line two")
    page.keyboard.press("Enter")
    card = page.locator(".card").first
    expect(card.locator(".stamp")).to_contain_text("answered by")
    expect(card.locator(".question")).to_have_text("line one\nline two")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.thumb") == "up":
            break
    page.keyboard.press("Space")
    expect(own_votes(page)).to_contain_text("Good answer")


def test_an_empty_message_is_not_sent(page: Page, site: Any) -> None:
    page.goto(site.url)
    page.get_by_label("Your message").fill("   ")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Write your message first.")).to_be_visible()
    expect(page.locator(".card")).to_have_count(0)


def test_what_users_write_is_never_markup(page: Page, site: Any) -> None:
    page.goto(site.url)
    markup = "<img src=x onerror=document.title='gone'> refund"
    card = ask(page, "generate", markup)
    expect(card.locator(".question")).to_have_text(markup)
    card.get_by_role("button", name="Good answer").click()
    expect(own_votes(page)).to_have_count(1)
    assert page.locator("#answers img, #mine img").count() == 0
    assert page.title() == "Ask · Thumbwheel"


@on_phone_too
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave_on_the_users_page(page: Page, site: Any, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(site.url)
    card = ask(page, "classify")
    card.get_by_role("button", name="Good answer").click()
    card.get_by_role("button", name="Correct it").click()
    expect(own_votes(page)).to_have_count(1)
    choose(page, "generate")
    page.get_by_label("Give me two answers").check()
    card = ask(page, "generate")
    card.get_by_role("button", name="This one is better").first.click()
    expect(own_votes(page)).to_have_count(2)
    page.get_by_label("Give me two answers").uncheck()
    ask(page, "generate").get_by_label("2 of 5 stars").check(force=True)
    expect(own_votes(page)).to_have_count(3)
    assert grave_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")


@on_phone_too
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave_on_the_operators_page(page: Page, site: Any, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"{site.url}/operate")
    expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()
    assert grave_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    page.get_by_role("button", name="Promote").first.click()
    expect(page.get_by_role("dialog").locator(".button.primary")).to_have_text("Promote")
    assert grave_violations(page) == []
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("dialog").locator(".button.danger")).to_have_text("Roll back")
    expect(page.get_by_role("dialog").locator(".button.primary")).to_have_count(0)
    for required in page.get_by_role("dialog").locator("[required]").all():
        expect(page.locator(f"label[for={required.get_attribute('id')}]")).to_contain_text("required")
    assert grave_violations(page) == []


@pytest.mark.parametrize("context", ["phone"], indirect=True)
def test_figures_of_the_tiles_stay_together(page: Page, site: Any) -> None:
    page.goto(f"{site.url}/operate")
    beside = page.locator(".tile-figure small")
    expect(beside.last).to_have_text("waiting")
    page.evaluate("document.querySelector('.tile-figure small').textContent = 'of 2,812,850,000,000 at last'")
    for one in beside.all():
        assert one.evaluate("one => one.getClientRects().length") == 1


@on_phone_too
def test_a_version_is_promoted_and_rolled_back_with_a_reason(page: Page, site: Any) -> None:
    page.goto(f"{site.url}/operate")
    champion = page.locator(".tile-figure").first
    before = champion.inner_text()
    button = page.get_by_role("button", name="Promote").first
    version = str(button.get_attribute("data-version"))
    button.click()
    order = page.get_by_role("dialog", name=f"Promote {version}")
    order.get_by_label("Reason").fill("users asked for it")
    order.get_by_label("Your name").fill("Ada")
    order.get_by_role("button", name="Promote").click()
    expect(order).to_be_hidden()
    expect(champion).to_have_text(version)
    trail = page.locator(".history li").first
    expect(trail).to_contain_text(f"{before} → {version}")
    expect(trail).to_contain_text("by Ada")
    expect(trail).to_contain_text("users asked for it")
    page.get_by_role("button", name="Roll back").click()
    order = page.get_by_role("dialog", name=f"Roll back {version}")
    expect(order).to_contain_text(f"returns to {before}, the champion before {version}.")
    expect(order.get_by_label("Your name")).to_have_value("Ada")
    order.get_by_label("Reason").fill("they did not")
    order.get_by_role("button", name="Roll back").click()
    expect(champion).to_have_text(before)
    expect(page.locator(".history li").first).to_contain_text("they did not")


@on_phone_too
def test_a_canary_is_seen_and_stopped_with_a_reason(page: Page, memory_site: Any, world: World) -> None:
    world.status.policies[0].trial.CopyFrom(trial_of(HELPDESK, "canary", "v3", "v2"))
    page.goto(f"{memory_site.url}/operate")
    trial = page.get_by_role("region", name="On trial: canary v3 against v2")
    trial.get_by_text("Evidence").click()
    expect(trial.get_by_text("7.5 to 1")).to_be_visible()
    assert grave_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    trial.get_by_role("button", name="Stop the canary").click()
    order = page.get_by_role("dialog", name="Stop the canary v3")
    order.get_by_label("Reason").fill("customers complain")
    order.get_by_label("Your name").fill("Ada")
    assert grave_violations(page) == []
    order.get_by_role("button", name="Stop").click()
    expect(page.locator("#fresh")).to_have_text("The canary v3 was stopped.")
    expect(page.get_by_role("region", name="Last trial")).to_contain_text("Stopped by Ada: customers complain")
    expect(page.get_by_role("button", name="Stop the canary")).to_have_count(0)


def test_nothing_moves_without_a_reason(page: Page, site: Any) -> None:
    page.goto(f"{site.url}/operate")
    before = page.locator(".tile-figure").first.inner_text()
    page.get_by_role("button", name="Promote").first.click()
    order = page.get_by_role("dialog")
    order.get_by_label("Your name").fill("Ada")
    order.get_by_role("button", name="Promote").click()
    expect(order).to_be_visible()
    order.get_by_label("Reason").fill("   ")
    order.get_by_role("button", name="Promote").click()
    expect(order.get_by_role("alert")).to_contain_text("reason: must have 1 to 500 characters")
    order.get_by_role("button", name="Cancel").click()
    expect(order).to_be_hidden()
    expect(page.locator(".tile-figure").first).to_have_text(before)


def test_typed_text_outlives_refreshes(page: Page, site: Any) -> None:
    page.goto(f"{site.url}/operate")
    page.get_by_role("button", name="Roll back").click()
    order = page.get_by_role("dialog")
    order.get_by_label("Reason").fill("half a sen")
    for _ in range(2):
        with page.expect_response(re.compile("/operate/panels")):
            pass
    expect(order.get_by_label("Reason")).to_have_value("half a sen")
    page.keyboard.press("Escape")
    expect(order).to_be_hidden()


def test_each_policy_has_its_tab(page: Page, site: Any) -> None:
    page.goto(f"{site.url}/operate")
    tabs = page.get_by_role("navigation", name="Policies").get_by_role("link")
    expect(tabs).to_have_count(2)
    second = str(tabs.nth(1).get_attribute("href"))
    tabs.nth(1).click()
    page.wait_for_url(f"{site.url}{second}")
    expect(page.get_by_role("navigation", name="Policies").get_by_role("link").nth(1)).to_have_attribute(
        "aria-current", "page"
    )


def test_the_pages_lead_to_each_other(page: Page, site: Any) -> None:
    page.goto(site.url)
    page.get_by_role("link", name="Operate").click()
    expect(page.get_by_role("heading", name="Operate")).to_be_visible()
    page.get_by_role("link", name="Ask").click()
    expect(page.get_by_role("heading", name="Ask, then say how it was")).to_be_visible()


def test_a_wrong_address_is_explained(page: Page, site: Any) -> None:
    page.goto(f"{site.url}/nothing")
    expect(page.get_by_text("There is nothing at this address.")).to_be_visible()
    assert grave_violations(page) == []
