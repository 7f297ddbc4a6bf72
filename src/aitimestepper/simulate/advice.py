"""What went wrong in a run, and what to do about it: the sentences of `SimulationResult.advice`, and the warning of a call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from ..errors import SimulationWarning
from ..policy import tighter_gauss_radau
from .result import ENDED, MAX_STEPS, NON_FINITE, STUCK, SimulationResult

REMEDIES = {  # without a tolerance, and with one
    MAX_STEPS: ("used up its steps: allow more of them (max_steps)", ", or ask for a looser tol"),
    NON_FINITE: ("went to infinity or NaN, and stopped before it: give a softening", ", or a tighter tol"),
    STUCK: ("needed a step below the round-off of its time: give a softening, or a looser guard if there is one", ""),
}
NO_LOGH = ("found no further step by logh, which is for bodies that stay together: take another integrator", "")
SAFETY_FACTOR = 0.7  # of an advised tolerance, relative to the one that would just have been enough
# An advised tolerance is at most this factor tighter: the error is not proportional to the tolerance over many decades.
TIGHTEST_FACTOR = 1e-3
PLAUSIBLE = 1e-3  # a larger estimate of the rounding error is that of a run that has gone wrong already
LARGE_ERROR = 0.1  # energy error above which a run does not describe its problem any more
LARGE_SHARE = 0.05  # fraction of the steps outside the training above which a network is used for what it does not know
WARNED = 3  # largest number of sentences in a warning


def advice_on(result: SimulationResult) -> tuple[str, ...]:
    """Return one sentence for each thing that went wrong in a system of a result."""
    one = len(result.status) == 1
    return tuple(f"{'the run' if one else f'system {i}'} {words}." for i, words in _findings(result))


def warn_of(result: SimulationResult, stacklevel: int) -> None:
    """Give one warning if something went wrong in a run; `stacklevel` as of `warnings.warn`, from the caller."""
    alike: dict[str, list[int]] = {}  # what is the same for several systems is said once
    for i, words in _findings(result):
        alike.setdefault(words, []).append(i)
    if not alike:
        return
    found = [_about(systems, words, len(result.status)) for words, systems in alike.items()]
    more = len(found) - WARNED
    rest = [f"{more} more: see the advice of the result"] if more > 0 else []
    warnings.warn("; ".join((*found[:WARNED], *rest)) + ".", SimulationWarning, stacklevel=stacklevel + 1)


def _about(systems: list[int], words: str, of: int) -> str:
    if len(systems) > 1:
        return f"{len(systems)} systems {words.replace(' its ', ' their ')}"
    return f"the run {words}" if of == 1 else f"system {systems[0]} {words}"


def _findings(result: SimulationResult) -> Iterator[tuple[int, str]]:
    """Yield the number of a system and what went wrong in it; systems in which nothing did cost nothing."""
    ended = np.array([status in ENDED for status in result.status])
    within, error = result.within_tolerance, result.max_energy_error
    missed = np.zeros_like(ended) if within is None else ended & ~within
    large = ~missed & ~(error <= LARGE_ERROR)
    outside = result.reports.get("steps_outside_training")
    strange = np.zeros_like(ended) if outside is None else outside > LARGE_SHARE * result.steps
    for i in np.flatnonzero(~ended | missed | large | strange).tolist():
        if not ended[i]:
            words, more = NO_LOGH if (result.status[i], result.integrator) == (STUCK, "logh") else REMEDIES[result.status[i]]
            yield i, words if result.tol is None else words + more
        if missed[i]:
            yield i, _missed(result, i)
        if large[i]:
            shorter = "take shorter steps, or leave the criterion out and give tol"
            remedy = shorter if result.tol is None else "ask for a tighter tol"
            yield i, f"reached an energy error of {error[i]:.1e}, so that its result means little: {remedy}"
        if outside is not None and strange[i]:
            share = f"{outside[i] / result.steps[i]:.0%}"
            yield (
                i,
                f"took {share} of its steps in states unlike those that the network was trained on: check the energy error, or "
                "train a network for such problems",
            )


def _missed(result: SimulationResult, i: int) -> str:
    """Return words about a system that missed its tolerance: the tolerance to ask for, if a tighter one can help."""
    assert result.tol is not None
    asked, reached, limits = float(result.tol[i]), float(result.max_energy_error[i]), result.limits
    words = f"reached an energy error of {reached:.1e}, above the {asked:.1e} asked for"
    if limits is not None and limits.error_before is not None and limits.error_before[i] > asked:
        return f"{words}, before its last piece began: begin it again with a tighter tol"
    floor = 0.0 if limits is None else float(limits.rounding_error[i])
    wanted = SAFETY_FACTOR * asked * asked / reached
    if (limits is not None and limits.finest) or wanted <= floor <= PLAUSIBLE:
        return (
            f"{words}: that is the rounding error of double precision here (about {max(floor, reached):.0e}), which no smaller "
            "tolerance changes; give a softening if bodies come too close, or ask for no less than that"
        )
    tighter = max(wanted, TIGHTEST_FACTOR * asked)
    if result.integrator == "radau15":  # its own rule has one step for all looser tolerances; see `policy`
        tighter = tighter_gauss_radau(asked)
    if limits is not None and limits.covers is not None and tighter < limits.covers[0]:
        return f"{words}, which is as tight as its network goes: leave the model out, or train one for tighter tolerances"
    return f"{words}: ask for {tighter:.0e}"
