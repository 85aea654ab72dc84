from pathlib import Path

import pytest

from thumbwheel.config.document import markdown
from thumbwheel.config.load import load_settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == markdown(), "make it anew: thumbwheel config markdown > docs/configuration.md"


def test_variables_that_are_no_settings_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_REQUIRE", "chromium")
    monkeypatch.setenv("THUMBWHEEL_TOKEN", "secret")
    assert load_settings(None, {}).settings.serve.port == 7070
