"""After delivery: returns, exchanges, damage, refunds, guarantees."""

from typing import Final

from thumbwheel.simulate.grammar.rule import IntentRule

INTENTS: Final = (
    IntentRule(
        "return_item",
        (
            "I (want|would like|wish) to (return|send back|give back) the {product} (from|of) order {order}",
            "how (do|can) I (return|send back) (my|the) {product} (of|from) order {order}?",
            "the {product} of order {order} (is not for me|does not suit me), (take it back|it goes back)",
            "(please|) (arrange|start|book) a return for the {product}, order {order}",
            "I (am not happy with|do not like) the {product}, order {order}, (can it go back|I am sending it back)",
            "(where|whom) do I (send|ship) the {product} (back to|to) ? order {order}",
        ),
        (
            "Here is a *return label* for the {product} of order {order}.",
            "You may *send back* the {product} of order {order}.",
        ),
    ),
    IntentRule(
        "exchange_item",
        (
            "(can I|I want to|may I) (exchange|swap|trade) the {product} (of|from) order {order} (for another colour|)",
            "the {product} of order {order} is too (small|big|tight|dark), (I need another|another one please)",
            "(please|) (change|swap) (my|the) {product} for a (bigger|smaller|lighter) one, order {order}",
            "order {order}: I need the {product} in (another|a different) (size|colour)",
            "(wrong|the wrong) size of {product} picked in order {order}, (swap it|can we change that)",
        ),
        (
            "I have *set up an exchange* of the {product}, order {order}.",
            "We will *exchange* the {product} of order {order}.",
        ),
    ),
    IntentRule(
        "damaged_item",
        (
            "the {product} (of|from|in) order {order} (arrived|came|was) (broken|cracked|in pieces|dented)",
            "order {order} (arrived|came) (damaged|smashed), the {product} is (ruined|scratched)",
            "my {product} was (crushed|cracked|torn) (on the way|in the post), order {order}",
            "(there is|I see) a (crack|dent|hole|scratch) in the {product} of order {order}",
            "the box of order {order} was (wet|open|crushed) and the {product} (is broken|does not look right)",
        ),
        (
            "We will *replace the broken* {product} of order {order}.",
            "A *replacement* {product} for order {order} is packed.",
        ),
    ),
    IntentRule(
        "refund_status",
        (
            "(where is|what about|when do I get) (my|the) (refund|money) for order {order}?",
            "I (sent back|returned) order {order} and (got no|have seen no|still wait for my) (money|refund)",
            "(has|did) (the refund|my money) for order {order} (been paid|go out|gone out) (yet|)?",
            "you (owe me|still owe me) (the money|a refund) for order {order}",
            "how long (does|will) (a|the) (refund|repayment) for order {order} take?",
            "order {order} was (returned|taken back), (my bank shows|there is) nothing (yet|so far)",
        ),
        (
            "The *refund* for order {order} was paid.",
            "Your *money* for order {order} is with your bank.",
        ),
    ),
    IntentRule(
        "warranty_claim",
        (
            "(my|the) {product} (stopped working|died|gave up) after (two months|half a year|a year)",
            "is (my|the) {product} still (under warranty|covered|under guarantee)?",
            "I (have|want to make) a (warranty|guarantee) claim for (my|a|the) {product}",
            "the {product} (fails|failed|broke down) (long before it should|all by itself), (covered|who pays)?",
            "(does|will) the (guarantee|warranty) (cover|pay for) a (dead|faulty) {product}?",
        ),
        (
            "Your {product} is *under warranty*.",
            "The *guarantee covers* your {product}.",
        ),
    ),
    IntentRule(
        "book_repair",
        (
            "(can|could) (someone|you) (repair|fix|mend) my {product} in {city}?",
            "I (need|want) (a repair|a mechanic|somebody to fix) for (my|the) {product} in {city}",
            "(where|who) in {city} (repairs|fixes|mends) (a|my) {product}?",
            "(book|arrange) a repair (slot|visit|) in {city} for my {product}",
            "my {product} (squeaks|leaks|rattles), is there a (workshop|service) in {city}?",
        ),
        (
            "A *repair* of your {product} is booked in {city}.",
            "Our {city} *workshop* will look at your {product}.",
        ),
    ),
)
