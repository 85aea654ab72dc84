"""API keys at work in a process: read of the database while it runs, and asked of whoever calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from thumbwheel.access.guard import Guard
from thumbwheel.access.ring import KeyRing
from thumbwheel.app.background import in_background
from thumbwheel.app.home import make_home
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.store.api_keys import SqlApiKeys


def open_api_keys(settings: Settings) -> SqlApiKeys:
    """Open the keys of the database, its tables made or brought up to date; to be closed.

    Raises SchemaMismatch, Unavailable.
    """
    if not settings.database.url:
        make_home(settings.home)  # the database is in it
    engine = connect(settings.database_url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlApiKeys(engine)


@contextmanager
def admitting(settings: Settings) -> Iterator[Guard | None]:
    """Yield what asks callers for their keys while the block runs, or None where nobody is asked.

    Raises SchemaMismatch, Unavailable.
    """
    if settings.auth.mode == "off":
        yield None
        return
    with ExitStack() as stack:
        table = stack.enter_context(closing(open_api_keys(settings)))
        ring = KeyRing(table, settings.auth.database_away_s)
        stack.enter_context(in_background("api keys", ring.follow))
        yield Guard(ring, settings.auth.calls_per_key_per_minute)
