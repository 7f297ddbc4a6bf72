"""Reference trajectories, with all that is needed to predict cost and error of any steps along them without a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...constants import BUDGET_CONSTANTS
from ...criteria.classical import EnergyBudget
from ...criteria.wrappers import Symmetrized
from ...differentiable.features import invariant_features
from ...differentiable.particle import ParticleTorch
from ...differentiable.stepping import step
from ...differentiable.timescales import PairSums, budget_time, pair_sums
from ...errors import UserError
from ...evaluation.runs import Systems
from ...integrators import COMPOSITIONS
from ...simulate.engine import simulate
from ...simulate.progress import Watch
from ...simulate.recording import TrajectoryRecorder
from ...simulate.result import MAX_STEPS, OK

REFERENCE, REFERENCE_TOL = "suzuki4", 1e-6
POINTS = 5000  # largest number of points of a trajectory; of longer runs only the beginning is recorded
LONGEST = 0.6  # longest step that errors are measured with, in free-fall times


class ReferenceTrajectories(NamedTuple):
    """P trajectories one after the other, with S points in all. All numbers of points are (S,)."""

    time: Tensor
    sums: PairSums
    features: Tensor  # (S, 8)
    step: Tensor  # (K, S) steps, from long to short, that errors were measured with
    rate: Tensor  # (K, S) relative energy error of these steps in unit time, over h^p: independent of h for small h
    trajectory: Tensor  # the index of each point's trajectory
    first: Tensor  # (P,) the first point of each trajectory
    family: Tensor  # (P,)

    def rows(self, chosen: Tensor) -> tuple[ReferenceTrajectories, Tensor]:
        """Return the trajectories that `chosen` names, and the indices of their points."""
        counts = torch.bincount(self.trajectory, minlength=len(self.first))
        points = torch.cat([torch.arange(int(self.first[i]), int(self.first[i] + counts[i])) for i in chosen.tolist()])
        part = ReferenceTrajectories(
            time=self.time[points],
            sums=PairSums(*(x[points] for x in self.sums)),
            features=self.features[points],
            step=self.step[:, points],
            rate=self.rate[:, points],
            trajectory=torch.repeat_interleave(torch.arange(len(chosen)), counts[chosen]),
            first=torch.cumsum(counts[chosen], 0) - counts[chosen],
            family=self.family[chosen],
        )
        return part, points

    def rate_at(self, log_h: Tensor) -> Tensor:
        """Return the rate (S,) for steps exp(log_h) (S,), interpolated linearly in ln h; beyond the ends, the nearest one."""
        found, log_step = self.rate[0], torch.log(self.step)
        for k in range(1, len(self.rate)):
            width = log_step[k - 1] - log_step[k]
            weight = ((log_step[k - 1] - log_h) / torch.where(width > 0, width, 1.0)).clamp(0.0, 1.0)
            found = found + torch.where(width > 0, weight, 1.0) * (self.rate[k] - self.rate[k - 1])
        return found


class _Measured(NamedTuple):
    """One trajectory of S points, each array as in `ReferenceTrajectories`."""

    time: Tensor
    sums: PairSums
    features: Tensor
    step: Tensor
    rate: Tensor


def make_references(
    systems: Systems,
    family: np.ndarray,
    integrator: str,
    tolerances: Sequence[float],
    watch: Watch | None = None,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> ReferenceTrajectories:
    """Return a trajectory of each problem whose reference run did not break off.

    family (P,): the index of each problem's family. tolerances: errors are measured with the steps of EnergyBudget at these.
    report(done, total) is called after every problem.
    """

    def measured(i: int) -> _Measured | None:
        return _measure(systems.rows(np.array([i])), integrator, tolerances, watch)

    made, numbers = [], []
    with ThreadPoolExecutor(threads) as pool:
        for i, one in enumerate(pool.map(measured, range(len(family)))):
            report(i + 1, len(family))
            if one is not None:
                made.append(one)
                numbers.append(i)
    if not made:
        raise UserError("no reference run of the problems reached its end; look at them with aitimestepper bench suite.")
    return _joined(made, torch.from_numpy(np.asarray(family)[numbers]))


def _joined(made: Sequence[_Measured], family: Tensor) -> ReferenceTrajectories:
    counts = torch.tensor([len(one.time) for one in made])
    return ReferenceTrajectories(
        time=torch.cat([one.time for one in made]),
        sums=PairSums(*(torch.cat(parts) for parts in zip(*(one.sums for one in made), strict=True))),
        features=torch.cat([one.features for one in made]),
        step=torch.cat([one.step for one in made], dim=1),
        rate=torch.cat([one.rate for one in made], dim=1),
        trajectory=torch.repeat_interleave(torch.arange(len(made)), counts),
        first=torch.cumsum(counts, 0) - counts,
        family=family,
    )


def _measure(system: Systems, integrator: str, tolerances: Sequence[float], watch: Watch | None) -> _Measured | None:
    """Return the trajectory of one problem, solved accurately, with the errors of steps along it; None: it broke off."""
    states = _reference_states(system, watch)
    if states is None:
        return None
    scale = float(system.start.energy_scale()[0])
    with torch.no_grad():
        sums = pair_sums(states)
        steps = [_budget_step(sums, integrator, tol) for tol in tolerances]
        rates = [error_rate(states, h, integrator) for h in steps]
    return _Measured(states.time, sums, invariant_features(sums), torch.stack(steps), torch.stack(rates) / scale)


def _reference_states(system: Systems, watch: Watch | None) -> ParticleTorch | None:
    """Return all states of the reference run of one problem as one batch; None: it broke off."""
    recorder = TrajectoryRecorder(limit=POINTS + 1)
    done = simulate(
        system.start,
        t_end=system.ends,
        criterion=Symmetrized(EnergyBudget(REFERENCE_TOL, REFERENCE)),
        integrator=REFERENCE,
        output_steps=1,
        sinks=(recorder.take,),
        max_steps=POINTS,
        threads=1,
        progress=watch or False,
    )
    if done.status[0] not in (OK, MAX_STEPS):
        return None
    run, start = recorder.trajectory(), system.start
    return ParticleTorch.from_tensors(
        np.tile(run.mass, (len(run.time), 1)),
        run.position,
        run.velocity,
        softening=float(start.softening[0]),
        time=run.time,
        G=start.G,
    )


def _budget_step(sums: PairSums, integrator: str, tol: float) -> Tensor:
    """Return the step (S,) that EnergyBudget would choose."""
    order = COMPOSITIONS[integrator].order
    return budget_time(sums.tau_4, sums.chi, torch.full_like(sums.chi, tol), order, BUDGET_CONSTANTS[order], LONGEST)


def error_rate(p: ParticleTorch, h: Tensor, integrator: str) -> Tensor:
    """Return dE/dt over h^p (B,) of a run with steps h (B,) at the given states, from one step forward and one back."""
    change = step(p, h, integrator).total_energy() - step(p, -h, integrator).total_energy()
    return change / (2.0 * h ** (COMPOSITIONS[integrator].order + 1))
