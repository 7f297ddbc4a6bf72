"""What went wrong in a run, and what to do about it: the sentences of `SimulationResult.advice`, and the warning of a call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np

from ..errors import SimulationWarning
from ..policy import LOOSE_EPSILON_MIN_TOL
from .result import MAX_STEPS, NON_FINITE, OK, STUCK, Limits, SimulationResult

REMEDIES = {  # without a tolerance, and with one
    MAX_STEPS: ("used up its steps: allow more of them (max_steps)", ", or ask for a looser tol"),
    NON_FINITE: ("went to infinity or NaN, and stopped before it: give a softening", ", or a tighter tol"),
    STUCK: ("needed a step below the round-off of its time: give a softening, or a looser guard if there is one", ""),
}
SAFETY_FACTOR = 0.7  # of an advised tolerance, relative to the one that would just have been enough
# An advised tolerance is at most this factor tighter: the error is not proportional to the tolerance over many decades.
TIGHTEST_FACTOR = 1e-3
PLAUSIBLE = 1e-3  # a larger estimate of the rounding error is that of a run that has gone wrong already
LARGE_ERROR = 0.1  # energy error above which a run does not describe its problem any more
LARGE_SHARE = 0.05  # fraction of the steps outside the training above which a network is used for what it does not know
WARNED = 3  # largest number of sentences in a warning


def advice_on(result: SimulationResult) -> tuple[str, ...]:
    """Return one sentence for each thing that went wrong in a system of a result."""
    return tuple(sentence for i in range(len(result.status)) for sentence in _on_system(result, i))


def warn_of(result: SimulationResult, stacklevel: int) -> None:
    """Give one warning if something went wrong in a run; `stacklevel` as of `warnings.warn`, from the caller."""
    found = _alike_together(result)
    if found:
        more = len(found) - WARNED
        rest = (f"{more} more: see the advice of the result.",) if more > 0 else ()
        warnings.warn(
            "; ".join((*(x.rstrip(".") for x in found[:WARNED]), *rest)) + ("" if rest else "."),
            SimulationWarning,
            stacklevel=stacklevel + 1,
        )


def _alike_together(result: SimulationResult) -> list[str]:
    """Return the advice; what is the same for several systems is said once."""
    found: dict[str, list[int]] = {}
    for i in range(len(result.status)):
        for sentence in _on_system(result, i):
            found.setdefault(sentence.removeprefix(f"system {i} "), []).append(i)
    return [
        words
        if len(result.status) == 1
        else f"system {of[0]} {words}"
        if len(of) == 1
        else f"{len(of)} systems {_plural(words)}"
        for words, of in found.items()
    ]


def _plural(words: str) -> str:
    return words.replace(" its ", " their ")


def _on_system(result: SimulationResult, i: int) -> Iterator[str]:
    system = f"system {i}" if len(result.status) > 1 else "the run"
    within, error = result.within_tolerance, float(result.max_energy_error[i])
    missed = result.status[i] == OK and within is not None and not within[i]
    if result.status[i] != OK:
        words, more = REMEDIES[result.status[i]]
        yield f"{system} {words}{'' if result.tol is None else more}."
    if missed:
        yield _missed(result, i, system)
    elif not error <= LARGE_ERROR:
        shorter = "take shorter steps, or leave the criterion out and give tol"
        remedy = shorter if result.tol is None else "ask for a tighter tol"
        yield f"{system} reached an energy error of {error:.1e}, so that its result means little: {remedy}."
    outside = result.reports.get("steps_outside_training")
    if outside is not None and outside[i] > LARGE_SHARE * result.steps[i]:
        yield (
            f"{system} took {outside[i] / result.steps[i]:.0%} of its steps in states unlike those that the network was "
            "trained on: check the energy error, or train a network for such problems."
        )


def _missed(result: SimulationResult, i: int, system: str) -> str:
    """Return the sentence about a system that missed its tolerance: the tolerance to ask for, if a tighter one can help."""
    assert result.tol is not None
    asked, reached = float(result.tol[i]), float(result.max_energy_error[i])
    words = f"{system} reached an energy error of {reached:.1e}, above the {asked:.1e} asked for"
    limits = result.limits or Limits(np.zeros(len(result.status)))
    before, floor = limits.error_before, float(limits.rounding_error[i])
    if before is not None and before[i] > asked:
        return f"{words}, before its last piece began: begin it again with a tighter tol."
    if limits.finest or (SAFETY_FACTOR * asked * asked / reached <= floor <= PLAUSIBLE):
        return (
            f"{words}: that is the rounding error of double precision here (about {max(floor, reached):.0e}), which no smaller "
            "tolerance changes; give a softening if bodies come too close, or ask for no less than that."
        )
    tighter = max(SAFETY_FACTOR * asked * asked / reached, TIGHTEST_FACTOR * asked)
    if result.integrator == "radau15":  # its own rule has one step for all looser tolerances; see `policy`
        tighter = 0.8 * LOOSE_EPSILON_MIN_TOL
    if limits.covers is not None and tighter < limits.covers[0]:
        return f"{words}, which is as tight as its network goes: leave the model out, or train one for tighter tolerances."
    return f"{words}: ask for {tighter:.0e}."


def rounding_error(
    scale: np.ndarray, energies: np.ndarray, potential: np.ndarray, distance: np.ndarray, extent: np.ndarray
) -> np.ndarray:
    """Return about the relative energy error that rounding alone causes, (B,).

    scale: the denominator S of energy errors. energies: K + |U| at the start. potential: |U| of the closest pair at its closest
    approach, at `distance`. extent: the largest coordinate, whose rounding is an error of that distance.
    """
    unit = 0.1 * np.finfo(np.float64).eps  # so that Burrau's problem has 6e-10; it reaches 8e-10
    with np.errstate(all="ignore"):
        found = unit * (energies + potential * (1.0 + extent / distance)) / scale
    return np.where(np.isfinite(found), found, math.inf)
