"""Recorded cases of tests/golden: their arrays, and the criteria that they were recorded with."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper import Huayno, HutMakinoMcMillan, LearnedStep, Limited, Symmetrized
from aitimestepper.criteria.catalogue import CRITERIA
from aitimestepper.fields import field_named
from aitimestepper.models import HERMITE_FACTOR

FOLDER = Path(__file__).parent / "golden"
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())
RECORDED = np.load(FOLDER / "golden.npz")
# of the networks of the package when the cases were recorded, one for all kinds of systems; their weights are the same now
CALIBRATIONS = {
    "leapfrog": [
        [0.1, 1.5246580698505376],
        [0.01, 0.6960036906472231],
        [0.001, 0.25432695018895424],
        [1e-4, 0.20475764356430892],
    ],
    "chin4": [[0.01, 2.354493560054037], [0.001, 0.4095426884051665], [1e-4, 0.12394821128227962], [1e-5, 0.12203122427093564]],
    "blanes_moan4": [
        *([0.01, 1.0], [0.001, 3.882768755755021], [1e-4, 0.7296245471287253]),
        *([1e-5, 0.2993870524585099], [1e-6, 0.17310026363906741]),
    ],
    "blanes_moan6": [
        *([0.001, 1.5008385458746707], [1e-4, 5.43742506234277], [1e-5, 3.3967183851546956]),
        *([1e-6, 0.05001720338523417], [1e-7, 0.010886231464408251], [1e-8, 0.003203529024049589]),
    ],
}


def state_of(number: int) -> dict[str, Any]:
    """Return a recorded state as arguments of `Bodies` and of `ParticleTorch.from_tensors`."""
    case = CASES["states"][number]
    arrays = {name: RECORDED[f"{case['prefix']}{name}"] for name in ("mass", "position", "velocity")}
    field = field_named(case["external_field"], case["G"])
    return {**arrays, "softening": case["softening"], "G": case["G"], "time": case.get("time", 0.0), "external_field": field}


def as_recorded(step: LearnedStep) -> LearnedStep:
    """Return a learned step of the package with the calibration that it had in the recording."""
    model = step.bound_model
    name = "chin4" if model.integrator == "hermite4" else model.integrator
    scale = HERMITE_FACTOR if model.integrator == "hermite4" else 1.0
    calibration = [[scale * tol, factor / scale] for tol, factor in CALIBRATIONS[name]]
    return replace(step, model=replace(model, card={**model.card, "calibration": calibration, "sensitive_calibration": None}))


def criterion_of(case: dict[str, Any]) -> Any:
    """Return the criterion of a recorded case, with its wrappers."""
    if case["criterion"] == "learned":
        made: Any = replace(
            as_recorded(LearnedStep.load("default", **case["parameters"])), symmetrized=False
        )  # wrappers say how
    else:
        made = CRITERIA[case["criterion"]](**case["parameters"])
    for kind, numbers in case.get("wrappers", ()):
        if kind == "symmetrized":
            made = Symmetrized(made, **{k: math.inf if v is None else v for k, v in numbers.items()})
        elif kind == "limited":
            made = Limited(made, **numbers)
        else:
            made = Huayno(made) if kind == "huayno" else HutMakinoMcMillan(made, numbers["iterations"])
    return made
