"""The shop itself: stock, hours, manuals, staff."""

from typing import Final

from thumbwheel.simulate.grammar.rule import IntentRule

INTENTS: Final = (
    IntentRule(
        "stock_check",
        (
            "(do you|does your shop) (have|stock|sell) (a|the) {product} in {city}?",
            "is (a|the) {product} (available|in stock|on the shelf) in {city}?",
            "(I am looking|looking) for a {product} in {city}, (any left|got one)?",
            "(when|will) the {product} (is|be) back (in stock|on sale) in {city}?",
            "can I (buy|see|try) a {product} in (your|the) {city} (shop|store)?",
        ),
        (
            "The {product} is *in stock* in {city}.",
            "Our {city} shop keeps the {product} *on the shelf*.",
        ),
    ),
    IntentRule(
        "opening_hours",
        (
            "(when|at what time) (is|do you open) your {city} (shop|store) (open|) on {day}?",
            "are you open (in|at) {city} on {day}?",
            "(what are|tell me) the (hours|opening times) in {city} (on|for) {day}",
            "how late can I come (by|in) on {day} in {city}?",
            "(does|is) the {city} (branch|shop) (close|closed) on {day}?",
        ),
        (
            "In {city} we are *open from nine* on {day}.",
            "Our {city} shop *opens at nine* on {day}.",
        ),
    ),
    IntentRule(
        "product_manual",
        (
            "how do I (set up|use|clean|assemble) (my|the) {product}?",
            "I (lost|need|can not find) the (manual|instructions|booklet) (of|for) (my|the) {product}",
            "(where|how) (can I|do I) (get|find) (a manual|instructions) for the {product}?",
            "the {product} came without (instructions|a manual|a booklet)",
            "(what does|explain) the (red light|button|switch) on the {product} (mean|do|please)",
        ),
        (
            "The *manual* of the {product} is on our site.",
            "I sent you the *instructions* for the {product}.",
        ),
    ),
    IntentRule(
        "staff_complaint",
        (
            "{name} (at|in) your {city} (shop|branch|store) was (rude|unfriendly|no help)",
            "I (want|wish) to complain about {name} in {city}",
            "your (man|colleague|clerk) {name} in {city} (shouted at|ignored|laughed at) me",
            "(poor|bad|terrible) service from {name} (at|in) (the|your|) {city} (shop|store|branch)",
            "(the way|how) {name} in {city} treated (me|us) (is not right|was awful)",
        ),
        (
            "I have *told the manager* in {city} about {name}.",
            "The head of our {city} shop will *speak with* {name}.",
        ),
    ),
)
