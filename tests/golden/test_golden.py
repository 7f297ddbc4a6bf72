"""The steps must not change: every dt of every criterion, wrapper, integrator and shipped network, as the commit in cases.json
chose them at recorded states; and how regular runs end.

The recorded numbers can be met to 1e-12 only where they do not amplify rounding: `sensitivity` is what the recording program
itself changed when every position and velocity was multiplied by 1 +- 1e-15.

What was recorded `again`, with the largest of six tries as its sensitivity where the steps themselves are others:

- The work of a moving field (state 26) is measured at the kicks of a splitting now, not halfway through its drifts. So the
  energy errors there are others, by a few percent of themselves, and with them the steps of networks, which see them; classical
  steps there are the same to rounding.
- All of networks and of what `auto` picks, but Gauss-Radau and logh: there are networks for other splittings now, and for
  other tolerances, with other inputs.
- All of EnergyBudget: it counts the own energies of the tightest pairs, approaches its ceiling smoothly,
  takes the energy scale of the start, and has other constants. These numbers are those of the commit named there, not of the
  recording program.

Runs for which a tolerance alone picks Gauss-Radau are not compared: it has another epsilon now.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aitimestepper import Bodies, LearnedStep, Symmetrized, simulate
from aitimestepper.criteria.wrappers import innermost
from aitimestepper.policy import RADAU_BELOW, choose
from recorded_cases import CASES, RECORDED, as_recorded, criterion_of, state_of

SINGULAR = 11  # the figure-eight at its start: the middle body feels nothing, and two bodies do not move against each other
AMPLIFIED = 30.0


def state(number: int) -> Bodies:
    return Bodies(**state_of(number))


def close(found: Any, recorded: Any, sensitivity: Any = 0.0, scale: Any = None) -> bool:
    found, recorded = np.asarray(found, float), np.asarray(recorded, float)
    scale = np.abs(recorded) if scale is None else scale
    return bool((np.abs(found - recorded) <= np.maximum(1e-12, AMPLIFIED * np.asarray(sensitivity)) * scale).all())


@pytest.mark.parametrize("case", CASES["steps"], ids=lambda c: f"{c['criterion']}-{c['integrator']}-{c['row']}")
def test_first_steps_are_those_recorded(case):
    row = case["row"]
    for number in range(len(CASES["states"])):
        if number == SINGULAR and case["integrator"] == "radau15":
            continue
        start, how = state(number), {"criterion": criterion_of(case), "integrator": case["integrator"], "threads": 1}
        done = simulate(start, steps=1, **how)
        recorded, sensitivity = RECORDED["steps.dt_engine"][row, number], RECORDED["steps.sensitivity"][row, number]
        assert close(done.dt_max[0], recorded, sensitivity), number


@pytest.mark.parametrize("case", CASES["learned"]["steps"], ids=lambda c: f"{c['integrator']}-{c['parameters']['tol']:g}")
def test_first_steps_of_shipped_networks_are_those_recorded(case):
    row = case["row"]
    for number in range(len(CASES["states"])):
        if number != SINGULAR:
            step = criterion_of(case)
            sensitivity = RECORDED["learned.steps.sensitivity"][row, number]
            for one, name in ((step, "dt_engine"), (Symmetrized(step), "dt_symmetrized")):
                done = simulate(state(number), steps=1, criterion=one, integrator=case["integrator"], threads=1)
                assert close(done.dt_max[0], RECORDED[f"learned.steps.{name}"][row, number], sensitivity), number


def same_forces(done: Any, recorded: Any) -> bool:
    """Return whether the numbers of force evaluations agree.

    Gauss-Radau iterates until no bit of a position changes, so that the last bits decide over evaluations: with forces that are
    rounded otherwise, 27 of these runs took 2.4 % less to 1.7 % more, 0.2 % in the mean.
    The recording program left out the evaluation of a last step of logh that went beyond the end and was made again.
    """
    difference = abs(int(done.force_evaluations[0]) - int(recorded))
    return difference <= {"radau15": max(10, 0.025 * int(recorded)), "logh": 1}.get(done.integrator, 0)


def assert_same_sequence(case: dict[str, Any], prefix: str) -> None:
    """Check that a run takes the recorded sequence of steps."""
    rows: dict[str, list[np.ndarray]] = {"time": [], "dt": [], "energy_error": []}

    def take(_: Any, new: dict[str, np.ndarray]) -> None:
        for name, values in rows.items():
            values.extend(new[name][:, 0])

    start, row, sensitivity = state(case["state"]), case["row"], case["sensitivity"]
    how = {"criterion": criterion_of(case), "integrator": case["integrator"], "threads": 1}
    done = simulate(start, steps=case["steps"], output_steps=1, sinks=(take,), **how)
    dt, time, error = (np.array(rows[name][1:]) for name in ("dt", "time", "energy_error"))
    recorded = {name: RECORDED[f"{prefix}.{name}"][row] for name in ("dt", "time", "energy_error", "position", "velocity")}
    assert close(dt, recorded["dt"], sensitivity["dt"])
    assert close(time, recorded["time"], sensitivity["dt"], np.abs(recorded["time"]) + recorded["dt"].max())
    assert (np.abs(error - recorded["energy_error"]) <= 1e-13 + AMPLIFIED * sensitivity["energy_error"]).all()
    N, D = start.position.shape[1:]
    for name in ("position", "velocity"):
        mine, theirs = getattr(done.final, name)[0], recorded[name][:N, :D]
        assert close(mine, theirs, sensitivity[name], np.abs(theirs).max()), name
    assert same_forces(done, RECORDED[f"{prefix}.force_evaluations"][row])


def name_of(case: dict[str, Any]) -> str:
    wrappers = "-".join(kind for kind, _ in case["wrappers"])
    return f"{case['row']}-{case['criterion']}-{wrappers}-{case['integrator']}-state{case['state']}"


# the rate of change of lastterm's step counted as 0 in the recording program: its Huayno did nothing
@pytest.mark.parametrize("case", [c for c in CASES["sequences"] if "quirk" not in c], ids=name_of)
def test_sequences_of_classical_steps_are_those_recorded(case):
    assert_same_sequence(case, "sequences")


@pytest.mark.parametrize("case", CASES["learned"]["sequences"], ids=name_of)
def test_sequences_of_learned_steps_are_those_recorded(case):
    assert_same_sequence(case, "learned.sequences")


def assert_ends_alike(done: Any, case: dict[str, Any], prefix: str) -> None:
    row, sensitivity = case["row"], case["sensitivity"]
    N, D = done.final.position.shape[1:]
    assert done.steps[0] == RECORDED[f"{prefix}.steps"][row]
    assert same_forces(done, RECORDED[f"{prefix}.force_evaluations"][row])
    for name in ("max_energy_error", "final_energy_error"):
        allowed = 1e-13 + AMPLIFIED * sensitivity.get(name, sensitivity.get("energy_error", 0.0))
        assert abs(getattr(done, name)[0] - RECORDED[f"{prefix}.{name}"][row]) <= allowed, name
    for name in ("position", "velocity"):
        theirs = RECORDED[f"{prefix}.{name}"][row][:N, :D]
        assert close(getattr(done.final, name)[0], theirs, sensitivity[name], np.abs(theirs).max()), name


@pytest.mark.parametrize("case", CASES["runs"], ids=name_of)
def test_regular_runs_end_alike(case):
    how = {"criterion": criterion_of(case), "integrator": case["integrator"], "threads": 1}
    done = simulate(state(case["state"]), t_end=case["t_end"], **how)
    assert_ends_alike(done, case, "runs")
    near, row = done.closest_approach, case["row"]
    assert close(near.distance[0], RECORDED["runs.closest_distance"][row], case["sensitivity"].get("closest_distance", 1e-13))
    assert near.pair[0].tolist() == RECORDED["runs.closest_pair"][row].tolist()


# a constant step now, where the recording program took 458,129 steps of EnergyBudget
@pytest.mark.parametrize(
    "case",
    [c for c in CASES["auto"] if c["asked_integrator"] != "logh"],
    ids=lambda c: f"{c['row']}-state{c['state']}-{c['tol']:g}-{c['asked_integrator']}",
)
def test_a_tolerance_alone_picks_what_it_picked(case):
    tol, asked, picked = case["tol"], case["asked_integrator"], case["picked"]
    if asked == "auto" and tol < RADAU_BELOW:  # Gauss-Radau now; what was picked then is still what that splitting has
        assert choose(None, tol).integrator.name == "radau15"
        asked = picked["integrator"]
    choice = choose(None, tol, asked)
    assert str(choice.integrator) == picked["integrator"]
    assert innermost(choice.criterion).name == picked["criterion"]
    assert isinstance(choice.criterion, Symmetrized) == bool(picked["wrappers"])
    assert choice.tol == case["run_tolerance"]
    how: dict[str, Any] = {"tol": tol, "integrator": asked}
    if isinstance(innermost(choice.criterion), LearnedStep):
        how = {"criterion": Symmetrized(as_recorded(innermost(choice.criterion))), "integrator": picked["integrator"]}
    assert_ends_alike(simulate(state(case["state"]), t_end=case["t_end"], threads=1, **how), case, "auto")
