"""`thumbwheel gates`: thresholds and what they are for, without a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from thumbwheel.cli.main import group
from thumbwheel.errors import InvalidConfig, InvalidInput


def test_the_thresholds_in_force_are_shown(tmp_path: Path) -> None:
    policy = tmp_path / "gates.toml"
    policy.write_text("[kl_budget]\nthreshold = 2.5\n")
    settings = ["--set", f"gates.file={policy}", "--set", "gates.min_win_rate=0.6"]
    shown = CliRunner().invoke(group, [*settings, "gates", "show", "--json"])
    by_name = {one["name"]: one for one in json.loads(shown.stdout)}
    assert by_name["kl_budget"]["threshold"] == 2.5
    assert by_name["win_rate"]["threshold"] == 0.6
    assert by_name["latency"]["kinds"] == ["generate", "classify", "tag"]
    assert by_name["off_policy_snips"]["kinds"] == ["classify", "tag"]
    assert by_name["held_out_reward"]["threshold"] is None


def test_a_gate_is_explained_with_its_setting_and_its_cure() -> None:
    said = CliRunner().invoke(group, ["gates", "explain", "kl_budget"]).stdout
    assert "kl_budget: Stays near the champion (generate)" in said
    assert "threshold  3 (at most, nats a reply); gates.max_kl, above 0 and at most 100" in said
    assert "if it fails: Lower learn.kl_target" in said


def test_what_is_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="none called 'kl'"):
        CliRunner().invoke(group, ["gates", "explain", "kl"], catch_exceptions=False)
    with pytest.raises(InvalidConfig, match="can not be read"):
        CliRunner().invoke(group, ["--set", f"gates.file={tmp_path / 'none'}", "gates", "show"], catch_exceptions=False)
