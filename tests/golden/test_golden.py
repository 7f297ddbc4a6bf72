"""The steps must not change: every dt of every criterion, wrapper, integrator and shipped network, as the commit in cases.json
chose them at recorded states; and how regular runs end.

The recorded numbers can be met to 1e-12 only where they do not amplify rounding: `sensitivity` is what the recording program
itself changed when every position and velocity was multiplied by 1 +- 1e-15.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aitimestepper import Bodies, Huayno, HutMakinoMcMillan, LearnedStep, Limited, Symmetrized, simulate
from aitimestepper.criteria.catalogue import CRITERIA
from aitimestepper.criteria.wrappers import innermost
from aitimestepper.fields import field_named
from aitimestepper.policy import choose

HERE = Path(__file__).parent
CASES: dict[str, Any] = json.loads((HERE / "cases.json").read_text())
ARRAYS = np.load(HERE / "golden.npz")
SINGULAR = 11  # the figure-eight at its start: the middle body feels nothing, and two bodies do not move against each other
AMPLIFIED = 30.0


def state(number: int) -> Bodies:
    case = CASES["states"][number]
    mass, position, velocity = (ARRAYS[f"{case['prefix']}{name}"] for name in ("mass", "position", "velocity"))
    field = field_named(case["external_field"], case["G"])
    known = {"softening": case["softening"], "G": case["G"], "time": case.get("time", 0.0), "external_field": field}
    return Bodies(mass, position, velocity, **known)


def criterion(case: dict[str, Any]) -> Any:
    if case["criterion"] == "learned":
        made: Any = LearnedStep.load("default", **case["parameters"])
    else:
        made = CRITERIA[case["criterion"]](**case["parameters"])
    for kind, numbers in case.get("wrappers", ()):
        if kind == "symmetrized":
            made = Symmetrized(made, **{k: np.inf if v is None else v for k, v in numbers.items()})
        elif kind == "limited":
            made = Limited(made, **numbers)
        else:
            made = Huayno(made) if kind == "huayno" else HutMakinoMcMillan(made, numbers["iterations"])
    return made


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
        start, how = state(number), {"criterion": criterion(case), "integrator": case["integrator"], "threads": 1}
        done = simulate(start, steps=1, **how)
        recorded, sensitivity = ARRAYS["steps.dt_engine"][row, number], ARRAYS["steps.sensitivity"][row, number]
        if case["criterion"] == "energybudget" and CASES["states"][number].get("boosted"):
            # it took the kinetic energy of the motion as a whole for a part of the energy; now it is that of the system at rest
            drift = start.momentum() / start.mass.sum(1, keepdims=True)
            recorded = simulate(start.replace(velocity=start.velocity - drift[:, None]), steps=1, **how).dt_max[0]
        assert close(done.dt_max[0], recorded, sensitivity), number


@pytest.mark.parametrize("case", CASES["learned"]["steps"], ids=lambda c: f"{c['integrator']}-{c['parameters']['tol']:g}")
def test_first_steps_of_shipped_networks_are_those_recorded(case):
    row = case["row"]
    for number in range(len(CASES["states"])):
        if number != SINGULAR:
            step = criterion(case)
            sensitivity = ARRAYS["learned.steps.sensitivity"][row, number]
            for one, name in ((step, "dt_engine"), (Symmetrized(step), "dt_symmetrized")):
                done = simulate(state(number), steps=1, criterion=one, integrator=case["integrator"], threads=1)
                assert close(done.dt_max[0], ARRAYS[f"learned.steps.{name}"][row, number], sensitivity), number


def same_forces(done: Any, recorded: Any) -> bool:
    """Gauss-Radau iterates until no bit of a place changes, so the last bit of a dt can cost it an evaluation more or less."""
    apart = abs(int(done.force_evaluations[0]) - int(recorded))
    return apart <= (max(10, 5e-3 * int(recorded)) if done.integrator == "radau15" else 0)


def assert_same_sequence(case: dict[str, Any], prefix: str) -> None:
    """A recorded sequence of steps again."""
    rows: dict[str, list[np.ndarray]] = {"time": [], "dt": [], "energy_error": []}

    def take(_: Any, new: dict[str, np.ndarray]) -> None:
        for name, values in rows.items():
            values.extend(new[name][:, 0])

    start, row, sensitivity = state(case["state"]), case["row"], case["sensitivity"]
    how = {"criterion": criterion(case), "integrator": case["integrator"], "threads": 1}
    done = simulate(start, steps=case["steps"], output_steps=1, sinks=(take,), **how)
    dt, time, error = (np.array(rows[name][1:]) for name in ("dt", "time", "energy_error"))
    recorded = {name: ARRAYS[f"{prefix}.{name}"][row] for name in ("dt", "time", "energy_error", "position", "velocity")}
    assert close(dt, recorded["dt"], sensitivity["dt"])
    assert close(time, recorded["time"], sensitivity["dt"], np.abs(recorded["time"]) + recorded["dt"].max())
    assert (np.abs(error - recorded["energy_error"]) <= 1e-13 + AMPLIFIED * sensitivity["energy_error"]).all()
    N, D = start.position.shape[1:]
    for name in ("position", "velocity"):
        mine, theirs = getattr(done.final, name)[0], recorded[name][:N, :D]
        assert close(mine, theirs, sensitivity[name], np.abs(theirs).max()), name
    assert same_forces(done, ARRAYS[f"{prefix}.force_evaluations"][row])


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
    assert done.steps[0] == ARRAYS[f"{prefix}.steps"][row]
    assert same_forces(done, ARRAYS[f"{prefix}.force_evaluations"][row])
    for name in ("max_energy_error", "final_energy_error"):
        allowed = 1e-13 + AMPLIFIED * sensitivity.get(name, sensitivity.get("energy_error", 0.0))
        assert abs(getattr(done, name)[0] - ARRAYS[f"{prefix}.{name}"][row]) <= allowed, name
    for name in ("position", "velocity"):
        theirs = ARRAYS[f"{prefix}.{name}"][row][:N, :D]
        assert close(getattr(done.final, name)[0], theirs, sensitivity[name], np.abs(theirs).max()), name


@pytest.mark.parametrize("case", CASES["runs"], ids=name_of)
def test_regular_runs_end_alike(case):
    how = {"criterion": criterion(case), "integrator": case["integrator"], "threads": 1}
    done = simulate(state(case["state"]), t_end=case["t_end"], **how)
    assert_ends_alike(done, case, "runs")
    near, row = done.closest_approach, case["row"]
    assert close(near.distance[0], ARRAYS["runs.closest_distance"][row], case["sensitivity"].get("closest_distance", 1e-13))
    assert near.pair[0].tolist() == ARRAYS["runs.closest_pair"][row].tolist()


# a constant step now, where the recording program took 458,129 steps of EnergyBudget
@pytest.mark.parametrize(
    "case",
    [c for c in CASES["auto"] if c["asked_integrator"] != "logh"],
    ids=lambda c: f"{c['row']}-state{c['state']}-{c['tol']:g}-{c['asked_integrator']}",
)
def test_a_tolerance_alone_picks_what_it_picked(case):
    tol, asked, picked = case["tol"], case["asked_integrator"], case["picked"]
    choice = choose(None, tol, asked)
    assert str(choice.integrator) == picked["integrator"]
    assert innermost(choice.criterion).name == picked["criterion"]
    assert isinstance(choice.criterion, Symmetrized) == bool(picked["wrappers"])
    assert choice.tol == case["run_tolerance"]
    assert_ends_alike(simulate(state(case["state"]), t_end=case["t_end"], tol=tol, integrator=asked, threads=1), case, "auto")
