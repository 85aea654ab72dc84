"""The cart and the pole of Barto, Sutton and Anderson (1983), many at once, with the constants of CartPole-v1.

"Neuronlike adaptive elements that can solve difficult learning control problems", equations of their appendix without
friction, integrated by Euler's rule. A state is (cart position in m, its speed in m/s, pole angle in rad, its speed in
rad/s); the episode ends beyond 2.4 m or 12 degrees, and is cut off after 500 steps. Every step earns 1.

Shape suffixes: E carts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAVITY, CART_KG, POLE_KG, HALF_POLE_M, FORCE_N, STEP_S = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
FARTHEST_M, STEEPEST_RAD, MOST_STEPS = 2.4, math.radians(12), 500

States = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Carts:
    """`states_E4` and how many steps each cart has gone; fresh starts are drawn from `rng`."""

    states_E4: States
    steps_E: NDArray[np.int64]
    rng: np.random.Generator

    @classmethod
    def fresh(cls, count: int, rng: np.random.Generator) -> Carts:
        """So many carts at their start."""
        return cls(_starts(count, rng), np.zeros(count, dtype=np.int64), rng)

    def step(self, push_right_E: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], States]:
        """Push every cart for one step; return (fallen, cut off, the states reached). Carts of either begin anew."""
        reached_E4 = moved(self.states_E4, push_right_E)
        self.steps_E = self.steps_E + 1
        fallen_E = (np.abs(reached_E4[:, 0]) > FARTHEST_M) | (np.abs(reached_E4[:, 2]) > STEEPEST_RAD)
        cut_E = ~fallen_E & (self.steps_E >= MOST_STEPS)
        over_E = fallen_E | cut_E
        self.states_E4 = reached_E4.copy()
        self.states_E4[over_E] = _starts(int(over_E.sum()), self.rng)
        self.steps_E[over_E] = 0
        return fallen_E, cut_E, reached_E4


def moved(states_E4: States, push_right_E: NDArray[np.bool_]) -> States:
    """The states one step later."""
    x_E, speed_E, angle_E, turn_E = states_E4.T
    sine_E, cosine_E = np.sin(angle_E), np.cos(angle_E)
    mass, pole_moment = CART_KG + POLE_KG, POLE_KG * HALF_POLE_M
    force_E = np.where(push_right_E, FORCE_N, -FORCE_N)
    drive_E = (force_E + pole_moment * turn_E**2 * sine_E) / mass
    lever_E = HALF_POLE_M * (4 / 3 - POLE_KG * cosine_E**2 / mass)
    turn_rate_E = (GRAVITY * sine_E - cosine_E * drive_E) / lever_E
    speed_rate_E = drive_E - pole_moment * turn_rate_E * cosine_E / mass
    rates_E4 = np.stack([speed_E, speed_rate_E, turn_E, turn_rate_E], axis=1)
    return states_E4 + STEP_S * rates_E4


def _starts(count: int, rng: np.random.Generator) -> States:
    return rng.uniform(-0.05, 0.05, (count, 4))
