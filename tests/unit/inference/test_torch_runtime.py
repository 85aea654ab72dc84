"""Torch and transformers as guests of the server."""

from __future__ import annotations

import logging

import pytest

from thumbwheel.inference.torch_runtime import prepare_torch


def test_what_transformers_log_goes_the_way_of_all_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="transformers")  # another test may have run a command that hushes it
    assert prepare_torch(1) == 1
    logging.getLogger("transformers.modeling_utils").warning("a layer is missing")
    assert "a layer is missing" in caplog.messages
    own = [one for one in logging.getLogger("transformers").handlers if type(one) is logging.StreamHandler]
    assert own == []
