"""The help desk: seeded, spans right, good replies perfect, every flaw costs what it says."""

from random import Random

import pytest

from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.grammar import phrases
from thumbwheel.simulate.grammar.rule import SLOTS, expand, slot_names
from thumbwheel.simulate.message import HelpRequest, Slot
from thumbwheel.simulate.world import DESK_INTENTS, RULES, World

WORLD = World(0)
REQUEST = HelpRequest(
    "hi, order 417: bring it to Leeds, I write from Cork",
    "change_address",
    (Slot("order", "417", 10, 13), Slot("city", "Leeds", 27, 32), Slot("city", "Cork", 47, 51)),
)


def messages(count: int, seed: int = 1) -> list[HelpRequest]:
    rng = Random(seed)
    return [WORLD.message(rng) for _ in range(count)]


def test_equal_seeds_give_equal_text() -> None:
    assert messages(50) == messages(50)
    assert messages(50) != messages(50, seed=2)
    assert [World(3).good_reply(m) for m in messages(20)] == [World(3).good_reply(m) for m in messages(20)]


def test_there_are_enough_intents_and_each_occurs() -> None:
    assert len(WORLD.intents) == 30
    assert {m.intent for m in messages(600)} == set(WORLD.intents)


def test_slots_stand_where_they_say_and_cover_what_a_reply_needs() -> None:
    for message in messages(1500):
        assert all(message.text[s.start : s.end] == s.value for s in message.slots)
        assert set(RULES[message.intent].required) <= {s.name for s in message.slots}


def test_tags_follow_the_spans() -> None:
    tags = dict(REQUEST.tagged_words())
    assert (tags["417"], tags["Leeds"], tags["order"]) == ("B-order", "B-city", "O")


def test_good_replies_are_perfect() -> None:
    for message in messages(1500):
        assert WORLD.reply_quality(message, WORLD.good_reply(message)) == 1.0


def test_mixed_replies_are_mixed() -> None:
    rng = Random(5)
    found = [WORLD.reply_quality(m, WORLD.mixed_reply(m, rng)) for m in messages(1500)]
    assert 0.45 < sum(found) / len(found) < 0.65
    assert min(found) == 0.0
    assert max(found) == 1.0


@pytest.mark.parametrize(
    ("reply", "quality"),
    [
        ("Happy to help. Order 417 now goes to Leeds.", 1.0),
        ("Order 417 now goes to Leeds.", (0.5 + 1 + 1) / 3),
        ("Order 417 now goes to Leeds. Leave me alone.", 2 / 3),
        ("Happy to help. Order 417 now goes to Varna.", 1 / 4 + 3 / 4 * 0.25),
        ("Happy to help. Order 999 now goes to Varna.", 1 / 4),
        ("Happy to help. I have cancelled order 417.", 0.0),
        ("Happy to help. I have cancelled it. Order 417 now goes to Leeds.", 0.5),
        ("Happy to help.", 0.0),
        ("", 0.0),
    ],
)
def test_each_flaw_costs_what_it_says(reply: str, quality: float) -> None:
    world = World(0)
    world._slot_of["varna"] = "city"
    assert world.reply_quality(REQUEST, reply) == pytest.approx(quality)


def test_repeating_and_rambling_cost() -> None:
    once = "Thanks for asking. Order 417 now goes to Leeds."
    assert WORLD.judge(REQUEST, f"{once} {once}").fresh == 0.0
    assert WORLD.judge(REQUEST, f"{once} Order 417 now.").fresh == pytest.approx(1 - 3 * 1 / 10)
    assert WORLD.judge(REQUEST, "word " * 22).short == pytest.approx(0.5)
    assert WORLD.judge(REQUEST, "word " * 25).short == 0.0


def test_no_intents_answer_is_mistaken_for_anothers() -> None:
    said = [*phrases.FILLERS, *phrases.VAGUE_ANSWERS, *phrases.COURTEOUS_OPENINGS, *phrases.COURTEOUS_CLOSINGS]
    for rule in RULES.values():
        others = [act.replace("*", "") for other in RULES.values() if other is not rule for act in other.acts]
        assert not [(key, text) for key in rule.keys for text in [*said, *others] if key in text.lower()]


def test_the_grammar_is_whole() -> None:
    for rule in RULES.values():
        assert rule.required
        assert all(set(slot_names(act)) == set(rule.required) for act in rule.acts)
        assert all(set(rule.required) <= set(slot_names(ask)) <= set(SLOTS) for ask in rule.asks)
    assert set(DESK_INTENTS) < set(RULES)


def test_expand_takes_one_alternative() -> None:
    found = {expand("(a|b (c|d)|) *order* {order} ?", Random(i)) for i in range(50)}
    assert found == {"a order {order}?", "b c order {order}?", "b d order {order}?", "order {order}?"}


def test_unknown_intents_are_named() -> None:
    with pytest.raises(InvalidInput, match="juggle"):
        World(0, ["juggle"])
    with pytest.raises(InvalidInput, match="use one of track_order"):
        World(0, ["track_order"]).message(Random(0), "cancel_order")
