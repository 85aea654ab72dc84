"""What is saved of an update comes back to the bit, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from thumbwheel.ppo.checkpoint import Checkpoint

FACTS = {"beta": 0.1, "history": [{"loss": 1 / 3}]}


def optimizer_at(seed: int, steps: int, kind: type[torch.optim.Adam]) -> torch.optim.Adam:
    """Two parameters, the second of which no loss reads, so that it has no moments."""
    generator = torch.Generator().manual_seed(seed)
    parameters = [torch.randn(3, 2, generator=generator, requires_grad=True) for _ in range(2)]
    optimizer = kind(parameters, lr=0.1)
    for _ in range(steps):
        step(optimizer)
    return optimizer


def step(optimizer: torch.optim.Adam) -> None:
    optimizer.zero_grad()
    torch.autograd.backward((parameters(optimizer)[0] ** 3).sum())
    optimizer.step()


def parameters(optimizer: torch.optim.Adam) -> list[torch.Tensor]:
    found: list[torch.Tensor] = optimizer.param_groups[0]["params"]
    return found


def same(one: torch.optim.Adam, other: torch.optim.Adam) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parameters(one), parameters(other), strict=True))


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_the_next_step_is_that_of_an_update_that_never_stopped(tmp_path: Path, kind: type[torch.optim.Adam]) -> None:
    whole, fresh = optimizer_at(0, 3, kind), optimizer_at(1, 0, kind)
    Checkpoint(tmp_path / "of a run" / "file", "job").save(whole, FACTS)
    assert Checkpoint(tmp_path / "of a run" / "file", "job").restore(fresh) == FACTS
    assert same(fresh, whole)
    step(whole)
    step(fresh)
    assert same(fresh, whole)
    assert parameters(fresh)[1] not in fresh.state


def test_the_newest_state_replaces_the_one_before(tmp_path: Path) -> None:
    saved, newest = Checkpoint(tmp_path / "file"), optimizer_at(0, 2, torch.optim.Adam)
    saved.save(optimizer_at(0, 1, torch.optim.Adam), FACTS)
    saved.save(newest, {"history": []})
    fresh = optimizer_at(1, 0, torch.optim.Adam)
    assert saved.restore(fresh) == {"history": []}
    assert same(fresh, newest)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_it_is_a_file_of_tensors_and_no_pickle(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "file").save(optimizer_at(0, 1, torch.optim.Adam), FACTS)
    assert set(load_file(tmp_path / "file")) == {
        "parameter.0",
        "parameter.1",
        "moment.0.step",
        "moment.0.exp_avg",
        "moment.0.exp_avg_sq",
    }


def test_nothing_saved_another_job_and_a_damaged_file_are_nothing_to_go_on_from(tmp_path: Path) -> None:
    saved, fresh = Checkpoint(tmp_path / "file", "job"), optimizer_at(1, 0, torch.optim.Adam)
    assert saved.restore(fresh) is None
    saved.save(optimizer_at(0, 3, torch.optim.Adam), FACTS)
    assert Checkpoint(saved.path, "another job").restore(fresh) is None
    whole = saved.path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        saved.path.write_bytes(whole[:size])
        assert saved.restore(fresh) is None
    assert same(fresh, optimizer_at(1, 0, torch.optim.Adam))
    saved.clear()
    saved.clear()
    assert not saved.path.exists()


def test_tensors_saved_beside_the_optimizer_come_back_and_are_none_of_its_own(tmp_path: Path) -> None:
    saved, whole = Checkpoint(tmp_path / "file"), optimizer_at(0, 3, torch.optim.Adam)
    best = {"0": torch.randn(3, 2), "head": torch.randn(1)}
    saved.save(whole, FACTS, best)
    fresh = optimizer_at(1, 0, torch.optim.Adam)
    assert saved.restore(fresh) == FACTS
    assert same(fresh, whole)
    kept = saved.kept()
    assert kept.keys() == best.keys()
    assert all(torch.equal(kept[name], best[name]) for name in best)
