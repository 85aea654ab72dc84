"""What an operator does about dead letters: look at them, and send them into the log once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from thumbwheel.app.moved import demand_not_moved
from thumbwheel.app.storage import open_source
from thumbwheel.bus.source import Source
from thumbwheel.config.settings import Settings
from thumbwheel.errors import Conflict, InvalidInput, NotFound
from thumbwheel.ingest.retrying import record_again
from thumbwheel.records import DeadLetter
from thumbwheel.store.port import FeedbackStore
from thumbwheel.store.sql import open_store

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a dead letter; `problem` is empty where it is back in the log."""

    number: int
    problem: str = ""


@contextmanager
def stored(settings: Settings) -> Iterator[FeedbackStore]:
    """Open the store. Raises AlreadyMoved, SchemaMismatch, Unavailable."""
    demand_not_moved(settings)
    with closing(open_store(settings.database_url)) as store:
        yield store


def find(store: FeedbackStore, number: int) -> DeadLetter:
    """Return a dead letter. Raises NotFound."""
    found = store.dead_letters_from(number, 1)
    if not found or found[0].number != number:
        raise NotFound(f"number: there is no dead letter {number}; `thumbwheel deadletters list` lists them")
    return found[0]


def retry(settings: Settings, numbers: Sequence[int]) -> Iterator[Retried]:
    """Append dead letters to the log again, and forget them; no `numbers` means all there are now.

    What still can not be used stays, and so does what is larger than the log takes by now; what comes after it goes on.
    What can be read and yet is of no use comes back as a dead letter, with a new number. A kill in between sends one a
    second time: the store takes each once.

    Raises:
        NotFound: there is none of a number.
        Unavailable: log or store are away.
    """
    with stored(settings) as store, ExitStack() as stack:
        source = open_source(settings, stack)
        letters = [find(store, number) for number in numbers] if numbers else list(_all(store))
        for letter in letters:
            yield _retry(store, source, letter)


def _retry(store: FeedbackStore, source: Source, letter: DeadLetter) -> Retried:
    try:
        # Past an outbox: on this home there may be nobody to ship it.
        source.log.append([record_again(letter, source.log)])
    except (Conflict, InvalidInput) as error:  # the latter: larger than the log takes, in this one's case for good
        return Retried(letter.number, str(error))
    store.remove_dead_letter(letter.number)
    return Retried(letter.number)


def _all(store: FeedbackStore) -> Iterator[DeadLetter]:
    after = 0
    while letters := store.dead_letters_from(after, _PAGE):
        yield from letters
        after = letters[-1].number + 1
