"""Steps that are chosen between turns of one step each, for all systems of a batch at once: by an agent, or by the caller."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..criteria.agent import AgentCriterion, bounded
from ..criteria.base import Numbers
from .kernels import layout as at
from .kernels import plan as kernel
from .program import budget_rule, invariant_inputs

UNTIL_THE_LIMIT = 2**40  # attempts of a turn that ends with the first accepted step


class Observed(NamedTuple):
    """What an agent looks at, and what its answer is measured in, of R systems."""

    features: np.ndarray  # (R, 9) float32
    analytic: np.ndarray  # (R,) step of EnergyBudget, in units of time


class Observer:
    """The invariant features of the present states of a batch, with a tolerance for all systems or one for each."""

    def __init__(self, tol: Numbers, integrator: str, systems: int) -> None:
        from .kernels.observation import observe_systems

        self._observe, self._net = observe_systems, invariant_inputs()
        self.rule = budget_rule(tol, integrator, systems)
        self._found = np.zeros((systems, 10))

    def observe(self, store: kernel.Store, systems: np.ndarray) -> Observed:
        """Return features and analytic steps of these systems, whose forces must be known."""
        self._observe(systems, store, self.rule, self._net, self._found)
        found = self._found[systems]
        return Observed(bounded(found[:, :9]), found[:, 9])


class ChosenSteps:
    """The next step of every system, written into its rule before each turn.

    A turn ends with one accepted step because the limit of steps is that of one more. The arrays of the batch keep the real
    limit; the kernels see copies.
    """

    def __init__(self, system: np.ndarray, rule: np.ndarray) -> None:
        self.asked_for = system
        self.system, self.rule = system.copy(), rule.copy()

    def next_dt(self, store: kernel.Store, systems: np.ndarray) -> np.ndarray:
        """Return the next step of these systems, (R,)."""
        raise NotImplementedError

    def choose(self, store: kernel.Store, systems: np.ndarray) -> None:
        """Let each of these systems make one step, unless it is at its limit already."""
        steps, limit = store.count[systems, at.STEPS], self.asked_for[systems, at.STEP_LIMIT]
        self.system[systems, at.STEP_LIMIT] = np.minimum(limit, steps + 1)
        asked = systems[steps < limit]
        if len(asked):
            self.rule[asked, kernel.VALUE] = self.next_dt(store, asked)

    def go_on(self, store: kernel.Store, systems: np.ndarray) -> None:
        """Let systems go on that stopped after one step only because of the turn."""
        status, steps = store.count[systems, at.STATUS], store.count[systems, at.STEPS]
        only_the_turn = (status == at.MAX_STEPS) & (steps < self.asked_for[systems, at.STEP_LIMIT])
        store.count[systems[only_the_turn], at.STATUS] = at.RUNNING


class AgentSteps(ChosenSteps):
    """The steps that an agent chooses."""

    def __init__(self, agent: AgentCriterion, system: np.ndarray, rule: np.ndarray) -> None:
        super().__init__(system, rule)
        self.agent, self.factor = agent, agent.values(len(rule))
        self.observer = Observer(agent.tol, agent.integrator, len(rule))

    def next_dt(self, store: kernel.Store, systems: np.ndarray) -> np.ndarray:
        """Return the next step of these systems, (R,), for which the agent is asked once."""
        seen = self.observer.observe(store, systems)
        actions = self.agent.actions(seen.features)
        with np.errstate(over="ignore"):
            return np.asarray(self.factor[systems] * 10.0**actions * seen.analytic)
