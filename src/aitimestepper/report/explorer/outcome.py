"""What a snapshot file says about its run: tolerance, forces, events and facts. Nothing in it is trusted to have its type."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError
from ...events import OWN as OWN_EVENT
from ...fields import OWN
from ...files import conforms
from ...integrators import RADAU, integrator_named
from .encounters import Marker

LONGEST = 200  # characters of a text from a file
MOST_EVENTS = 1000
# what the number of an event is
VALUES = {
    "encounter": "distance",
    "collision": "relative speed",
    "escape": "speed at infinity",
    "crossing": "height",
}
FACTS = {
    "status": "status",
    "rejected_steps": "rejected steps",
    "max_energy_error": "largest energy error",
    "final_energy_error": "energy error at the end",
    "momentum_error": "momentum error",
    "angular_momentum_error": "angular momentum error",
}
SETTINGS = {
    "criterion": "step criterion",
    "integrator": "integrator",
    "G": "G",
    "external_field": "outer field",
    "guard": "guard",
    "dt_min": "smallest dt allowed",
    "dt_max": "largest dt allowed",
    "created": "created",
    "version": "aitimestepper",
}


class Forces(NamedTuple):
    """Force evaluations spent after a number of steps: `before` + `each` times the steps."""

    before: float
    each: float
    exact: bool  # False: a step takes a varying number of them, and `each` is the mean
    total: int | None  # of the whole run, as the file has it


def _of(values: Any, system: int) -> Any:
    """Return the value of a system in a list over systems, or None."""
    return values[system] if isinstance(values, list) and len(values) > system else None


def _number(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    return float(value) if conforms(value, float) and math.isfinite(value) else None


def tolerance_of(metadata: Mapping[str, Any], system: int) -> float | None:
    """Return the tolerance of the run for the energy error of a system; None where it had none."""
    asked = metadata.get("asked")
    given = _number(_of(asked.get("run_tolerance"), system)) if isinstance(asked, dict) else None
    return _number(metadata.get("tol")) if given is None else given


def forces_of(metadata: Mapping[str, Any], result: Mapping[str, Any], system: int) -> Forces:
    """Return the force evaluations along a run: exact where each step takes as many, else those of a mean step."""
    total, steps = _number(_of(result.get("force_evaluations"), system)), _number(_of(result.get("steps"), system))
    if total is None or not steps:
        return Forces(0.0, 0.0, False, None if total is None else int(total))
    try:
        integrator = integrator_named(str(metadata.get("integrator")))
    except UserError:
        return Forces(0.0, total / steps, False, int(total))
    before = total - integrator.forces_per_step * steps
    # a splitting begins with the forces at the start; a step that was rejected has more
    if integrator.kind != RADAU and before in (0.0, 1.0) and not _of(result.get("rejected_steps"), system):
        return Forces(before, float(integrator.forces_per_step), True, int(total))
    return Forces(0.0, total / steps, False, int(total))


def markers_of(result: Mapping[str, Any], system: int) -> list[Marker]:
    """Return the events of a system that the outcome of a run lists, each {time, kind, bodies, value}; others are left out."""
    listed = _of(result.get("events"), system)
    found = []
    for event in listed[:MOST_EVENTS] if isinstance(listed, list) else []:
        if isinstance(event, dict) and (time := _number(event.get("time"))) is not None:
            bodies = event.get("bodies")
            numbers = tuple(bodies) if isinstance(bodies, list) and conforms(bodies, list[int]) else ()
            kind, value = words(event.get("kind", "event")), _number(event.get("value"))
            text = "" if value is None else f"{VALUES.get(kind, 'value')} {value!r}"
            found.append(Marker(time, kind, numbers, text))
    return found


def located_approach(result: Mapping[str, Any], system: int) -> tuple[float, float, list[int]] | None:
    """Return distance, time and pair of the closest approach, located between steps; None if it is unknown."""
    near = result.get("closest_approach")
    if not isinstance(near, dict):
        return None
    distance, time, pair = (_of(near.get(name), system) for name in ("distance", "time", "pair"))
    if _number(distance) is None or _number(time) is None or not conforms(pair, list[int]) or len(pair) != 2:
        return None
    return float(distance), float(time), pair


def facts_of(
    metadata: Mapping[str, Any], result: Mapping[str, Any], system: int, systems: int, end: float, steps: int
) -> list[tuple[str, str]]:
    """Return (name, words) of all that is worth a line about the run of a system."""
    facts = {"system": f"{system} of {systems}"} if systems > 1 else {}
    facts |= {label: words(_of(result.get(name), system)) for name, label in FACTS.items()}
    facts |= {
        "end time": words(end),
        "steps": words(steps),
        "force evaluations": words(_of(result.get("force_evaluations"), system)),
    }
    tolerance, error = tolerance_of(metadata, system), _number(_of(result.get("max_energy_error"), system))
    if tolerance is not None:
        facts["tolerance"] = words(tolerance)
        if error is not None:
            facts["within its tolerance"] = "yes" if error <= tolerance else "no"
    near = located_approach(result, system)
    if near is not None:
        facts["closest approach"] = f"{near[0]!r} between bodies {near[2][0]} and {near[2][1]}, at t = {near[1]!r}"
    facts |= {label: words(metadata.get(name)) for name, label in SETTINGS.items() if metadata.get(name) not in (None, False)}
    return [(name, text) for name, text in facts.items() if text != "none"]


def words(value: Any) -> str:
    """Return a value from a file as text, cut short."""
    text = "none" if value is None else "yes" if value is True else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _listed(metadata: Mapping[str, Any]) -> list[Any]:
    events = metadata.get("events")
    return events if isinstance(events, list) else []


def command_of(path: Path, metadata: Mapping[str, Any]) -> str | None:
    """Return the command that repeats the run in a file, with the same settings; None where the file lacks some."""
    asked = metadata.get("asked")
    went_on = isinstance(asked, dict) and asked.get("error_before") is not None
    by_function = any(kind in str(metadata.get("chosen_by")) for kind in ("OwnCriterion", "AgentCriterion"))
    own = metadata.get("field") == OWN or by_function or OWN_EVENT in _listed(metadata)
    if went_on or own or "simulation" in metadata:
        return None
    again = path.with_name(f"{path.stem}-again{path.suffix}")
    return shlex.join(["aitimestepper", "simulate", "--repeat", str(path), "--output", str(again)])
