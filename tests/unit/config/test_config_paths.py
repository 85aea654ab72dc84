"""Paths among the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from thumbwheel.config.load import load_settings
from thumbwheel.errors import InvalidConfig


def test_the_home_of_an_unknown_user_is_refused() -> None:
    cure = "~nobody-here/x begins with a user who is unknown here; write the folder out"
    for given in ({"home": "~nobody-here/x"}, {"gates.blocked_words": "~nobody-here/x"}):
        with pytest.raises(InvalidConfig, match=cure):
            load_settings(None, given)
    with pytest.raises(InvalidConfig, match=f"--config: {cure}"):
        load_settings(Path("~nobody-here/x"), {})
