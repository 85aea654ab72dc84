"""Words with their tags on the user's page: shown in colour, rated, and corrected by choosing, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from demo_world import World
from playwright.sync_api import Page, expect
from tests.e2e.test_pages import choose, grave_violations, listed_by_the_server, on_phone_too, own_votes

pytestmark = pytest.mark.browser


@on_phone_too
def test_words_are_marked_rated_and_corrected(page: Page, memory_site: Any, world: World) -> None:
    world.tags_words = True
    page.goto(memory_site.url)
    choose(page, "tag")
    page.get_by_label("Your message").fill("Send it to New York")
    page.get_by_role("button", name="Ask", exact=True).click()
    card = page.locator(".card").first
    expect(card.locator(".stamp")).to_contain_text("answered by")
    expect(card.locator(".answer")).to_have_text("Send city 50.0 % it to New city 50.0 % York city 50.0 %")
    expect(card.locator("mark")).to_have_count(3)
    expect(card.locator(".drawn")).to_contain_text("What each word is was drawn at random, by the probability beside it")
    card.get_by_role("button", name="Bad answer").click()
    expect(card.locator(".candidate-note")).to_have_text("Counted. Thank you!")
    card.get_by_role("button", name="Correct it").click()
    expect(card.get_by_label("York")).to_have_value("B-city")
    expect(card.locator(".tag-fields label span")).to_have_text([f"{word} 50.0 %" for word in "Send it to New York".split()])
    assert grave_violations(page) == []
    card.get_by_label("Send").select_option("O")
    card.get_by_label("York").select_option("I-city")
    card.get_by_role("button", name="Send the correction").click()
    expect(card.locator(".candidate-note")).to_have_text("Your correction counts. Thank you!")
    [edit] = [vote.edit for vote in world.votes.values() if vote.edit]
    assert edit.tags == ("O", "O", "O", "B-city", "I-city")
    listed_by_the_server(page, votes=2)
    expect(own_votes(page)).to_have_count(2)
    expect(own_votes(page).filter(has_text="New York (city)")).to_have_count(1)
