"""Systems whose steps the caller chooses one by one, side by side in lanes, and which others replace where they ended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..bodies import Bodies
from ..criteria.agent import AgentCriterion
from ..errors import ConfigError
from ..integrators import integrator_named
from .advance import Advance
from .agent_steps import ChosenSteps, Observed, Observer
from .batch import Batch
from .callbacks import OwnFunctions
from .first_state import MOST_STEPS, first_state
from .kernels import layout as at
from .kernels import plan as kernel
from .program import budget_rule, program_of


class _Given(ChosenSteps):
    """Steps that the caller gave."""

    dt: np.ndarray  # (B,)

    def next_dt(self, store: kernel.Store, systems: np.ndarray) -> np.ndarray:
        """Return the steps of these systems, (R,)."""
        return np.asarray(self.dt[systems])


class SteppedBatch:
    """A batch of B systems without an outer field, forward in time, which makes one step of each at a time.

    t_end: (B,); the step that would pass it is cut to end there. tol: (B,) tolerances of the features and of the analytic
    step. Everything runs in the calling thread.
    """

    def __init__(self, start: Bodies, t_end: np.ndarray, tol: np.ndarray, integrator: str) -> None:
        if start.external_field is not None:
            raise ConfigError("systems that are stepped one by one can have no external field.")
        own, self.integrator = OwnFunctions(), integrator
        program = program_of(AgentCriterion(np.negative, integrator=integrator), integrator_named(integrator), start, own)
        self._batch = Batch.begin(start.replace(), program, own, t_end, float(MOST_STEPS), None, threads=1)
        self._given = _Given(self._batch.system, program.arrays["rule"])
        self._advance = Advance(self._batch, self._given)
        self._observer = Observer(tuple(tol.tolist()), integrator, len(start))
        self._advance.begin_only()

    def _column(self, name: str, place: int) -> np.ndarray:
        return np.asarray(self._batch.state[name][:, place])

    @property
    def status(self) -> np.ndarray:
        """Status of every system, see `kernels.layout`, (B,)."""
        return self._column("count", at.STATUS)

    @property
    def forces(self) -> np.ndarray:
        """Force evaluations so far, (B,)."""
        return self._column("count", at.FORCES)

    @property
    def time(self) -> np.ndarray:
        """Time of every system, (B,)."""
        return self._column("real", at.TIME)

    @property
    def largest_error(self) -> np.ndarray:
        """Largest relative energy error so far, (B,)."""
        return self._column("real", at.MAX_ERROR)

    def observe(self, systems: np.ndarray) -> Observed:
        """Return features and analytic steps of the systems with these indices (R,)."""
        return self._observer.observe(self._advance.store, systems)

    def step(self, dt: np.ndarray) -> None:
        """Make one step of every running system; dt: (B,)."""
        self._given.dt = dt
        self._advance.turn(None)

    def stop(self, systems: np.ndarray) -> None:
        """Let these systems rest until others replace them."""
        self._batch.state["count"][systems, at.STATUS] = at.MAX_STEPS

    def replace(self, systems: np.ndarray, start: Bodies, t_end: np.ndarray, tol: np.ndarray) -> None:
        """Put other systems, at their start, in the place of those with these indices (R,)."""
        new = first_state(start, self._batch.program)
        wider = new["states"].shape[1] - self._batch.state["states"].shape[1]
        if wider > 0:
            self._widen(wider)
        batch, advance = self._batch, self._advance
        for name, values in new.items():
            batch.state[name][systems, : values.shape[1]] = values
        advance.store.bodies[systems] = start.body_count
        batch.system[systems, at.T_END] = batch.system[systems, at.STOP] = t_end
        self._given.system[systems] = batch.system[systems]
        self._observer.rule[systems] = budget_rule(tuple(tol.tolist()), self.integrator, len(systems))
        advance.begin_only(systems)

    def _widen(self, more: int) -> None:
        """Make room for systems of more bodies."""
        state = {**self._batch.state, "states": np.pad(self._batch.state["states"], ((0, 0), (0, more)))}
        self._batch = replace(self._batch, state=state)
        self._advance.batch = self._batch
        self._advance.store = self._advance.store._replace(states=state["states"])
