"""The environment `aitimestepper/NBodyStep-v0` for many problems side by side, in lanes of the compiled engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ..criteria.agent import LIMIT
from ..errors import ConfigError, shown
from ..features import INVARIANT
from ..integrators import integrator_named
from ..simulate.kernels import layout as at
from ..simulate.stepped import SteppedBatch
from .settings import BROKEN, StepSettings, as_array, checked_options

LARGEST_ACTION = 1.0  # |log10(dt / analytic step)|
Infos = dict[str, Any]


def observations() -> Box:
    """Return the space of observations: the nine invariant features."""
    return Box(-LIMIT, LIMIT, (len(INVARIANT),), np.float32)


def actions() -> Box:
    """Return the space of actions: log10(dt / analytic step)."""
    return Box(-LARGEST_ACTION, LARGEST_ACTION, (1,), np.float32)


class NBodyStepVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Problems side by side, for each of which an agent chooses the logarithm of the next step.

    Action: log10(dt / analytic step), (num_envs, 1), between -1 and 1; the analytic step is that of `EnergyBudget(tol)` at the
    state, so that 0 follows it. Observation: the nine invariant features (`features.INVARIANT`), (num_envs, 9). Problems,
    reward and end of an episode: see `StepSettings`, whose fields are the arguments. Infos have for every system time, dt,
    forces, the largest energy error so far and the tolerance, and at the start of an episode the name of the problem and the
    force evaluations of the analytic step.

    System i has a random stream of its own, from `seed + i`: its episodes are those of a single `NBodyStepEnv` with that seed,
    whatever the others do. autoreset_mode: as Gymnasium defines it.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: None = None,
        **settings: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, (int, np.integer)) or num_envs < 1:
            raise ConfigError(f"num_envs = {shown(num_envs)} must be a positive whole number.")
        if render_mode is not None:
            raise ConfigError(f"render_mode = {shown(render_mode)}: nothing is drawn; `aitimestepper report` draws runs.")
        self.num_envs, self.settings = int(num_envs), StepSettings(**settings)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": []}
        self.single_observation_space, self.single_action_space = observations(), actions()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._forces_per_step = integrator_named(self.settings.integrator).forces_per_step
        self.generators: list[np.random.Generator] = []
        self._systems: SteppedBatch | None = None
        self._ended = np.ones(self.num_envs, bool)  # systems whose episode is over

    # ---- episodes ------------------------------------------------------------------------------------------------------
    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, Infos]:
        """Begin new episodes; see `VectorEnv.reset`. options: `reset_mask`, (num_envs,) bool, of the systems to begin anew."""
        seeds = self._seeds(seed)
        mask = as_array(checked_options(options).get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ConfigError(f"options: reset_mask must be {self.num_envs} values of bool, at least one of them true.")
        if not self.generators:
            self.generators = [np_random(one)[0] for one in seeds]
        else:
            for i in np.flatnonzero(mask):
                if seeds[i] is not None:
                    self.generators[i] = np_random(seeds[i])[0]
        infos = self._begin(np.flatnonzero(mask) if self._systems is not None else np.arange(self.num_envs))
        return self._seen.copy(), infos

    def _seeds(self, seed: int | list[int | None] | None) -> list[int | None]:
        if seed is None or isinstance(seed, (int, np.integer)):
            return [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ConfigError(f"seed: {len(seeds)} seeds do not fit {self.num_envs} systems; give one, or one for each.")
        return seeds

    def _begin(self, systems: np.ndarray) -> Infos:
        """Begin an episode of these systems (R,), observe them, and return what is known at its start."""
        drawn = self.settings.draw([self.generators[i] for i in systems])
        if self._systems is None:
            self._systems = SteppedBatch(drawn.start, drawn.t_end, drawn.tol, self.settings.integrator)
            self._tol, self._analytic_forces, self._spent, self._penalty = (np.zeros(self.num_envs) for _ in range(4))
            self._analytic = np.zeros(self.num_envs)
            self._seen = np.zeros(self.observation_space.shape or (), np.float32)
        else:
            self._systems.replace(systems, drawn.start, drawn.t_end, drawn.tol)
        self._tol[systems], self._analytic_forces[systems] = drawn.tol, drawn.analytic_forces
        self._spent[systems], self._penalty[systems], self._ended[systems] = 0.0, 0.0, False
        self._observe(systems)
        names = np.full(self.num_envs, None, dtype=object)
        names[systems] = drawn.names
        infos: Infos = {"problem": names, "analytic_forces": self._analytic_forces.copy(), **self._state()}
        return {**infos, **self._masks(infos, systems)}

    def _observe(self, systems: np.ndarray) -> None:
        assert self._systems is not None
        self._seen[systems], self._analytic[systems] = self._systems.observe(systems)

    def _state(self, dt: np.ndarray | None = None) -> Infos:
        """Return what infos have after every step."""
        assert self._systems is not None
        return {
            "time": self._systems.time.copy(),
            "dt": np.zeros(self.num_envs) if dt is None else dt,
            "forces": self._systems.forces.copy(),
            "energy_error": self._systems.largest_error.copy(),
            "tol": self._tol.copy(),
        }

    def _masks(self, infos: Infos, systems: np.ndarray) -> Infos:
        mask = np.zeros(self.num_envs, bool)
        mask[systems] = True
        return {f"_{name}": mask.copy() for name in infos}

    # ---- steps ---------------------------------------------------------------------------------------------------------
    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Infos]:
        """Make one step of every system; see `VectorEnv.step`."""
        if self._systems is None:
            raise ConfigError("reset the environment before its first step.")
        asked = self._checked(actions)
        over, mode = self._ended.copy(), self.autoreset_mode
        if mode is AutoresetMode.DISABLED and over.any():
            raise ConfigError("an episode is over: reset the environment, or those systems, before the next step.")
        growth = 10.0 ** np.clip(asked.reshape(-1), -LARGEST_ACTION, LARGEST_ACTION)
        before, rates = self._systems.time.copy(), _inverse(self._analytic)
        self._systems.step(growth * self._analytic)
        infos, going = self._state(self._systems.time - before), np.flatnonzero(~over)
        infos |= self._masks(infos, going)
        self._observe(going)
        rewards, terminated, truncated = self._judged(~over, infos["dt"] * 0.5 * (rates + _inverse(self._analytic)))
        self._ended |= terminated | truncated
        self._systems.stop(np.flatnonzero(self._ended))
        if mode is AutoresetMode.NEXT_STEP and over.any():
            infos = _merged(infos, self._begin(np.flatnonzero(over)))
        elif mode is AutoresetMode.SAME_STEP and self._ended.any():
            infos = self._same_step(infos, np.flatnonzero(self._ended))
        return self._seen.copy(), rewards, terminated, truncated, infos

    def _checked(self, actions: Any) -> np.ndarray:
        """Return actions as numbers, one for each system, or raise an error."""
        given = as_array(actions)
        if given.size != self.num_envs:
            raise ConfigError(f"actions: {given.shape} is not the shape of {self.num_envs} actions, one for each system.")
        if given.dtype.kind not in "iuf":
            raise ConfigError(f"actions = {shown(actions)} must be numbers, one for each system.")
        return given.astype(np.float64)

    def _judged(self, going: np.ndarray, analytic_steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return reward, terminated and truncated after a step of the systems `going`, each (num_envs,).

        analytic_steps: (num_envs,) how many analytic steps would have taken as long.
        """
        assert self._systems is not None
        systems, settings = self._systems, self.settings
        spent, penalty = systems.forces / self._analytic_forces, settings.penalty(systems.largest_error, self._tol)
        broken = ~np.isin(systems.status, at.GOES_ON) | ~(systems.largest_error < BROKEN)
        penalty = np.where(broken, settings.penalty(np.full(len(penalty), BROKEN), self._tol), penalty)
        saved = analytic_steps * self._forces_per_step / self._analytic_forces + self._spent - spent
        reward = np.where(broken, -settings.most_forces, saved) - settings.error_weight * (penalty - self._penalty)
        self._spent[going], self._penalty[going] = spent[going], penalty[going]
        terminated = going & (broken | (systems.status == at.OK))
        return np.where(going, reward, 0.0), terminated, going & ~terminated & (spent > settings.most_forces)

    def _same_step(self, infos: Infos, ended: np.ndarray) -> Infos:
        """Begin new episodes of the systems that ended, and put their last observations and infos beside the new ones."""
        final = np.full(self.num_envs, None, dtype=object)
        for i in ended:
            final[i] = self._seen[i].copy()
        last = {name: values for name, values in infos.items() if not name.startswith("_")}
        last |= self._masks(last, ended)
        both = {"final_obs": final, "final_info": last}
        return {**_merged(infos, self._begin(ended)), **both, **self._masks(both, ended)}


def _inverse(times: np.ndarray) -> np.ndarray:
    """Return 1 / times, 0 where a state broke off."""
    usable = np.isfinite(times) & (times > 0.0)
    return np.where(usable, 1.0 / np.where(usable, times, 1.0), 0.0)


def _merged(infos: Infos, begun: Infos) -> Infos:
    """Return the infos of a step, with those of systems whose episode began in it."""
    mask = begun["_problem"]
    for name, values in begun.items():
        if name.startswith("_"):
            infos[name] = infos[name] | values if name in infos else values
        else:
            infos[name] = np.where(mask, values, infos[name]) if name in infos else values
    return infos
