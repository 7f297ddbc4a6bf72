"""The outcome of a run as of now: a `SimulationResult`, and the summary that its file holds."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Occurrence
from ..files import conforms
from .batch import Batch
from .continuation import Continuation
from .kernels import layout as at
from .kernels.plan import LEARNED
from .program import knows_range
from .result import MAX_STEPS, NON_FINITE, OK, STUCK, ClosestApproach, Limits, SimulationResult, momentum_errors

# what files and results say of the way that steps are chosen
WORDS = ("criterion", "integrator", "run_tolerance", "covers", "finest")
MOST_LISTED = 1000  # events that a file lists, of all systems
STATUS_WORDS = ("running", OK, MAX_STEPS, NON_FINITE, STUCK)


def result_of(batch: Batch, asked: dict[str, Any], began: float, path: Path | None) -> SimulationResult:
    """Return the result of every system, as of now."""
    real, count, final = batch.state["real"], batch.state["count"], batch.final()
    words = [STATUS_WORDS[code] for code in count[:, at.STATUS].tolist()]
    (p, L), near = momentum_errors(batch.start, final), _closest(batch)
    of_run: dict[str, Any] = {name: asked.get(name) for name in WORDS}
    return SimulationResult(
        final=final.left_by(
            Continuation(batch.start, batch.program, batch.state, of_run, batch.own, batch.criterion, batch.guard)
        ),
        status=tuple(asked["status_at_limit"] if word == MAX_STEPS else word for word in words),
        steps=count[:, at.STEPS].copy(),
        force_evaluations=count[:, at.FORCES].copy(),
        rejected_steps=count[:, at.REJECTED].copy(),
        max_energy_error=real[:, at.MAX_ERROR].copy(),
        final_energy_error=real[:, at.ERROR].copy(),
        momentum_error=p,
        angular_momentum_error=L,
        dt_min=real[:, at.DT_MIN].copy(),
        dt_max=real[:, at.DT_MAX].copy(),
        closest_approach=near,
        wall_time=clock.perf_counter() - began,
        tol=None if asked.get("run_tolerance") is None else np.array(asked["run_tolerance"], dtype=np.float64),
        criterion=asked["criterion"],
        integrator=asked["integrator"],
        reports=_reports(batch),
        output=path,
        limits=Limits(
            batch.start,
            final,
            near,
            real[:, at.ENERGY_SCALE].copy(),
            asked.get("error_before"),
            of_run["covers"],
            bool(of_run["finest"]),
        ),
    )


def _closest(batch: Batch) -> ClosestApproach:
    """Return the closest approaches, with bodies numbered as in the start; the engine numbers only those present."""
    real, count = batch.state["real"], batch.state["count"]
    order = np.argsort(~batch.start.present, axis=1, kind="stable")
    pair = np.take_along_axis(order, count[:, [at.CLOSEST_I, at.CLOSEST_J]], axis=1)
    return ClosestApproach(pair, real[:, at.CLOSEST].copy(), batch.direction * real[:, at.CLOSEST_TIME] + 0.0)


def _reports(batch: Batch) -> dict[str, np.ndarray | None]:
    """Return the reports of a learned step about its run, each (B,).

    They are the largest relative energy error that the network expected of a step, the number of steps that the ceiling
    limited, and the number of steps for which some input was out of the range of the training and was clamped to it; None for
    a network that knows no range.
    """
    if batch.program.numbers["kind"] != LEARNED:
        return {}
    real, count = batch.state["real"], batch.state["count"]
    return {
        "expected_step_error": 10.0 ** real[:, at.EXPECTED],
        "steps_at_ceiling": count[:, at.AT_CEILING].copy(),
        "steps_outside_training": count[:, at.OUT_OF_RANGE].copy() if knows_range(batch.program) else None,
    }


def listed_events(log: Sequence[Occurrence], systems: int, earlier: Any = None) -> list[list[dict[str, Any]]]:
    """Return events as values for JSON, a list for each system: those of an earlier outcome of the run, and those of a log.

    A run that was stopped between an event and the end that it brings finds it again.
    """
    known = conforms(earlier, list[list[dict[str, Any]]]) and len(earlier) == systems
    listed = [list(part) for part in earlier] if known else [[] for _ in range(systems)]
    before = [len(part) for part in listed]
    for one in log[: max(0, MOST_LISTED - sum(before))]:
        value = float(one.value) if math.isfinite(one.value) else None
        plain = {"time": float(one.time), "kind": one.kind, "bodies": list(map(int, one.bodies)), "value": value}
        if plain not in listed[one.system][: before[one.system]]:
            listed[one.system].append(plain)
    return listed


def summary_so_far(result: SimulationResult) -> dict[str, Any]:
    """Return the outcome so far as values for JSON, each a list over systems."""
    near = result.closest_approach
    assert near is not None

    def numbers(values: np.ndarray | None) -> list[Any] | None:
        return None if values is None else [v if math.isfinite(v) else None for v in values.tolist()]

    return {
        "status": list(result.status),
        "time": result.final.time.tolist(),
        "steps": result.steps.tolist(),
        "force_evaluations": result.force_evaluations.tolist(),
        "rejected_steps": result.rejected_steps.tolist(),
        "max_energy_error": numbers(result.max_energy_error),
        "final_energy_error": numbers(result.final_energy_error),
        "momentum_error": numbers(result.momentum_error),
        "angular_momentum_error": numbers(result.angular_momentum_error),
        "closest_approach": {"pair": near.pair.tolist(), "distance": near.distance.tolist(), "time": near.time.tolist()},
    }
