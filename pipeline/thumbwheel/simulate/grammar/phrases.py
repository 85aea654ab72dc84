"""What stands around the request and around the answer, and the values that fill the slots."""

from typing import Final

# fmt: off
PRODUCTS: Final = (
    "kettle", "lamp", "tent", "jacket", "toaster", "blender", "radio", "drill", "carpet", "mirror", "helmet",
    "camera", "pillow", "guitar", "suitcase", "clock", "heater", "sofa", "bicycle", "printer", "scarf",
    "teapot", "ladder", "fan",
)
NAMES: Final = (
    "Mara", "Tobin", "Ines", "Yusuf", "Greta", "Oskar", "Lina", "Pavel", "Rosa", "Hugo", "Amira", "Felix",
    "Nadia", "Bruno", "Celia", "Dario", "Esme", "Goran", "Jonas", "Keiko",
)
CITIES: Final = (
    "Leeds", "Porto", "Lyon", "Turin", "Ghent", "Bergen", "Malmo", "Krakow", "Graz", "Split", "Basel", "Cork",
    "Bilbao", "Utrecht", "Bremen", "Riga", "Tampere", "Varna",
)
DAYS: Final = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)
# fmt: on

GREETINGS: Final = ("hello", "hi", "hi there", "good morning", "good evening", "dear team", "hey", "excuse me")

# Asides name other matters than the request: a classifier has to tell them apart.
ASIDES: Final = (
    "(my last|the last) refund (came|was paid) (quickly|on time), thanks",
    "I (already|just) reset my password, (that is fine|that works)",
    "(this is not|it is not) about (a return|an invoice|my account|the warranty)",
    "I (do not want|am not asking for) (money back|a voucher|an exchange)",
    "(the delivery|the courier|your driver) was (friendly|quick) (last time|)",
    "I (read|saw) (it in|) your newsletter",
    "my (sister|neighbour|boss) (bought|ordered) the same (last week|)",
    "(your|the) shop was (closed|open) when I (passed|came by)",
    "I (paid|always pay) by card",
    "I (tried|looked at) the (manual|website|help page) first",
    "(I hope|hopefully) this is (not|no) trouble",
    "I (called|wrote) (twice|two times|before) and (nobody answered|got no answer)",
    "it was (a gift|wrapped|on sale)",
    "I may (cancel|return) (the other one|something else) (later|)",
)
SLOT_ASIDES: Final = (
    "I (ordered|bought) (it|this) on {day}",
    "I (live in|write from) {city}",
    "this is {name}",
    "I also (have|own) a {product} (from you|)",
)
PARTINGS: Final = ("thanks", "thank you", "please hurry", "cheers", "best regards", "waiting for your answer")

COURTEOUS_OPENINGS: Final = ("Thank you for writing.", "Happy to help.", "Thanks for asking.", "Sorry for the trouble.")
COURTEOUS_CLOSINGS: Final = ("Have a nice day!", "Kind regards.", "Please write any time.")
RUDE_OPENINGS: Final = ("Not you again.", "What now?", "Read the rules.", "I am busy.")
RUDE_CLOSINGS: Final = ("Stop whining.", "Leave me alone.", "Your own fault.")
FILLERS: Final = (
    "As a team we think about many things every week and like to talk of them.",
    "Our firm was founded long ago by two cousins who both loved blue doors.",
    "The weather has been rather mixed here, some sun, some rain, some wind.",
    "There are several points of view and each of them has its own merit.",
)
VAGUE_ANSWERS: Final = ("Somebody will look into it.", "That may take a while.", "We have noted your message.")
