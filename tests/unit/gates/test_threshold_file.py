"""The file of thresholds: what it says holds, what it can not say is refused by name and range."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from thumbwheel.config.settings import Gates
from thumbwheel.errors import InvalidConfig, InvalidInput
from thumbwheel.gates.explain import explained
from thumbwheel.gates.judge import GATES
from thumbwheel.gates.threshold_file import SETTING_OF, answerable, in_force, range_of, thresholds
from thumbwheel.records import PolicyKind


def with_file(folder: Path, text: str, **others: float) -> Gates:
    path = folder / "gates.toml"
    path.write_text(text)
    return Gates.model_validate({"file": path, **others})


def test_what_it_says_holds_and_the_rest_stays_as_it_is_set(tmp_path: Path) -> None:
    text = "confidence = 0.9\n[kl_budget]\nthreshold = 2.5\n[effective_samples]\nthreshold = 300\n"
    found = in_force(with_file(tmp_path, text, min_win_rate=0.55))
    assert (found.max_kl, found.min_effective_samples, found.confidence) == (2.5, 300, 0.9)
    assert (found.min_win_rate, found.max_latency_ratio) == (0.55, 1.5)
    assert thresholds(found)["kl_budget"] == 2.5


def test_without_a_file_nothing_changes() -> None:
    assert in_force(Gates()) == Gates()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[kl]\nthreshold = 1", "'kl', which has no threshold; there are: diversity, effective_samples"),
        ("[kl_budget]\nthreshold = 0", "kl_budget must be above 0 and at most 100, got 0"),
        ("[win_rate]\nthreshold = 1.5", "win_rate must be at least 0 and at most 1, got 1.5"),
        ("[win_rate]\nthreshold = 'high'", "win_rate must be a number, got 'high'"),
        ("[win_rate]\nmost = 0.5", "win_rate takes 'threshold' and nothing else"),
        ("win_rate = 0.5", "win_rate takes 'threshold' and nothing else"),
        ("confidence = 0.4", "confidence must be above 0.5 and below 1, got 0.4"),
        ("[held_out_reward]\nthreshold = 1", "'held_out_reward', which has no threshold"),
        (
            "[forgetting_good_replies]\nthreshold = 1.1\n[forgetting_customer_texts]\nthreshold = 1.2",
            "share one threshold; give both the same",
        ),
        ("[kl_budget", "is no TOML"),
    ],
)
def test_what_it_can_not_say_is_refused_by_name_and_range(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig) as refused:
        in_force(with_file(tmp_path, text))
    assert says in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="can not be read"):
        in_force(Gates(file=tmp_path / "none.toml"))


def test_its_owner_answers_for_it(tmp_path: Path) -> None:
    assert answerable(with_file(tmp_path, ""), "ann") == (tmp_path / "gates.toml").owner()
    assert answerable(Gates(), "ann") == "ann"


def test_every_gate_of_every_kind_is_explained_with_its_cure_and_its_range() -> None:
    told = {gate.name: gate for gate in explained(Gates())}
    assert set(told) == {gate.name for kind in PolicyKind for gate in GATES[kind]}
    for kind in PolicyKind:
        assert [gate.name for gate in GATES[kind] if kind.value not in told[gate.name].kinds] == []
    for gate in told.values():
        assert gate.asks and gate.why and gate.cure.endswith(".")
        assert bool(gate.setting) == bool(gate.range) == (gate.name in SETTING_OF), gate
        assert not gate.setting or range_of(gate.setting.removeprefix("gates."))


def test_the_threshold_of_every_gate_of_every_kind_can_be_set_by_its_name(tmp_path: Path) -> None:
    for gate in {gate.name: gate for kind in PolicyKind for gate in GATES[kind] if gate.setting}.values():
        default = getattr(Gates(), gate.setting)
        value = default + 1 if default >= 1 else default / 2 + 0.01
        found = in_force(with_file(tmp_path, f"[{gate.name}]\nthreshold = {value}\n"))
        assert getattr(found, gate.setting) == thresholds(found)[gate.name] == value


def test_who_lists_the_gates_loads_no_statistics() -> None:
    code = "import sys, thumbwheel.gates.explain; print({'scipy.stats', 'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    [one] = explained(Gates(max_kl=2.0), "kl_budget")
    assert (one.threshold, one.kinds, one.range) == (2.0, ("generate",), "above 0 and at most 100")
    with pytest.raises(InvalidInput, match="none called 'kl'; there are: data_sanity"):
        explained(Gates(), "kl")
