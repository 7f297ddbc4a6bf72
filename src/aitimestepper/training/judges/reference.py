"""Reference trajectories, with all that is needed to predict cost and error of any steps along them without a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...criteria.classical import EnergyBudget
from ...criteria.wrappers import Symmetrized
from ...differentiable.features import invariant_features
from ...differentiable.particle import ParticleTorch
from ...differentiable.stepping import step
from ...differentiable.timescales import PairSums, budget_time, pair_sums
from ...evaluation.runs import Systems
from ...integrators import SPLITTINGS
from ...simulate.engine import simulate
from ...simulate.recording import TrajectoryRecorder
from ...simulate.result import MAX_STEPS, OK

REFERENCE, REFERENCE_TOL = "suzuki4", 1e-6
# A run that is rejected is made again with a tolerance tighter by this factor; below `TIGHTEST` rounding errors are larger.
TIGHTER, TIGHTEST = 10.0, 1e-13
POINTS = 5000  # largest number of points of a trajectory; of longer runs only the beginning is recorded
LONGEST = 0.6  # longest step that errors are measured with, in free-fall times


class ReferenceTrajectories(NamedTuple):
    """P trajectories one after the other, with S points in all. All numbers of points are (S,)."""

    time: Tensor
    sums: PairSums
    features: Tensor  # (S, 9)
    step: Tensor  # (K, S) steps, from long to short, that errors were measured with
    rate: Tensor  # (K, S) relative energy error of these steps in unit time, over h^p: independent of h for small h
    trajectory: Tensor  # the index of each point's trajectory
    first: Tensor  # (P,) the first point of each trajectory
    family: Tensor  # (P,)

    def rows(self, chosen: Tensor) -> tuple[ReferenceTrajectories, Tensor]:
        """Return the trajectories that `chosen` names, and the indices of their points."""
        counts = torch.bincount(self.trajectory, minlength=len(self.first))
        ranges = [torch.arange(int(self.first[i]), int(self.first[i] + counts[i])) for i in chosen.tolist()]
        points = torch.cat(ranges).to(self.time.device)
        chosen = chosen.to(self.time.device)
        part = ReferenceTrajectories(
            time=self.time[points],
            sums=PairSums(*(x[points] for x in self.sums)),
            features=self.features[points],
            step=self.step[:, points],
            rate=self.rate[:, points],
            trajectory=torch.repeat_interleave(torch.arange(len(chosen), device=chosen.device), counts[chosen]),
            first=torch.cumsum(counts[chosen], 0) - counts[chosen],
            family=self.family[chosen],
        )
        return part, points

    def to(self, device: torch.device) -> ReferenceTrajectories:
        """Return the same trajectories on a device."""
        moved = {name: x.to(device) for name, x in self._asdict().items() if isinstance(x, Tensor)}
        return self._replace(**moved, sums=PairSums(*(x.to(device) for x in self.sums)))

    def rate_at(self, log_h: Tensor) -> Tensor:
        """Return the rate (S,) for steps exp(log_h) (S,), interpolated linearly in ln h; beyond the ends, the nearest one."""
        found, log_step = self.rate[0], torch.log(self.step)
        for k in range(1, len(self.rate)):
            width = log_step[k - 1] - log_step[k]
            weight = ((log_step[k - 1] - log_h) / torch.where(width > 0, width, 1.0)).clamp(0.0, 1.0)
            found = found + torch.where(width > 0, weight, 1.0) * (self.rate[k] - self.rate[k - 1])
        return found


class MeasuredTrajectory(NamedTuple):
    """One trajectory of S points, each array as in `ReferenceTrajectories`, and the run that it comes from."""

    time: Tensor
    sums: PairSums
    features: Tensor
    step: Tensor
    rate: Tensor
    error: float  # largest relative energy error of the run
    rejected: int  # runs that were rejected before it


def measure_references(
    systems: Systems,
    integrator: str,
    tolerances: Sequence[float],
    gate: float,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[MeasuredTrajectory | None]:
    """Return a trajectory of each problem, None where no reference run came within the `gate`, a relative energy error.

    tolerances: errors are measured with the steps of EnergyBudget at these. report(done, total) is called after every problem.
    """
    P, found = len(systems.ends), []
    with ThreadPoolExecutor(threads) as pool:
        work = pool.map(lambda i: _measure(systems.rows(np.array([i])), integrator, tolerances, gate), range(P))
        for one in work:
            found.append(one)
            report(len(found), P)
    return found


def join_references(made: Sequence[MeasuredTrajectory], family: Sequence[int]) -> ReferenceTrajectories:
    """Return trajectories one after the other; family: the index of the family of each."""
    counts = torch.tensor([len(one.time) for one in made])
    return ReferenceTrajectories(
        time=torch.cat([one.time for one in made]),
        sums=PairSums(*(torch.cat(parts) for parts in zip(*(one.sums for one in made), strict=True))),
        features=torch.cat([one.features for one in made]),
        step=torch.cat([one.step for one in made], dim=1),
        rate=torch.cat([one.rate for one in made], dim=1),
        trajectory=torch.repeat_interleave(torch.arange(len(made)), counts),
        first=torch.cumsum(counts, 0) - counts,
        family=torch.tensor(family),
    )


def _measure(system: Systems, integrator: str, tolerances: Sequence[float], gate: float) -> MeasuredTrajectory | None:
    """Return a trajectory of one problem within the gate, with the errors of steps along it; None: there is none."""
    tol, rejected = REFERENCE_TOL, 0
    while (run := _reference_run(system, tol)).status not in (OK, MAX_STEPS) or not run.error <= gate:
        tol, rejected = tol / TIGHTER, rejected + 1
        if tol < TIGHTEST:
            return None
    scale = float(system.start.energy_scale()[0])
    with torch.no_grad():
        sums = pair_sums(run.states)
        steps = [_budget_step(sums, integrator, tol) for tol in tolerances]
        rates = [error_rate(run.states, h, integrator) for h in steps]
    features, rate = invariant_features(sums), torch.stack(rates) / scale
    return MeasuredTrajectory(run.states.time, sums, features, torch.stack(steps), rate, run.error, rejected)


class _ReferenceRun(NamedTuple):
    states: ParticleTorch  # all states as one batch
    error: float  # largest relative energy error
    status: str


def _reference_run(system: Systems, tol: float) -> _ReferenceRun:
    """Solve one problem to about a tolerance; of long runs only the first `POINTS` steps."""
    recorder = TrajectoryRecorder(limit=POINTS + 1)
    done = simulate(
        system.start,
        t_end=system.ends,
        criterion=Symmetrized(EnergyBudget(tol, REFERENCE)),
        integrator=REFERENCE,
        output_steps=1,
        sinks=(recorder.take,),
        max_steps=POINTS,
        threads=1,
        warn=False,
    )
    run, start = recorder.trajectory(), system.start
    states = ParticleTorch.from_tensors(
        np.tile(run.mass, (len(run.time), 1)),
        run.position,
        run.velocity,
        softening=float(start.softening[0]),
        time=run.time,
        G=start.G,
    )
    return _ReferenceRun(states, float(done.max_energy_error[0]), done.status[0])


def _budget_step(sums: PairSums, integrator: str, tol: float) -> Tensor:
    """Return the step (S,) that EnergyBudget would choose."""
    budget = EnergyBudget(integrator=integrator)
    allowed = budget_time(sums.tau_4, sums.chi, torch.full_like(sums.chi, tol), budget.order, budget.constant)
    return torch.minimum(allowed, LONGEST * sums.tau_4)


def error_rate(p: ParticleTorch, h: Tensor, integrator: str) -> Tensor:
    """Return dE/dt over h^p (B,) of a run with steps h (B,) at the given states, from one step forward and one back."""
    change = step(p, h, integrator).total_energy() - step(p, -h, integrator).total_energy()
    return change / (2.0 * h ** (SPLITTINGS[integrator].order + 1))
