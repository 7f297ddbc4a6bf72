"""Reference trajectories, and what a network needs to be judged on them without running anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...evaluation.runs import Systems
from ...criteria.base import Symmetrized
from ...criteria.classical import BUDGET_CONSTANTS, EnergyBudget
from ...errors import UserError
from ...differentiable.features import invariant_features
from ...integrators import COMPOSITIONS, step
from ...differentiable.particle import ParticleTorch
from ...differentiable.timescales import PairSums, budget_time, pair_sums
from ...simulate.batch import Watch
from ...simulate.engine import simulate
from ...simulate.recording import TrajectoryRecorder
from ...differentiable.loop import MAX_STEPS, OK

REFERENCE, REFERENCE_TOL = "suzuki4", 1e-6
POINTS = 5000  # of a track, at most: of longer runs it is the beginning
LONGEST = 0.6  # free-fall times: of the steps that errors are measured with


class ReferenceTrajectories(NamedTuple):
    """P tracks in one row, S points in all. Everything of a point is (S,)."""

    time: Tensor
    sums: PairSums
    features: Tensor  # (S, 8)
    step: Tensor  # (K, S) steps, from long to short, that errors were measured with
    rate: Tensor  # (K, S) the energy error over |E| that these make in unit time, over h^p: for small h, all the same
    track: Tensor  # the number of each point's track
    first: Tensor  # (P,) the first point of each track
    family: Tensor  # (P,)

    def rows(self, chosen: Tensor) -> tuple[ReferenceTrajectories, Tensor]:
        """(some of the tracks, which points those are)."""
        counts = torch.bincount(self.track, minlength=len(self.first))
        points = torch.cat([torch.arange(int(self.first[i]), int(self.first[i] + counts[i])) for i in chosen.tolist()])
        new = torch.repeat_interleave(torch.arange(len(chosen)), counts[chosen])
        first = torch.cumsum(counts[chosen], 0) - counts[chosen]
        sums = PairSums(*(x[points] for x in self.sums))
        measured = self.step[:, points], self.rate[:, points]
        return ReferenceTrajectories(self.time[points], sums, self.features[points], *measured, new, first, self.family[chosen]), points

    def rate_at(self, log_h: Tensor) -> Tensor:
        """(S,) the rate for steps exp(log_h) (S,): linear in ln h between those measured, the nearest one beyond."""
        found, log_step = self.rate[0], torch.log(self.step)
        for k in range(1, len(self.rate)):
            width = log_step[k - 1] - log_step[k]
            share = ((log_step[k - 1] - log_h) / torch.where(width > 0, width, 1.0)).clamp(0.0, 1.0)
            found = found + torch.where(width > 0, share, 1.0) * (self.rate[k] - self.rate[k - 1])
        return found


class _Track(NamedTuple):
    time: Tensor
    sums: PairSums
    features: Tensor
    step: Tensor
    rate: Tensor


def make_tracks(
    systems: Systems,
    family: np.ndarray,
    integrator: str,
    tolerances: Sequence[float],
    watch: Watch | None = None,
    threads: int = 1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> ReferenceTrajectories:
    """One track a problem that could be followed; `tolerances`: errors are measured with steps as long as these ask for."""

    def follow(i: int) -> _Track | None:
        return _follow(systems.rows(np.array([i])), integrator, tolerances, watch)

    made, kept = [], []
    with ThreadPoolExecutor(threads) as pool:
        for i, track in enumerate(pool.map(follow, range(len(family)))):
            tell(i + 1, len(family))
            if track is not None:
                made.append(track)
                kept.append(i)
    if not made:
        raise UserError("none of the problems could be followed to learn from; look at them with aitimestepper bench suite.")
    counts = torch.tensor([len(t.time) for t in made])
    return ReferenceTrajectories(
        time=torch.cat([t.time for t in made]),
        sums=PairSums(*(torch.cat(parts) for parts in zip(*(t.sums for t in made), strict=True))),
        features=torch.cat([t.features for t in made]),
        step=torch.cat([t.step for t in made], dim=1),
        rate=torch.cat([t.rate for t in made], dim=1),
        track=torch.repeat_interleave(torch.arange(len(made)), counts),
        first=torch.cumsum(counts, 0) - counts,
        family=torch.from_numpy(np.asarray(family)[kept]),
    )


def _follow(system: Systems, integrator: str, tolerances: Sequence[float], watch: Watch | None) -> _Track | None:
    """One problem, solved well; None: it broke off."""
    recorder = TrajectoryRecorder(limit=POINTS + 1)
    rule = Symmetrized(EnergyBudget(REFERENCE_TOL, REFERENCE))
    done = simulate(
        system.start,
        t_end=system.ends,
        criterion=rule,
        integrator=REFERENCE,
        output_steps=1,
        sinks=(recorder.take,),
        max_steps=POINTS,
        threads=1,
        progress=watch or False,
    )
    if done.status[0] not in (OK, MAX_STEPS):
        return None
    track, start = recorder.track(), system.start
    S = len(track.time)
    mass, softening = torch.from_numpy(track.mass).expand(S, -1), start.softening.expand(S)
    states = ParticleTorch.from_tensors(
        mass, track.position, track.velocity, softening=softening, time=torch.from_numpy(track.time), G=start.G
    )
    energy = float(abs(start.total_energy()))
    with torch.no_grad():
        sums = pair_sums(states)
        steps = [_budget_step(sums, integrator, tol) for tol in tolerances]
        rates = [error_rate(states, h, integrator) for h in steps]
    return _Track(states.time, sums, invariant_features(sums), torch.stack(steps), torch.stack(rates) / energy)


def _budget_step(sums: PairSums, integrator: str, tol: float) -> Tensor:
    """(B,) as long as EnergyBudget would take it."""
    order = COMPOSITIONS[integrator].order
    return budget_time(sums.tau_4, sums.chi, torch.full_like(sums.chi, tol), order, BUDGET_CONSTANTS[order], LONGEST)


def error_rate(p: ParticleTorch, h: Tensor, integrator: str) -> Tensor:
    """(B,) dE/dt over h^p in a run with steps h (B,), about the state: from a step forward and one back."""
    change = step(p, h, integrator).total_energy() - step(p, -h, integrator).total_energy()
    return change / (2.0 * h ** (COMPOSITIONS[integrator].order + 1))
