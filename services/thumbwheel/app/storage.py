"""The adapters behind the storage ports, as the settings choose them."""

from __future__ import annotations

from thumbwheel.app.home import make_home
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.registry.port import Registry
from thumbwheel.registry.sql import SqlRegistry


def open_registry(settings: Settings) -> Registry:
    """Open the registry, its tables made or brought up to date.

    Raises SchemaMismatch when the database is of a newer release.
    """
    make_home(settings.home)
    engine = connect(settings.database_url)
    migrate(engine)
    return SqlRegistry(engine, settings.versions_dir)
