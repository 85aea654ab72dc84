"""Words with their tags on the user's page: shown in colour, rated, and corrected by choosing, in a real browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from demo_world import World
from playwright.sync_api import Page, Route, expect
from tests.e2e.test_pages import ask, grave_violations, listed_by_the_server, on_phone_too, own_votes

pytestmark = pytest.mark.browser


@on_phone_too
def test_words_are_marked_rated_and_corrected(page: Page, memory_site: Any, world: World) -> None:
    world.tags_words = True
    page.goto(memory_site.url)
    card = ask(page, "tag", "Send it to New York")
    expect(card.locator(".answer")).to_have_text("Send city 50.0 % it to New city 50.0 % York city 50.0 %")
    expect(card.locator("mark")).to_have_count(3)
    expect(card.locator(".drawn")).to_contain_text(
        "What each word is was drawn at random, by the probability beside it"
    )
    card.get_by_role("button", name="Bad answer").click()
    expect(card.locator(".candidate-note")).to_have_text("Counted. Thank you!")
    card.get_by_role("button", name="Correct it").click()
    york = card.get_by_role("combobox", name="York")
    expect(york).to_have_value("city")
    begins = card.locator(".tag-fields").get_by_role("checkbox")
    expect(begins).to_have_count(1)
    expect(begins).to_be_checked()
    words = ("Send", "it", "to", "New", "York")
    expect(card.locator(".tag-field span")).to_have_text([f"{word} 50.0 %" for word in words])
    assert grave_violations(page) == []
    card.get_by_role("combobox", name="Send").select_option("–")
    card.get_by_label("York begins a new one").uncheck()
    card.get_by_role("button", name="Send the correction").click()
    expect(card.locator(".candidate-note")).to_have_text("Your correction counts. Thank you!")
    [edit] = [vote.edit for vote in world.votes.values() if vote.edit]
    assert edit.tags == ("O", "O", "O", "B-city", "I-city")
    listed_by_the_server(page, votes=2)
    expect(own_votes(page)).to_have_count(2)
    expect(own_votes(page).filter(has_text="New York (city)")).to_have_count(1)


def test_an_entity_is_named_where_it_begins_as_the_service_reads_tags(
    page: Page, memory_site: Any, world: World
) -> None:
    world.tags_words = True
    page.goto(memory_site.url)
    card = ask(page, "tag", "to Rome and OSLO or NEW YORK")  # O B O I O I I
    expect(card.locator(".answer")).to_have_text(
        "to Rome city 50.0 % and OSLO city 50.0 % or NEW city 50.0 % YORK 50.0 %"
    )
    card.get_by_role("button", name="Good answer").click()
    listed_by_the_server(page, votes=1)
    expect(own_votes(page).filter(has_text="Rome (city), OSLO (city), NEW YORK (city)")).to_have_count(1)


LABELS = ["O", *(f"{edge}-{name}" for name in ("city", "day", "order", "product") for edge in "BI")]
PERCENT = "50.0\u202f%"


def answered_with(page: Page, tags: list[str]) -> None:
    """Let the policy have more names, and let it tag a text's words so."""

    def with_names(route: Route) -> None:
        response = route.fetch()
        few = '["O", "B-city", "I-city"]'
        assert few in response.text()
        route.fulfill(response=response, body=response.text().replace(few, json.dumps(LABELS)))

    def tagged(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        for word, tag in zip(body["answers"][0]["words"], tags, strict=True):
            word["tag"] = tag
        route.fulfill(response=response, json=body)

    page.route(re.compile(r"/$"), with_names)
    page.route("**/ask/tag", tagged)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("c/o Mr. O'Neill,\nby 12:30!", f"c/o Mr\xa0city {PERCENT}. O'Neill\xa0city {PERCENT},\nby 12:30!"),
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467 去北京\U0001f680Rome",
            f"\U0001f468\u200d\U0001f469\u200d\U0001f467 去北京\U0001f680Rome\xa0city {PERCENT}",
        ),
    ],
)
def test_a_text_stands_as_it_was_written(page: Page, memory_site: Any, world: World, text: str, shown: str) -> None:
    world.tags_words = True
    page.goto(memory_site.url)
    assert ask(page, "tag", text).locator(".answer").text_content() == shown


@pytest.mark.parametrize("context", ["phone"], indirect=True)
def test_names_have_colours_of_their_own_and_stay_beside_their_words(
    page: Page, memory_site: Any, world: World
) -> None:
    world.tags_words = True
    answered_with(page, ["I-order", "I-order", "I-product", "B-city", "O", "B-day", *["I-day"] * 8])
    page.goto(memory_site.url)
    marks = ask(page, "tag", "Please please send Rome on Friday////////").locator("mark")
    words = ("Please order", "please", "send product", "Rome city", "Friday day", *"////////")
    expect(marks).to_have_text([f"{word} 50.0 %" for word in words])
    colours = marks.evaluate_all("marks => marks.map(one => getComputedStyle(one).backgroundColor)")
    assert len(set(colours)) == 4 and colours[0] == colours[1] and colours[4] == colours[5]
    assert set(marks.evaluate_all("marks => marks.map(one => one.getClientRects().length)")) == {1}


def test_neighbours_of_one_name_are_one_unless_told_otherwise(page: Page, memory_site: Any, world: World) -> None:
    world.tags_words = True
    answered_with(page, ["I-order", "O", "O", "B-city"])
    nothing = {"votes": [], "complete": True}
    page.route(
        "**/votes", lambda route: route.fulfill(json=nothing) if route.request.method == "GET" else route.fallback()
    )
    page.goto(memory_site.url)
    card = ask(page, "tag", "order 4711 4712 Rome")
    card.get_by_role("button", name="Correct it").click()
    for word, name in (("order", "order"), ("4711", "order"), ("4712", "order"), ("Rome", "–")):
        card.get_by_role("combobox", name=word).select_option(name)
    expect(card.locator(".tag-fields").get_by_role("checkbox")).to_have_count(2)
    card.get_by_label("4712 begins a new one").check()
    with page.expect_request(lambda one: one.method == "POST" and one.url.endswith("/votes")) as sent:
        card.get_by_role("button", name="Send the correction").click()
    assert json.loads(sent.value.post_data or "")["edit"]["tags"] == ["B-order", "I-order", "B-order", "O"]
    expect(own_votes(page)).to_contain_text("Corrected to: order 4711 (order), 4712 (order)")
    expect(own_votes(page).locator(".vote-answer")).to_have_text("order (order), Rome (city)")
