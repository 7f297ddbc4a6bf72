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
from ...differentiable.conserved import conserved_energy
from ...differentiable.features import invariant_features
from ...differentiable.particle import ParticleTorch
from ...differentiable.timescales import PairSums, budget_time, pair_sums
from ...evaluation.runs import Systems
from ...hierarchy import own_orbits
from ...initial.suites import Suite
from ...integrators import SPLITTINGS
from ...simulate.engine import simulate
from ...simulate.length import are_sensitive
from ...simulate.recording import TrajectoryRecorder
from ...simulate.result import MAX_STEPS, OK
from .own import centred_step, own_errors

REFERENCE, REFERENCE_TOL = "blanes_moan6", 1e-6
# A run that is rejected is made again with a tolerance tighter by this factor; below `TIGHTEST` rounding errors are larger.
TIGHTER, TIGHTEST = 10.0, 1e-13
POINTS = 1500  # largest number of points of a trajectory; of longer runs only the beginning is recorded
PAIRS, FEWEST = 600_000, 150  # of N bodies at most PAIRS / N^2 points, but FEWEST are recorded always
LONGEST = 0.6  # longest step that errors are measured with, in free-fall times


class ReferenceTrajectories(NamedTuple):
    """P trajectories one after the other, with S points in all. All numbers of points are (S,)."""

    time: Tensor
    sums: PairSums
    features: Tensor  # (S, 7)
    step: Tensor  # (K, S) steps, from long to short, that errors were measured with
    # (K, 3, S) errors of these steps in unit time, over h^p: independent of h for small h. They are relative errors of the
    # total energy and of the own energy of the body that suffers most, and the time by which that body is ahead (see `own`)
    rate: Tensor
    own: Tensor  # (2, S) `slope` and `drift` of that body, see `own.OwnErrors`
    trajectory: Tensor  # the index of each point's trajectory
    first: Tensor  # (P,) the first point of each trajectory
    family: Tensor  # (P,)
    sensitive: Tensor  # (P,) bool: systems with a calibration of their own

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
            rate=self.rate[..., points],
            own=self.own[:, points],
            trajectory=torch.repeat_interleave(torch.arange(len(chosen), device=chosen.device), counts[chosen]),
            first=torch.cumsum(counts[chosen], 0) - counts[chosen],
            family=self.family[chosen],
            sensitive=self.sensitive[chosen],
        )
        return part, points

    def to(self, device: torch.device) -> ReferenceTrajectories:
        """Return the same trajectories on a device."""
        moved = {name: x.to(device) for name, x in self._asdict().items() if isinstance(x, Tensor)}
        return self._replace(**moved, sums=PairSums(*(x.to(device) for x in self.sums)))

    def rate_at(self, log_h: Tensor) -> Tensor:
        """Return the rates (3, S) for steps exp(log_h) (S,), interpolated linearly in h^2; beyond the ends, the nearest one.

        The steps are time-reversible, so their errors over h^p are even in h.
        """
        found, h2, square = self.rate[0], torch.exp(2.0 * log_h), self.step**2
        for k in range(1, len(self.rate)):
            width = square[k - 1] - square[k]
            weight = ((square[k - 1] - h2) / torch.where(width > 0, width, 1.0)).clamp(0.0, 1.0)
            found = found + torch.where(width > 0, weight, 1.0) * (self.rate[k] - self.rate[k - 1])
        return found


class MeasuredTrajectory(NamedTuple):
    """One trajectory of S points, each array as in `ReferenceTrajectories`, and the run that it comes from."""

    time: Tensor
    sums: PairSums
    features: Tensor
    step: Tensor
    rate: Tensor
    own: Tensor
    error: float  # largest relative energy error of the run
    rejected: int  # runs that were rejected before it
    sensitive: bool


def measure_references(
    suite: Suite,
    integrator: str,
    tolerances: Sequence[float],
    gate: float,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[MeasuredTrajectory | None]:
    """Return a trajectory of each problem, None where no reference run came within the `gate`, a relative energy error.

    tolerances: errors are measured with the steps of EnergyBudget at these. report(done, total) is called after every problem.
    """
    regular, found = suite.regular, []

    def measured(i: int) -> MeasuredTrajectory | None:
        return _measure(Systems(*suite.batch([i])), integrator, tolerances, gate, bool(regular[i]))

    with ThreadPoolExecutor(threads) as pool:
        for one in pool.map(measured, range(len(suite))):
            found.append(one)
            report(len(found), len(suite))
    return found


def join_references(made: Sequence[MeasuredTrajectory], family: Sequence[int]) -> ReferenceTrajectories:
    """Return trajectories one after the other; family: the index of the family of each."""
    counts = torch.tensor([len(one.time) for one in made])
    return ReferenceTrajectories(
        time=torch.cat([one.time for one in made]),
        sums=PairSums(*(torch.cat(parts) for parts in zip(*(one.sums for one in made), strict=True))),
        features=torch.cat([one.features for one in made]),
        step=torch.cat([one.step for one in made], dim=1),
        rate=torch.cat([one.rate for one in made], dim=2),
        own=torch.cat([one.own for one in made], dim=1),
        trajectory=torch.repeat_interleave(torch.arange(len(made)), counts),
        first=torch.cumsum(counts, 0) - counts,
        family=torch.tensor(family),
        sensitive=torch.tensor([one.sensitive for one in made]),
    )


def _measure(
    system: Systems, integrator: str, tolerances: Sequence[float], gate: float, regular: bool
) -> MeasuredTrajectory | None:
    """Return a trajectory of one problem within the gate, with the errors of steps along it; None: there is none."""
    tol, rejected = REFERENCE_TOL, 0
    while (run := _reference_run(system, tol)).status not in (OK, MAX_STEPS) or not run.error <= gate:
        tol, rejected = tol / TIGHTER, rejected + 1
        if tol < TIGHTEST:
            return None
    scale = float(system.start.energy_scale()[0])
    with torch.no_grad():
        sums = pair_sums(run.states, torch.full_like(run.states.time, scale))
        steps = [_budget_step(sums, integrator, tol) for tol in tolerances]
        made = [centred_step(run.states, h, integrator) for h in steps]
        total = torch.stack([error_rate(before, after, integrator) for before, after in made]) / scale
        rate, own = _with_own(run.states, steps, [after for _, after in made], total, integrator, system, regular)
    return MeasuredTrajectory(
        time=run.states.time,
        sums=sums,
        features=invariant_features(sums),
        step=torch.stack(steps),
        rate=rate,
        own=own,
        error=run.error,
        rejected=rejected,
        sensitive=bool(are_sensitive(system.start)[0]),
    )


def _with_own(
    p: ParticleTorch,
    steps: Sequence[Tensor],
    after: Sequence[ParticleTorch],
    total: Tensor,
    integrator: str,
    system: Systems,
    regular: bool,
) -> tuple[Tensor, Tensor]:
    """Return `rate` (K, 3, S) and `own` (2, S) of the rates `total` (K, S): zero for own energies where they do not count."""
    start, zero = system.start, torch.zeros_like(total)
    nothing = torch.stack([total, zero, zero], dim=1), zero.new_zeros(2, len(p))
    if not regular:
        return nothing
    if p.mass.shape[1] == 2 and p.external_field is None and bool((p.mass[0] > 0).all()):  # the total energy is their own
        return torch.stack([total, total, zero], dim=1), nothing[1]
    orbits, present = own_orbits(start), start.present[0]
    covered = orbits.covered[0] & present
    if not covered.any():
        return nothing
    members = (torch.from_numpy(part[0][np.ix_(covered, present)]) for part in (orbits.host, orbits.group))
    own = own_errors(p, steps, after, integrator, *members)
    return torch.stack([total, own.energy_rate, own.shift_rate], dim=1), torch.stack([own.slope, own.drift])


class _ReferenceRun(NamedTuple):
    states: ParticleTorch  # all states as one batch
    error: float  # largest relative energy error
    status: str


def _reference_run(system: Systems, tol: float) -> _ReferenceRun:
    """Solve one problem to about a tolerance; of long runs only the beginning."""
    points = min(POINTS, max(FEWEST, PAIRS // system.start.mass.shape[1] ** 2))
    recorder = TrajectoryRecorder(limit=points + 1)
    done = simulate(
        system.start,
        t_end=system.ends,
        criterion=Symmetrized(EnergyBudget(tol, REFERENCE)),
        integrator=REFERENCE,
        output_steps=1,
        sinks=(recorder.take,),
        max_steps=points,
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
        external_field=start.external_field,
    )
    return _ReferenceRun(states, float(done.max_energy_error[0]), done.status[0])


def _budget_step(sums: PairSums, integrator: str, tol: float) -> Tensor:
    """Return the step (S,) that EnergyBudget would choose."""
    budget = EnergyBudget(integrator=integrator)
    allowed = budget_time(sums.tau_4, sums.chi, torch.full_like(sums.chi, tol), budget.order, budget.constant)
    return torch.minimum(allowed, LONGEST * sums.tau_4)


def error_rate(before: ParticleTorch, after: ParticleTorch, integrator: str) -> Tensor:
    """Return dE/dt over h^p (B,) of a run with the steps h that lead from one state to the other."""
    change = conserved_energy(after) - conserved_energy(before)
    return change / after.dt ** (SPLITTINGS[integrator].order + 1)
