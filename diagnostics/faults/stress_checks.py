"""What must hold of every result, whatever was asked for."""

from __future__ import annotations

import math

import numpy as np
from exact_energy import exact_error
from isolated import WrongError
from stress_draws import STEPS, Request
from stress_table import check_table

from aitimestepper import Bodies, Simulation, SimulationResult, simulate
from aitimestepper.bodies import as_bodies

STATUSES = ("ok", "event", "max_steps", "non_finite", "stuck")


def must(true: object, what: str) -> None:
    """Raise an error unless that is so."""
    if not true:
        raise WrongError(what)


def check_run(asked: Request) -> str:
    """Run what was asked for, hold the result against the start, and return its status."""
    start = Bodies.stack([one.bodies() for one in asked.systems])
    if asked.way == "simulation":
        return _check_simulation(start, asked)
    if asked.way == "ensemble":
        return check_table(start, asked)
    result = simulate(start, criterion=asked.criterion, integrator=asked.integrator, threads=1, **asked.given)
    for b in range(len(start)):
        check_system(start.select([b]), result, b, asked)
    _check_words(result)
    _check_events(start, result)
    if asked.way == "batch":
        _check_order(start, result, asked)
    return "batch" if len(set(result.status)) > 1 else result.status[0]


def check_system(start: Bodies, result: SimulationResult, b: int, asked: Request) -> None:
    """Hold the result of one system against its start."""
    final, status, steps, most = result.final.select([b]), result.status[b], int(result.steps[b]), asked.most_steps
    must(status in STATUSES, f"status {status}")
    must(np.isfinite(final.position).all() and np.isfinite(final.velocity).all(), f"{status}: the final state is not finite")
    time, end = float(final.time[0]), asked.given.get("t_end")
    if status == "ok":
        must(time == end if end is not None else steps == most, f"ok, but at t = {time!r} after {steps} steps, asked {end!r}")
        must(steps <= most, f"{steps} steps")
    if status == "max_steps":
        must(end is not None and steps == most, f"max_steps after {steps} steps")
    largest, last = float(result.max_energy_error[b]), float(result.final_energy_error[b])
    must(largest >= last >= 0.0 and math.isfinite(largest), f"{status}: errors {largest}, {last}")
    if steps:
        least, longest = float(result.dt_min[b]), float(result.dt_max[b])
        must(0.0 < least <= longest < math.inf, f"{status}: steps from {least} to {longest}")
    error, slack = exact_error(start, final)
    must(abs(error - last) <= slack, f"{status}: energy error {last:.6g}, exactly {error:.6g} +- {slack:.1e}")
    if result.tol is not None and result.within_tolerance is not None:
        kept = status in ("ok", "event") and largest <= result.tol[b]
        must(bool(result.within_tolerance[b]) == kept, "within_tolerance is not what it says")


def _check_events(start: Bodies, result: SimulationResult) -> None:
    """Every event is a finite state between the start and the end of its system, and that which ended it is at its end."""
    for one in result.events:
        begin, end = float(start.time[one.system]), float(result.final.time[one.system])
        must(min(begin, end) <= one.time <= max(begin, end), f"{one.kind} at {one.time!r}, not from {begin!r} to {end!r}")
        must(np.isfinite(one.position).all() and np.isfinite(one.velocity).all(), f"{one.kind}: its state is not finite")
    for b in np.flatnonzero(np.array(result.status) == "event"):
        times = [one.time for one in result.events if one.system == b]
        must(float(result.final.time[b]) in times, f"ended by an event at {result.final.time[b]!r}, but they are at {times}")


def _check_words(result: SimulationResult) -> None:
    """Everything that is shown of a result can be shown."""
    must(result.summary() and repr(result) and isinstance(result.advice, tuple), "no words")
    near = result.closest_approach
    must(near is not None and not np.isnan(near.distance).any(), "the closest approach is no number")


def _check_order(start: Bodies, result: SimulationResult, asked: Request) -> None:
    """The systems of a batch have the same bits in another order, with other neighbours, by several threads."""
    order = np.arange(len(start))[::-1]
    for threads, rows in ((1, order), (2, order), (4, order[: len(order) // 2])):
        if len(rows):
            given = {**asked.given, "criterion": asked.criterion, "integrator": asked.integrator, "threads": threads}
            again = simulate(start.select(rows), **given)
            if again.integrator == result.integrator:  # half of a batch may have none of the long runs that decide it
                same = np.array_equal(again.final.position, result.final.position[rows])
                must(same and np.array_equal(again.steps, result.steps[rows]), f"{len(rows)} by {threads} threads: other bits")


def _check_simulation(start: Bodies, asked: Request) -> str:
    """A `Simulation` of the system moves some steps, back into them, and says what came of it."""
    given = {key: value for key, value in asked.given.items() if key in ("tol", "guard", "dt_min", "dt_max", "events")}
    sim = Simulation(as_bodies(start), criterion=asked.criterion, integrator=asked.integrator, threads=1, **given)
    sim.steps(STEPS // 2)
    sim.steps(3)
    result = sim.result
    final = result.final
    must(np.isfinite(final.position).all() and np.isfinite(final.velocity).all(), f"{sim.status}: the state is not finite")
    must(math.isfinite(sim.max_energy_error) and math.isfinite(sim.energy_error), f"{sim.status}: errors are not finite")
    must(result.status[0] in STATUSES, f"status {result.status[0]}")
    error, slack = exact_error(start, final)
    must(
        abs(error - abs(sim.energy_error)) <= slack, f"energy error {sim.energy_error:.6g}, exactly {error:.6g} +- {slack:.1e}"
    )
    middle = float(start.time[0]) + 0.5 * (sim.time - float(start.time[0]))
    there = sim.at([middle, sim.time])
    must(np.isfinite(there.position[1]).all(), "the present is not finite where it is asked for again")
    if sim.status in ("ok", "event"):
        must(np.isfinite(there.position).all(), "a state on the way is not finite")
    if sim.dt > 16.0 * np.spacing(abs(sim.time)):  # else several steps end at what is the same time in doubles
        must(np.array_equal(there.position[1], final.position[0]), "the present is another one where it is asked for again")
    return f"simulation {result.status[0]}"
