"""Money: charges, invoices, vouchers, prices."""

from typing import Final

from thumbwheel.simulate.grammar.rule import IntentRule

INTENTS: Final = (
    IntentRule(
        "double_charge",
        (
            "I was (charged|billed) (twice|two times|double) for order {order}",
            "order {order} (shows up|appears|was taken) twice on my (statement|card|account)",
            "(why did you|you) (take|took) the money for order {order} (twice|two times)",
            "(there are|I see) two (payments|charges|debits) for order {order}",
            "my bank (says|shows) I paid order {order} (twice|double)",
            "(one|the second) (payment|charge) for order {order} (is too much|must be a mistake)",
        ),
        (
            "The *second charge* for order {order} is reversed.",
            "I gave back the *extra payment* for order {order}.",
        ),
    ),
    IntentRule(
        "card_declined",
        (
            "my card (was|is|keeps being) (declined|refused|rejected) for order {order}",
            "(payment|paying) for order {order} (does not|will not) (go through|work)",
            "I (can not|cannot) pay (for|) order {order}, (it says error|the page refuses|it fails)",
            "order {order} is (stuck|hanging) at payment, my (card|bank) (is fine|has money)",
            "(why does|how come) the checkout (rejects|reject) my card? order {order}",
        ),
        (
            "Please *try the payment* for order {order} again.",
            "I *unblocked payment* for order {order}.",
        ),
    ),
    IntentRule(
        "send_invoice",
        (
            "(please|can you|could you) (send|mail|give) me (an|the) (invoice|bill|receipt) for order {order}",
            "I (need|lost|never got) the (invoice|receipt|bill) (of|for) order {order}",
            "(where|how) (do|can) I (find|get|download) the (receipt|invoice) for order {order}?",
            "my (boss|accountant|company) (needs|wants) (a bill|an invoice|paperwork) for order {order}",
            "order {order} came without (a|any) (bill|receipt|invoice)",
        ),
        (
            "The *invoice* for order {order} is in your inbox.",
            "I have *mailed the bill* for order {order}.",
        ),
    ),
    IntentRule(
        "apply_voucher",
        (
            "(my|the) (voucher|coupon|code) (was not|is not) (used|applied|taken) on order {order}",
            "(please|can you|) (apply|use|add) (my|the) (coupon|voucher|discount code) (to|on|for) order {order}",
            "I forgot (to enter|) (my|the) (voucher|coupon) (with|for|on) order {order}",
            "the (code|coupon) from the (newsletter|letter) should (count|work) for order {order}",
            "order {order} was (full price|too dear), I (had|have) a (voucher|coupon)",
        ),
        (
            "Your *voucher* now counts for order {order}.",
            "I took the *coupon* off the price of order {order}.",
        ),
    ),
    IntentRule(
        "price_match",
        (
            "(I saw|there is) the {product} (cheaper|for less) in {city}",
            "a shop in {city} (sells|has|offers) the {product} for (less|a lower price)",
            "(can you|will you|do you) (match|beat) the price of the {product} in {city}?",
            "(why is|how come) your {product} (is dearer|costs more|dearer) than in {city}",
            "(lower|drop) the price of the {product}, (they ask less|it is less) in {city}",
        ),
        (
            "We *match the price* of the {product} in {city}.",
            "You get the {product} at the *same price* as in {city}.",
        ),
    ),
)
