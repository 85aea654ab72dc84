"""A home whose database was moved elsewhere: nobody makes an empty one there by the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from thumbwheel.app import dead_letters
from thumbwheel.app.storage import open_learned, open_registry
from thumbwheel.config.settings import Settings
from thumbwheel.errors import AlreadyMoved


def test_no_command_begins_it_anew(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite.moved").touch()
    settings = Settings(home=tmp_path)
    with pytest.raises(AlreadyMoved):
        open_registry(settings)
    with pytest.raises(AlreadyMoved), open_learned(settings):
        pass
    with pytest.raises(AlreadyMoved), dead_letters.stored(settings):
        pass
    assert not (tmp_path / "store.sqlite").exists()
