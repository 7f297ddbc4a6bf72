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

FOLDER = Path(__file__).parent / "golden"
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())
RECORDED = np.load(FOLDER / "golden.npz")


def state_of(number: int) -> dict[str, Any]:
    """Return a recorded state as arguments of `Bodies` and of `ParticleTorch.from_tensors`."""
    case = CASES["states"][number]
    arrays = {name: RECORDED[f"{case['prefix']}{name}"] for name in ("mass", "position", "velocity")}
    field = field_named(case["external_field"], case["G"])
    return {**arrays, "softening": case["softening"], "G": case["G"], "time": case.get("time", 0.0), "external_field": field}


def criterion_of(case: dict[str, Any]) -> Any:
    """Return the criterion of a recorded case, with its wrappers."""
    if case["criterion"] == "learned":
        made: Any = replace(LearnedStep.load("default", **case["parameters"]), symmetrized=False)  # wrappers say how
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
