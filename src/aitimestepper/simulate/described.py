"""A result in words: its line in a Python session, its rows for a terminal, and its card in a notebook."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..html import Table, card
from .result import ENDED, SimulationResult

if TYPE_CHECKING:
    from .present import Present

Rows = list[tuple[str, str]]
UNIT_LABELS = {"length": 0, "time": 2}  # places in the labels of a system of units
SHOWN = 8  # systems of a batch in the table of a card
EVENTS = 3  # that a summary names
STATUS = {
    "event": "ended at an event, as it was asked to",
    "max_steps": "used up its steps",
    "non_finite": "broke off before NaN",
    "stuck": "got stuck",
    "interrupted": "was interrupted",
}


def line_of(result: SimulationResult) -> str:
    """Return a result in two lines: how it ended, its largest error, and what it took."""
    systems = len(result.status)
    if systems == 1:
        head = f"SimulationResult: {_status(result, 0)}, energy error {_energy(result, 0)}"
    else:
        worst = int(np.nan_to_num(result.max_energy_error, nan=np.inf).argmax())
        head = f"SimulationResult of {systems} systems: {counts_of(result)}, {_largest(result, worst)}{_all_within(result)}"
    forces, steps = int(result.force_evaluations.sum()), int(result.steps.sum())
    return f"{head}\n  {step_words(result)}: {forces} force evaluations in {steps} steps, {result.wall_time:.2g} s"


def counts_of(result: SimulationResult) -> str:
    """Return how many systems ended in which way, such as `11 ok, 1 stuck`."""
    return ", ".join(f"{n} {status}" for status, n in Counter(result.status).most_common())


def step_words(result: SimulationResult) -> str:
    """Return what chose the step, and the integrator."""
    return f"{result.criterion} with {result.integrator}"


def rows_of(result: SimulationResult, i: int = 0) -> Rows:
    """Return names and words about one system, without the advice."""
    rows = [("status", _status(result, i)), ("energy error", _energy(result, i))]
    if result.covered_bodies is not None:
        rows.append(("own orbits", _covered(result, i)))
    steps, forces = int(result.steps[i]), int(result.force_evaluations[i])
    rejected = int(result.rejected_steps[i])
    again = f", {rejected} more made again" if rejected else ""
    rows += [
        ("step", step_words(result)),
        ("steps", f"{steps}{_range_of_dt(result, i) if steps else ''}{again}"),
        ("force evaluations", f"{forces}" + (f", {forces / steps:.3g} a step" if steps else "")),
    ]
    outside = result.reports.get("steps_outside_training")
    if outside is not None and outside[i]:
        rows.append(("unlike the training", f"{outside[i]} steps ({outside[i] / max(steps, 1):.1%})"))
    if events := _events(result, i):
        rows.append(("events", events))
    if closest := _closest(result, i):
        rows.append(("closest approach", closest))
    if result.momentum_error is not None and result.angular_momentum_error is not None:
        momentum, angular = result.momentum_error[i], result.angular_momentum_error[i]
        rows.append(("momentum error", f"{momentum:.1e}, of the angular momentum {angular:.1e}"))
    return rows


def html_of(result: SimulationResult) -> str:
    """Return the card of a result: rows for one system, a table for several."""
    advice = " ".join(f"{sentence[0].upper()}{sentence[1:]}" for sentence in result.advice)
    systems = len(result.status)
    if systems == 1:
        rows = [*rows_of(result), *_shared(result)]
        return card("Simulation", rows, note=advice)
    rows = [("systems", counts_of(result) + _all_within(result)), ("step", step_words(result)), *_shared(result)]
    table = [
        [
            i,
            result.status[i],
            f"{result.final.time[i]:.6g}",
            int(result.force_evaluations[i]),
            f"{result.max_energy_error[i]:.1e}",
        ]
        for i in worst_first(result)[:SHOWN]
    ]
    heads = ("system", "status", "time", "force evaluations", "energy error")
    return card(f"Simulation of {systems} systems", rows, Table(heads, table), note=advice)


def simulation_card(simulation: Present) -> str:
    """Return the card of a simulation: where it is now, and what led there."""
    now, tol = simulation.bodies, simulation.tol
    sign = "within" if simulation.within_tolerance else "above"
    asked = "" if tol is None else f", {sign} the {tol:.2g} asked for"
    rows = [
        ("status", simulation.status),
        ("time", _with_unit(f"{simulation.time:.10g}", now, "time")),
        ("energy error", f"{simulation.energy_error:.1e} now, {simulation.max_energy_error:.1e} at most{asked}"),
        ("step", f"{simulation.criterion} with {simulation.integrator}"),
        ("steps", f"{simulation.step_count}, dt = {_with_unit(f'{simulation.dt:.3g}', now, 'time')} now"),
        ("force evaluations", str(simulation.force_evaluations)),
    ]
    return card(f"Simulation of {len(simulation)} bodies", rows)


def worst_first(result: SimulationResult) -> list[int]:
    """Return the systems by number: those that stopped early, then the others from the largest error (over tol) down."""
    scale = 1.0 if result.tol is None else result.tol
    errors = np.nan_to_num(result.max_energy_error / scale, nan=np.inf)
    return sorted(range(len(result.status)), key=lambda i: (result.status[i] in ENDED, -errors[i]))


def name_of(names: tuple[str, ...] | None, k: int) -> str:
    """Return the name of body k, or its number if bodies have no names."""
    return f"body {k}" if names is None else names[k]


def unit_of(bodies: Any, quantity: str) -> str:
    """Return the unit of length or time of bodies whose numbers have units, else nothing."""
    labels = getattr(getattr(bodies, "units", None), "labels", None) or ("", "", "")
    return str(labels[UNIT_LABELS[quantity]])


def _with_unit(number: str, bodies: Any, quantity: str) -> str:
    return f"{number} {unit_of(bodies, quantity)}".rstrip()


def _shared(result: SimulationResult) -> Rows:
    output = [] if result.output is None else [("output", str(result.output))]
    return [("wall time", f"{result.wall_time:.3g} s"), *output]


def _range_of_dt(result: SimulationResult, i: int) -> str:
    longest = _with_unit(f"{result.dt_max[i]:.3g}", result.final, "time")
    return f", dt from {result.dt_min[i]:.3g} to {longest}"


def _status(result: SimulationResult, i: int) -> str:
    word = result.status[i]
    where = "t = " + _with_unit(f"{result.final.time[i]:.10g}", result.final, "time")
    return f"ok at {where}" if word == "ok" else f"{word} at {where}: the run {STATUS.get(word, 'ended early')}"


def _energy(result: SimulationResult, i: int) -> str:
    words = f"{result.max_energy_error[i]:.1e}"
    if result.tol is None:
        return words
    # a run that broke off is not within its tolerance, whatever its error so far
    sign = "within" if result.max_energy_error[i] <= result.tol[i] else "above"
    return f"{words}, {sign} the {result.tol[i]:.2g} asked for"


def _largest(result: SimulationResult, worst: int) -> str:
    return f"energy errors up to {result.max_energy_error[worst]:.1e} (system {worst})"


def _all_within(result: SimulationResult) -> str:
    within = result.within_tolerance
    return "" if within is None else f", {int(within.sum())} of {len(within)} within the tolerance"


def _covered(result: SimulationResult, i: int) -> str:
    assert result.covered_bodies is not None
    covered, present = result.covered_bodies[i], result.final.present[i]
    if covered[present].all():
        return f"the tolerance covers those of all {present.sum()} bodies, too"
    if not covered.any():
        return "the tolerance covers none: no body moves regularly"
    found = np.flatnonzero(covered).tolist()
    listed = ", ".join(name_of(result.final.names, k) for k in found[:6])
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    return f"the tolerance also covers those of {len(found)} of {present.sum()} bodies: {listed}{more}"


def _events(result: SimulationResult, i: int) -> str:
    """Return the first events of a system: what happened, to which bodies, when."""
    found = [one for one in result.events if one.system == i]
    words = []
    for one in found[:EVENTS]:
        bodies = " and ".join(name_of(result.final.names, k) for k in one.bodies)
        when = _with_unit(f"{one.time:.6g}", result.final, "time")
        words.append(f"{one.kind}{f' of {bodies}' if bodies else ''} at t = {when}")
    more = [f"and {len(found) - EVENTS} more"] if len(found) > EVENTS else []
    return "; ".join([*words, *more])


def _closest(result: SimulationResult, i: int) -> str | None:
    near = result.closest_approach
    if near is None or not np.isfinite(near.distance[i]):
        return None
    first, second = (name_of(result.final.names, k) for k in near.pair[i].tolist())
    distance = _with_unit(f"{near.distance[i]:.4g}", result.final, "length")
    return f"{distance} between {first} and {second}, at t = {_with_unit(f'{near.time[i]:.6g}', result.final, 'time')}"
