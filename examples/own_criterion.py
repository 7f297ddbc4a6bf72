"""A step criterion of your own, beside the shipped ones: steps from the closest pair's own orbital phase speed.

python examples/own_criterion.py
"""

import torch
from torch import Tensor

from aitimestepper import AbstractStepCriterion, Boekholt, FreeFall, ParticleTorch, Symmetrized, simulate
from aitimestepper.criteria.base import Lowered
from aitimestepper.differentiable.timescales import pair_rates
from aitimestepper.initial.named import kepler


class PairPhase(AbstractStepCriterion):
    """eta over the fastest sqrt(G M / r^3 + v^2 / r^2) of all pairs."""

    name = "pairphase"

    def __init__(self, eta: float) -> None:
        self.eta = eta

    def step_size(self, particle: ParticleTorch, memory: None) -> Tensor:
        """(B,) one step for every system of the batch."""
        freefall_rate2, flyby_rate2, _ = pair_rates(particle)
        return self.eta / torch.sqrt((freefall_rate2 + flyby_rate2).amax((1, 2)))

    def lower(self) -> Lowered:
        """Its number, for summaries."""
        return Lowered(self.name, (self.eta,))


def main() -> None:
    """Ten orbits with each; wrapping works with yours as with ours."""
    for criterion in (FreeFall(0.05), Symmetrized(Boekholt(0.05)), PairPhase(0.07), Symmetrized(PairPhase(0.07))):
        result = simulate(kepler(e=0.7), t_end=62.8, criterion=criterion)
        print(
            f"{result.criterion:32s} forces {int(result.force_evaluations[0]):5d}   energy error: "
            f"largest {result.max_energy_error[0]:.1e}, at the end {result.final_energy_error[0]:.1e}"
        )


if __name__ == "__main__":
    main()
