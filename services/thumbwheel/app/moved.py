"""What `move` leaves in a home: its database's file of before, under another name, so that nobody goes on in it."""

from __future__ import annotations

from pathlib import Path

from thumbwheel.config.settings import Settings
from thumbwheel.errors import AlreadyMoved

_SET_ASIDE = ".moved"


def database_file(home: Path) -> Path:
    """Return where a home keeps its database, unless `database.url` names another."""
    return home / "store.sqlite"


def set_aside_in(home: Path) -> Path:
    """Return where `move` leaves the database's file of before."""
    file = database_file(home)
    return file.with_name(f"{file.name}{_SET_ASIDE}")


def demand_not_moved(settings: Settings) -> None:
    """Raise AlreadyMoved where the home's database is meant, and was moved elsewhere: a new one would be empty."""
    aside = set_aside_in(settings.home)
    if not settings.database.url and aside.exists() and not database_file(settings.home).exists():
        raise AlreadyMoved(
            f"database.url: what {settings.home} had was moved to another database, and the old one is {aside}; go on "
            "with the configuration that it was moved to (--config FILE), or to go back to how it was before the move "
            "rename the old one to store.sqlite"
        )
