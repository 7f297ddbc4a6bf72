"""The environment `aitimestepper/HermiteParameter-v0`: the set-up of Saz Ulibarrena & Portegies Zwart (arXiv 2502.12809)."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

from ..bodies import Bodies
from ..criteria.classical import HutMakino
from ..errors import ConfigError, shown
from ..initial.suites import REINFORCEMENT, Suite, reinforcement_case
from ..simulate.engine import simulate
from ..simulate.result import OK
from .settings import as_array, checked_options

HERMITE_PARAMETERS = tuple(float(eta) for eta in np.logspace(-4, -1, 10))  # the ten actions
YEAR = 2 * math.pi  # in the unit of time in which G = 1, of au and solar masses
BETWEEN = 0.1 * YEAR  # time between two choices
MOST_ERROR = 0.1  # relative energy error beyond which an episode ends
GOOD_ERROR = 1e-8  # error whose logarithm the reward counts from
WEIGHTS = (3000.0, 0.0, 4.0)  # of the three terms of the reward
SMALLEST_ERROR = 1e-16  # below it an error is rounding; its logarithm counts no further
BUDGET = 1_000_000  # steps of one piece; the smallest parameter takes some thousands
SEEDS = 2**32  # of numpy's RandomState
LARGEST = 1e6  # no coordinate is larger


class HermiteParameterEnv(gymnasium.Env[np.ndarray, np.int64]):
    """Three suns for which an agent chooses the accuracy parameter of a fourth-order Hermite method every 0.1 years.

    Action: one of ten parameters of `HutMakino`, logspace(-4, -1, 10). Observation, 13 numbers: coordinates over 10 au, then
    velocities in units of sqrt(G M / au), M the total mass, of each body about the centre of mass in the plane; then -log10 of
    the relative energy error, 0 at the start. Every piece of 0.1 years is a run of its own, as in that work.

    Reward of decision i, 0 for the first: -W0 log10(e / 1e-8) / (log10 e)^2 / i - W1 (log10 e - log10 e') + W2 / |log10 eta|,
    e and e' being the errors after and before it, W = (3000, 0, 4): the form and the weights in the program that the authors
    published (github.com/veronicasaz/ThreeBodyProblem_astronomy). Their last settings name a form of which the text was not
    found; it may differ from this one in the factor 1/i. e counts as at most 0.1 and at least 1e-16.

    An episode terminates after `years` (10, as in their settings; their test runs for 30), or beyond an error of 0.1. The
    problems are theirs: each is a number of `initial.suites.reinforcement_case`. Numbers 0 to 99 are their test set, which no
    episode draws; `options={"number": 7}` of `reset` asks for one. Their softening of 3e-5 lengths is left out.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, *, years: float = 10.0, render_mode: None = None) -> None:
        if render_mode is not None:
            raise ConfigError(f"render_mode = {shown(render_mode)}: nothing is drawn; `aitimestepper report` draws runs.")
        if isinstance(years, bool) or not (isinstance(years, (int, float)) and 0.1 <= years <= 1e4):
            raise ConfigError(f"years = {shown(years)} must be a number from 0.1 to 10,000.")
        self.decisions = round(10 * years)
        self.action_space: Any = gymnasium.spaces.Discrete(len(HERMITE_PARAMETERS))
        self.observation_space = gymnasium.spaces.Box(-LARGEST, LARGEST, (13,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode, of a problem that is not in the published test set unless its number is asked for."""
        super().reset(seed=seed)
        number = checked_options(options).get("number")
        if number is None:
            number = int(self.np_random.integers(len(REINFORCEMENT), SEEDS))
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 0 <= number < SEEDS:
            raise ConfigError(f"options: number = {shown(number)} must be a whole number from 0 to {SEEDS - 1}.")
        case = reinforcement_case(int(number))
        self._bodies: Bodies = Suite("episode", (case,)).batch()[0]
        self._energy, self._scale = self._bodies.total_energy(), self._bodies.energy_scale()
        self._made, self._forces, self._error = 0, 0, 0.0
        return self._observation(), self._info(number=int(number))

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by 0.1 years with the chosen parameter."""
        if self._made >= self.decisions or abs(self._error) > MOST_ERROR:
            raise ConfigError("the episode is over: reset the environment before the next step.")
        chosen = as_array(action)
        if chosen.size != 1 or chosen.dtype.kind not in "iu" or not 0 <= chosen.item() < len(HERMITE_PARAMETERS):
            raise ConfigError(f"action = {shown(action)} must be a whole number from 0 to {len(HERMITE_PARAMETERS) - 1}.")
        eta, before = HERMITE_PARAMETERS[chosen.item()], self._error
        self._made += 1
        result = simulate(
            self._bodies,
            t_end=self._made * BETWEEN,
            criterion=HutMakino(eta),
            integrator="hermite4",
            max_steps=BUDGET,
            threads=1,
            warn=False,
        )
        self._bodies = result.final.replace()  # without the memory of the run: the next piece begins anew
        self._forces += int(result.force_evaluations[0])
        error = float((self._bodies.total_energy() - self._energy)[0] / self._scale[0])
        self._error = error if result.status[0] == OK and math.isfinite(error) else math.inf
        terminated = self._made == self.decisions or abs(self._error) > MOST_ERROR
        return self._observation(), self._reward(eta, before), terminated, False, self._info(parameter=eta)

    def _reward(self, eta: float, before: float) -> float:
        if before == 0.0:
            return 0.0
        now, earlier = (math.log10(min(max(abs(e), SMALLEST_ERROR), MOST_ERROR)) for e in (self._error, before))
        accuracy = -(now - math.log10(GOOD_ERROR)) / now**2 / self._made
        return WEIGHTS[0] * accuracy - WEIGHTS[1] * (now - earlier) + WEIGHTS[2] / abs(math.log10(eta))

    def _observation(self) -> np.ndarray:
        x, v, mass = self._bodies.position[0], self._bodies.velocity[0], self._bodies.mass[0]
        digits = 0.0 if self._error == 0.0 else -math.log10(max(abs(self._error), SMALLEST_ERROR))
        seen = np.concatenate([x.ravel() / 10.0, v.ravel() / math.sqrt(mass.sum()), [digits]])
        return np.clip(np.nan_to_num(seen), -LARGEST, LARGEST)

    def _info(self, **more: Any) -> dict[str, Any]:
        return {"time": float(self._bodies.time[0]) / YEAR, "forces": self._forces, "energy_error": self._error, **more}
