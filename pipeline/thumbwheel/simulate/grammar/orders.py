"""Orders under way: where they are, what is wrong with them, what shall change."""

from typing import Final

from thumbwheel.simulate.grammar.rule import IntentRule

INTENTS: Final = (
    IntentRule(
        "track_order",
        (
            "(where is|what about|where has) (my|the) (order|parcel|package) {order} (now|got to|today|)?",
            "(can you|could you|please) (track|trace|look up|locate) (order|parcel|shipment) {order} (for me|)",
            "(any|is there any) (news|update|word) (on|about) (order|shipment|number) {order}?",
            "(has|did) (order|parcel|number) {order} (left|leave|been sent from) the warehouse (yet|already)?",
            "I (would like|want|wish) to know (how far|where) the {product} of order {order} is",
            "when (will|does) (order|shipment) {order} (get|come) here (roughly|)?",
        ),
        (
            "Order {order} is *on its way* to you.",
            "Your order {order} has *left our warehouse*.",
        ),
    ),
    IntentRule(
        "cancel_order",
        (
            "(please|can you|could you|) (cancel|stop|call off|drop) (my|the) order {order}",
            "I (changed my mind|thought it over), (forget|scrap|drop) order {order}",
            "(is it|am I) too late to (cancel|undo|withdraw) order {order}?",
            "I (do not want|no longer need|have no use for) the {product} of order {order} (any more|)",
            "order {order} was (a mistake|placed by accident|an error), (undo it|take it back|do not send it)",
            "(do not|never mind, do not|please do not) (ship|send|dispatch) (order|number) {order}",
        ),
        (
            "I have *cancelled* order {order}.",
            "Order {order} is now *called off*.",
        ),
    ),
    IntentRule(
        "late_order",
        (
            "order {order} (should have|was to have) (come|arrived|been here) on {day}",
            "{day} has passed and (order|parcel) {order} is (still not|not) here",
            "you promised {day} for order {order} and (nothing|no parcel|nobody) came",
            "(I am|we are) (still|) waiting for order {order} since {day}",
            "why is order {order} (late|delayed|overdue)? it was due {day}",
            "(the courier|the driver) never (showed up|came) on {day} with order {order}",
        ),
        (
            "I have *chased the carrier* about order {order}, due {day}.",
            "Order {order} missed {day}, so I *sped it up*.",
        ),
    ),
    IntentRule(
        "missing_item",
        (
            "the {product} (is|was) (missing|not) (from|in) (order|parcel|box) {order}",
            "I (opened|unpacked) order {order} and (found no|there was no) {product} (in it|inside|)",
            "(parcel|box|order) {order} came without the {product}",
            "you (forgot|left out) the {product} in order {order}",
            "order {order} is (incomplete|one short), (no|the missing part is the) {product}",
            "everything but the {product} (was in|arrived with) order {order}",
        ),
        (
            "I will *send the missing* {product} of order {order}.",
            "The {product} *left out* of order {order} goes out today.",
        ),
    ),
    IntentRule(
        "wrong_item",
        (
            "I (got|received|was sent) a {product} (by mistake|that I never ordered) in order {order}",
            "(this is|that is) not what I (ordered|asked for), order {order} (held|contained) a {product}",
            "order {order}: (why did|how come) you (send|sent) me a {product}?",
            "there is a (strange|stray|wrong) {product} in (parcel|order|box) {order}",
            "you mixed up order {order}, I (found|have) a {product} instead",
            "someone else's {product} (came|arrived) (with|in) order {order}",
        ),
        (
            "We will *swap the wrong* {product} in order {order}.",
            "Keep the {product}, the *right one* for order {order} follows.",
        ),
    ),
    IntentRule(
        "change_address",
        (
            "(please|can you|) (send|ship|redirect) order {order} to {city} instead",
            "I (moved|am moving) to {city}, (update|change|mend) the address of order {order}",
            "the address (on|of) order {order} is (old|wrong), (it should be|use) {city}",
            "order {order} (has to|must|should) go to {city} now",
            "can order {order} (still|) (be rerouted|be redirected|go) to (my office in|my flat in|) {city}?",
            "(new|different) delivery address for order {order}: {city}",
        ),
        (
            "Order {order} now *goes to* {city}.",
            "I have *redirected* order {order} to {city}.",
        ),
    ),
    IntentRule(
        "change_day",
        (
            "(please|can you|) (deliver|bring) order {order} on {day} instead",
            "(nobody is|I am not) (home|in) then, (make it|move it to) {day} for order {order}",
            "could order {order} (come|arrive|be delivered) on {day}?",
            "(reschedule|postpone|move) (delivery of|) order {order} to {day}",
            "{day} (suits|works) (me|us) better for order {order}",
            "I (need|want) the {product} of order {order} (by|on) {day}, not (before|later)",
        ),
        (
            "Order {order} is *rescheduled* for {day}.",
            "We *will deliver* order {order} on {day}.",
        ),
    ),
    IntentRule(
        "store_pickup",
        (
            "(can I|may I|I want to) (collect|pick up|fetch) order {order} in (your|the) {city} (shop|store|branch)",
            "(hold|keep|leave) order {order} at (the|your) (shop|store|branch) in {city}",
            "I (pass|am in|work in) {city}, so I (would rather|could) (fetch|collect) order {order} myself",
            "(is|would) pickup of order {order} in {city} (possible|be possible)?",
            "no delivery please, order {order} (can wait|should wait) for me in {city}",
        ),
        (
            "Order {order} is *ready to collect* in {city}.",
            "Our {city} shop *keeps it* for you, order {order}.",
        ),
    ),
    IntentRule(
        "gift_wrap",
        (
            "(please|can you|could you) (wrap|gift wrap|pack nicely) order {order} for {name}",
            "order {order} is a (present|gift|birthday surprise) for {name}, (wrap it|can it be wrapped)",
            "(add|put) a (card|ribbon|note) for {name} (to|on) order {order}",
            "I (want|would like) (gift paper|wrapping|a bow) on order {order}, it is for {name}",
            "(do you|can you) (do|offer) wrapping? {name} is to (get|open) order {order}",
        ),
        (
            "Order {order} will be *gift wrapped* for {name}.",
            "I added *ribbon and card* for {name} to order {order}.",
        ),
    ),
)
