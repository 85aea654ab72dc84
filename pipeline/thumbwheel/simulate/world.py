"""The help desk: what customers ask, how clerks of mixed skill reply, and how good a reply truly is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from thumbwheel.errors import InvalidInput
from thumbwheel.simulate.grammar import account, orders, payments, returns, shop
from thumbwheel.simulate.grammar import phrases as say
from thumbwheel.simulate.grammar.rule import IntentRule, expand, slot_names, split_slots
from thumbwheel.simulate.message import HelpRequest, Slot
from thumbwheel.simulate.quality import ReplyQuality, judge_reply

RULES: Final[Mapping[str, IntentRule]] = {
    rule.name: rule for rule in (*orders.INTENTS, *returns.INTENTS, *payments.INTENTS, *account.INTENTS, *shop.INTENTS)
}

ALL_INTENTS: Final = tuple(RULES)

# What a very small language model can learn to answer in a minute: every kind of slot, a dozen matters.
DESK_INTENTS: Final = (
    "track_order",
    "cancel_order",
    "late_order",
    "missing_item",
    "change_address",
    "change_day",
    "return_item",
    "damaged_item",
    "refund_status",
    "send_invoice",
    "reset_password",
    "stock_check",
)

# A reply of this true quality or better pleases a user.
PLEASING_QUALITY: Final = 0.75


class World:
    """A seeded help desk. The seed chooses its catalogue, names and cities; a `Random` passed in, all the rest.

    Equal seeds and equal random states give equal text on every machine.
    """

    def __init__(self, seed: int = 0, intents: Sequence[str] = ALL_INTENTS, typos: float = 0.35) -> None:
        """Take up the matters `intents`. `typos` is the share of messages with slips of the keyboard, in [0, 1].

        Raises:
            InvalidInput: an intent does not exist, or there are none.
        """
        unknown = sorted(set(intents) - set(RULES))
        if unknown or not intents:
            raise InvalidInput("intents", f"unknown or empty: {unknown}: use some of {', '.join(RULES)}")
        rng = Random(f"world {seed}")
        self._seed = seed
        self._rules = {name: RULES[name] for name in intents}
        self._typos = typos
        self._values: dict[str, list[str]] = {
            "product": sorted(rng.sample(say.PRODUCTS, 18)),
            "name": sorted(rng.sample(say.NAMES, 16)),
            "city": sorted(rng.sample(say.CITIES, 14)),
            "day": list(say.DAYS),
        }
        self._slot_of = {value.lower(): slot for slot, values in self._values.items() for value in values}

    @property
    def intents(self) -> tuple[str, ...]:
        """Names of the intents: the labels of `classify`."""
        return tuple(self._rules)

    def message(self, rng: Random, intent: str | None = None) -> HelpRequest:
        """Write a customer's message, of a random intent where none is asked for.

        Raises:
            InvalidInput: the intent does not exist.
        """
        name = rng.choice(self.intents) if intent is None else intent
        core = expand(rng.choice(self._rule(name).asks), rng)
        taken = set(slot_names(core))
        parts = [core]
        if rng.random() < 0.45:
            parts.insert(rng.choice((0, 1)), self._aside(rng, taken))
        if rng.random() < 0.4:
            parts.insert(0, rng.choice(say.GREETINGS))
        if rng.random() < 0.3:
            parts.append(rng.choice(say.PARTINGS))
        return self._fill(self._join(parts, rng), name, rng)

    def good_reply(self, request: HelpRequest) -> str:
        """Return the model reply: courteous, to the point, with the right values. Always the same for a message."""
        rng = Random(f"good {self._seed} {request.text}")
        act = self._act(RULES[request.intent], {s.name: s.value for s in request.slots}, rng)
        return self._frame(act, rng, rude=False)

    def mixed_reply(self, request: HelpRequest, rng: Random) -> str:
        """Return a reply by a clerk of mixed skill: it may be off the point, rude, wrong, rambling or repetitive."""
        rule = RULES[request.intent]
        values = {slot.name: slot.value for slot in request.slots}
        if rng.random() < 0.1:
            rule = RULES[rng.choice(self.intents)]
        for slot in rule.required:
            if slot not in values or rng.random() < 0.1:
                values[slot] = self._value(slot, rng)
        act = rng.choice(say.VAGUE_ANSWERS) if rng.random() < 0.06 else self._act(rule, values, rng)
        if rng.random() < 0.2:
            act = f"{act} {act}"
        if rng.random() < 0.25:
            act = f"{act} {rng.choice(say.FILLERS)}"
        return self._frame(act, rng, rude=rng.random() < 0.35)

    def judge(self, request: HelpRequest, reply: str) -> ReplyQuality:
        """Return the parts of a reply's true quality."""
        return judge_reply(RULES[request.intent], RULES, self._slot_of, request, reply)

    def reply_quality(self, request: HelpRequest, reply: str) -> float:
        """Return a reply's true quality in [0, 1]: right intent, right slots, polite, short, not repeating."""
        return self.judge(request, reply).total

    def _rule(self, intent: str) -> IntentRule:
        if intent not in self._rules:
            raise InvalidInput("intent", f"unknown: use one of {', '.join(self._rules)}")
        return self._rules[intent]

    def _aside(self, rng: Random, taken: set[str]) -> str:
        """A sentence on something else; slots the request has already are not named again."""
        asides = [aside for aside in say.SLOT_ASIDES if not taken & set(slot_names(aside))]
        return expand(rng.choice(asides if rng.random() < 0.35 else say.ASIDES), rng)

    def _join(self, parts: list[str], rng: Random) -> str:
        joined = ""
        for part in parts:
            end = (
                "" if part.endswith("?") else rng.choice((".", ".", ",", "")) if part is parts[-1] else rng.choice(".,")
            )
            joined += f"{part}{end} "
        return joined.strip()

    def _fill(self, template: str, intent: str, rng: Random) -> HelpRequest:
        """Put values into the slots and slips between them, noting where each value stands."""
        careless = rng.random() < self._typos
        shouting = rng.random() < 0.03
        text, slots = "", []
        for piece, slot in split_slots(template):
            if slot:
                value = self._value(slot, rng)
                slots.append(Slot(slot, value, len(text), len(text) + len(value)))
                text += value
            else:
                piece = _with_slips(piece, rng) if careless else piece
                text += piece.upper() if shouting else piece
        return HelpRequest(text, intent, tuple(slots))

    def _value(self, slot: str, rng: Random) -> str:
        return str(rng.randrange(100, 1000)) if slot == "order" else rng.choice(self._values[slot])

    def _act(self, rule: IntentRule, values: Mapping[str, str], rng: Random) -> str:
        return expand(rng.choice(rule.acts), rng).format_map(values)

    def _frame(self, act: str, rng: Random, *, rude: bool) -> str:
        openings = say.RUDE_OPENINGS if rude else say.COURTEOUS_OPENINGS
        closings = say.RUDE_CLOSINGS if rude else say.COURTEOUS_CLOSINGS
        shape = rng.random()
        if shape < 0.4:
            return f"{rng.choice(openings)} {act}"
        return (
            f"{act} {rng.choice(closings)}" if shape < 0.8 else f"{rng.choice(openings)} {act} {rng.choice(closings)}"
        )


def small_desk(seed: int) -> World:
    """Return the world for `generate`: few enough matters, and slips rare enough, for a policy trained in a minute."""
    return World(seed, DESK_INTENTS, typos=0.2)


def _with_slips(text: str, rng: Random) -> str:
    """Swap, drop or double one letter in about one word of eight."""
    return " ".join(_slip(word, rng) if len(word) > 3 and rng.random() < 0.12 else word for word in text.split(" "))


def _slip(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )
