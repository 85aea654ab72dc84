"""Turns what goes wrong with a remote store into `Unavailable`, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from thumbwheel.errors import ThumbwheelError, Unavailable

RETRY_S = 10.0


@contextmanager
def translated(store: str) -> Iterator[None]:
    """Raise whatever a backend raises as `Unavailable`. `store` is its URL.

    The errors of the backends (botocore's, aiohttp's, Google's, Azure's) have nothing in common but `Exception`. Their
    texts are not repeated, only their kind: nobody vouches that they hold no secret.
    """
    try:
        yield
    except ThumbwheelError:
        raise
    except FileNotFoundError as error:
        raise _unavailable(store, "is not there", "make the bucket, or mend artifacts.url") from error
    except PermissionError as error:
        raise _unavailable(store, "refuses us", "mend the credentials in its environment or files") from error
    except Exception as error:
        cure = "look whether it runs, and at its credentials and address"
        raise _unavailable(store, f"is unavailable ({type(error).__name__})", cure) from error


def _unavailable(store: str, problem: str, cure: str) -> Unavailable:
    return Unavailable(f"the artifact store {store} {problem}; {cure}", RETRY_S)
