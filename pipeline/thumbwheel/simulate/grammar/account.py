"""The customer's account: access, name, letters, subscriptions."""

from typing import Final

from thumbwheel.simulate.grammar.rule import IntentRule

INTENTS: Final = (
    IntentRule(
        "reset_password",
        (
            "I (forgot|lost|can not remember) my password, (my name is|it is the account of|the account is) {name}",
            "(please|can you|) (reset|renew) the password (of|for) {name}",
            "{name} here, (my password is gone|I need a new password|what was my password)",
            "(I need|send me) a (link|way) to (set|choose) a new password, user {name}",
            "the password (I have|I use) (is wrong|does not work any more), this is {name}",
        ),
        (
            "{name}, a *password link* is in your inbox.",
            "I have *reset the password* for {name}.",
        ),
    ),
    IntentRule(
        "unlock_account",
        (
            "my account is (locked|blocked|frozen), (I am|this is|name) {name}",
            "(please|can you|) (unlock|unblock|free) the account of {name}",
            "{name} here, I (am locked out|can not log in|can not get in)",
            "(too many|three) (tries|attempts) and now I am (shut out|locked out), user {name}",
            "the login (blocks|refuses) me (since today|), I am {name}",
        ),
        (
            "The account of {name} is *open again*.",
            "I have *unlocked* the account of {name}.",
        ),
    ),
    IntentRule(
        "close_account",
        (
            "(please|can you|) (close|delete|remove|end) (my account|the account), (I am|this is|name) {name}",
            "{name} here, I (want|wish) to (leave|quit|go), (delete my data|wipe my account)",
            "(how do I|can I) (get rid of|delete|close) my account? the name is {name}",
            "I (no longer shop here|am done with your shop), (erase|remove) {name} from your (files|list of users)",
            "(shut|take) down the account of {name}",
        ),
        (
            "The account of {name} is *closed*.",
            "I have *deleted the account* of {name}.",
        ),
    ),
    IntentRule(
        "change_name",
        (
            "I (married|got married), my (name|last name) is now {name}",
            "(please|can you|) (change|correct|update) (my|the) name (on|in) (my account|your files) to {name}",
            "you (spell|write) my name wrong, it is {name}",
            "the name on my account (should read|ought to be|must be) {name}",
            "(my account|your mail) (calls me by|has) the wrong name, I am {name}",
        ),
        (
            "Your *name now reads* {name}.",
            "I have *renamed* your account to {name}.",
        ),
    ),
    IntentRule(
        "stop_newsletter",
        (
            "(please|) (stop|no more) (sending|) (newsletters|adverts|mails) to {name}",
            "(take|remove|strike) {name} (off|from) (the mailing list|your newsletter)",
            "{name} here, I (get|receive) too (many|much) (mails|adverts) from you",
            "(how do I|can I) (unsubscribe|opt out) from your (letters|news|adverts)? I am {name}",
            "your (weekly|daily) (mails|letters) (annoy|bother) me, the name is {name}",
        ),
        (
            "{name} is *off the mailing list*.",
            "I have *stopped the newsletter* for {name}.",
        ),
    ),
    IntentRule(
        "pause_subscription",
        (
            "(please|can you|) (pause|hold|suspend) my {product} subscription until {day}",
            "I am away, (no|skip the) {product} (deliveries|box) until {day}",
            "(stop|halt) the (regular|monthly|weekly) {product} for now, (go on|start again) on {day}",
            "(can|could) my {product} (plan|subscription) (rest|wait) until {day}?",
            "I have enough {product} (boxes|) (here|), (take a break|pause) until {day}",
        ),
        (
            "Your {product} subscription is *paused until* {day}.",
            "We *hold back* the {product} box until {day}.",
        ),
    ),
)
