"""What a simulation comes back with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..differentiable.conserved import angular_momentum, angular_momentum_scale, momentum, momentum_scale
from ..differentiable.loop import MAX_STEPS, NON_FINITE, OK, STUCK
from ..differentiable.particle import ParticleTorch

REMEDIES = {
    MAX_STEPS: "used up its steps: allow more of them (max_steps), or ask for a looser tol",
    NON_FINITE: "went to infinity or NaN, and stopped before it: give a softening, or a tighter tol",
    STUCK: "needed a step below the round-off of its time: give a softening, or a looser guard if there is one",
}
CAUTION = 0.7  # of what would just have done, when a tighter tolerance is advised


class ClosestApproach(NamedTuple):
    """Where two bodies came nearest to each other in each system, located between steps."""

    pair: Tensor  # (B, 2) numbers of the bodies
    distance: Tensor  # (B,)
    time: Tensor  # (B,)


NUMBERS = (
    "steps",
    "force_evaluations",
    "rejected_steps",
    "max_energy_error",
    "final_energy_error",
    "momentum_error",
    "angular_momentum_error",
    "dt_min",
    "dt_max",
)


@dataclass(frozen=True)
class SimulationResult:
    """How every system of the batch ended. Tensors are (B,); errors are relative, `max_` over all steps.

    With a time-dependent outer field the energy errors leave out the work that the field did.
    """

    final: ParticleTorch
    status: tuple[str, ...]  # ok, max_steps, non_finite (the last finite state is kept), stuck (dt below round-off of t, or
    # the guard found no step small enough)
    steps: Tensor
    force_evaluations: Tensor
    rejected_steps: Tensor  # steps that the guard threw away; their forces are counted
    max_energy_error: Tensor
    final_energy_error: Tensor
    momentum_error: Tensor | None  # over sum m|v|; None with an outer field, which does not conserve it
    angular_momentum_error: Tensor | None  # over sum m|x||v|
    dt_min: Tensor
    dt_max: Tensor
    closest_approach: ClosestApproach | None  # None from the reference loop
    wall_time: float
    criterion: str
    integrator: str
    engine: str  # compiled or reference
    reports: dict[str, Tensor]  # what the criterion says of its run, each (B,); see `AbstractStepCriterion.report`
    tol: Tensor | None = None  # (B,) what `max_energy_error` was to stay below, if the criterion knows of a tolerance
    output: Path | None = None

    @property
    def within_tolerance(self) -> Tensor | None:
        """(B,) whether every system reached its end within the tolerance asked for; None: none was."""
        if self.tol is None:
            return None
        ended = torch.tensor([status == OK for status in self.status], device=self.tol.device)
        return ended & (self.max_energy_error <= self.tol)

    @property
    def advice(self) -> tuple[str, ...]:
        """A sentence for each system that broke off, or did not keep its tolerance: what happened, and what to do."""
        found, many, kept = [], len(self.status) > 1, self.within_tolerance
        for i, status in enumerate(self.status):
            who = f"system {i}" if many else "the run"
            if status != OK:
                found.append(f"{who} {REMEDIES[status]}.")
            elif kept is not None and self.tol is not None and not kept[i]:
                asked, reached = self.tol[i].item(), self.max_energy_error[i].item()
                tighter = f"ask for {CAUTION * asked * asked / reached:.0e}"
                found.append(f"{who} came to an energy error of {reached:.1e}, above the {asked:.1e} asked for: {tighter}.")
        return tuple(found)

    def summary(self) -> dict[str, Any]:
        """Plain numbers for JSON: of the system, or, for a batch, of each one under `systems`."""
        kept = self.within_tolerance
        rows = [self._row(i, kept) for i in range(len(self.status))]
        shared: dict[str, Any] = {"criterion": self.criterion, "integrator": self.integrator, "engine": self.engine}
        shared["wall_time"] = self.wall_time
        if self.output is not None:
            shared["output"] = str(self.output)
        return {**rows[0], **shared} if len(rows) == 1 else {**shared, "systems": rows}

    def _row(self, i: int, kept: Tensor | None) -> dict[str, Any]:
        row: dict[str, Any] = {"status": self.status[i], "time": self.final.time[i].item()}
        if self.tol is not None and kept is not None:
            row |= {"tol": self.tol[i].item(), "kept": bool(kept[i])}
        for name in NUMBERS:
            values = getattr(self, name)
            row[name] = None if values is None else values[i].item()
        row |= {name: values[i].item() for name, values in self.reports.items()}
        row = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        near = self.closest_approach
        if near is not None:
            row["closest_approach"] = {
                "pair": near.pair[i].tolist(),
                "distance": near.distance[i].item(),
                "time": near.time[i].item(),
            }
        return row


def momentum_errors(start: ParticleTorch, final: ParticleTorch) -> tuple[Tensor | None, Tensor | None]:
    """(momentum, angular momentum), each (B,) against the sums of the sizes of their terms; None with an outer field."""
    if start.external_field is not None:
        return None, None
    tiny = torch.finfo(start.time.dtype).tiny
    p_scale = torch.maximum(momentum_scale(start), momentum_scale(final)).clamp_min(tiny)
    L_scale = torch.maximum(angular_momentum_scale(start), angular_momentum_scale(final)).clamp_min(tiny)
    p = (momentum(final) - momentum(start)).norm(dim=-1) / p_scale
    L = (angular_momentum(final) - angular_momentum(start)).norm(dim=-1) / L_scale
    return p, L
