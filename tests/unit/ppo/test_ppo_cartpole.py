"""The product's advantages and losses learn a control problem; the cart moves as in the books, and runs go on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

from cartpole import Settings, Training, advantages_of, collect, episodes, train
from cartpole_physics import Carts, moved
from thumbwheel.ppo.checkpoint import Checkpoint

SHORT = replace(Settings(), steps=4 * 16 * 56, rollout=16)


def test_one_push_by_hand() -> None:
    # At rest and upright, pushed right: F / M = 10 / 1.1; the pole falls back by (F / M) / (.5 (4/3 - .1 / 1.1)).
    drive = 10 / 1.1
    turn = -drive / (0.5 * (4 / 3 - 0.1 / 1.1))
    found = moved(np.zeros((1, 4)), np.array([True]))[0]
    assert found.tolist() == pytest.approx([0.0, 0.02 * (drive - 0.05 * turn / 1.1), 0.0, 0.02 * turn], abs=1e-12)
    assert found.tolist() == pytest.approx([0.0, 0.195122, 0.0, -0.292683], abs=1e-6)


def test_steps_against_the_equations_one_cart_at_a_time() -> None:
    rng = np.random.default_rng(0)
    states, pushes = rng.normal(0, [1.0, 1.0, 0.1, 1.0], (50, 4)), rng.random(50) < 0.5
    expected = []
    for (x, speed, angle, turning), right in zip(states.tolist(), pushes.tolist(), strict=True):
        force = 10.0 if right else -10.0
        part = (force + 0.05 * turning**2 * math.sin(angle)) / 1.1
        turn = 9.8 * math.sin(angle) - math.cos(angle) * part
        turn /= 0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1)
        push = part - 0.05 * turn * math.cos(angle) / 1.1
        expected.append([x + 0.02 * speed, speed + 0.02 * push, angle + 0.02 * turning, turning + 0.02 * turn])
    assert moved(states, pushes) == pytest.approx(np.array(expected), abs=1e-12)


def test_a_cart_that_leaves_falls_and_one_that_lasts_is_cut_off() -> None:
    carts = Carts.fresh(3, np.random.default_rng(0))
    carts.states_E4 = np.array([[2.39, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.2, 3.0]])
    carts.steps_E = np.array([10, 499, 499])
    fallen, cut, reached = carts.step(np.array([True, True, False]))
    assert (fallen.tolist(), cut.tolist()) == ([True, False, True], [False, True, False])
    assert reached[0, 0] == pytest.approx(2.45)
    assert carts.steps_E.tolist() == [0, 0, 0]
    assert np.abs(carts.states_E4).max() <= 0.05


def test_episodes_are_cut_where_they_ended() -> None:
    over = torch.tensor([[False, True], [True, False], [False, False], [False, True]])
    places, mask = episodes(over)
    rows = [places[i][mask[i]].tolist() for i in range(len(places))]
    assert rows == [[0, 2], [4, 6], [1], [3, 5, 7]]


def test_advantages_go_past_the_rollout_but_not_past_a_fall() -> None:
    settings = replace(Settings(), carts=3, rollout=40)
    training = Training.fresh(1, settings)
    rollout = collect(training, np.random.default_rng(1), settings)
    assert rollout.over_TE.any()
    advantages, returns = advantages_of(rollout, settings)
    plain = np.zeros((40, 3))
    for cart in range(3):
        later = 0.0
        for t in reversed(range(40)):
            over = bool(rollout.over_TE[t, cart])
            after = 0.0 if over or t == 39 else float(rollout.values_TE[t + 1, cart])
            residual = float(rollout.rewards_TE[t, cart]) + 0.99 * after - float(rollout.values_TE[t, cart])
            later = residual + 0.99 * 0.95 * (0.0 if over else later)
            plain[t, cart] = later
    white = (plain - plain.mean()) / plain.std()
    assert advantages.numpy() == pytest.approx(white, abs=1e-4)
    assert returns.numpy() == pytest.approx(plain + rollout.values_TE.numpy(), abs=1e-4)
    # Where the rollout ended amid an episode the last reward holds the value of what was reached.
    last_state = torch.from_numpy(training.carts.states_E4).float()
    worth = training.agent(last_state)[1].detach()
    for cart in range(3):
        if not rollout.over_TE[-1, cart]:
            assert float(rollout.rewards_TE[-1, cart]) == pytest.approx(1 + 0.99 * float(worth[cart]), abs=1e-5)


def test_it_beats_chance_by_far_within_30_000_steps() -> None:
    untrained = train(0, replace(Settings(), steps=4_096, learning_rate=0.0))
    trained = train(0, replace(Settings(), steps=30_720))
    assert fmean(untrained.returns) < 35
    assert trained.last_returns() > 100


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_run_that_was_ended_goes_on_to_the_same_returns(tmp_path: Path) -> None:
    whole = train(3, SHORT)
    saved = Checkpoint(tmp_path / "state", job="3")

    def end(training: Training) -> None:
        if training.update == 53:
            raise Killed

    with pytest.raises(Killed):
        train(3, SHORT, saved, end)
    resumed = train(3, SHORT, saved)
    assert resumed.returns[-30:] == whole.returns[-30:]
    expected = whole.agent.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.agent.state_dict().items())
