"""What a file holds of a run, and the run that is made again from it: values that are checked as if a user had given them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._version import __version__
from ..bodies import Bodies
from ..criteria.agent import AgentCriterion
from ..criteria.base import Criterion, positive_numbers
from ..criteria.learned import LearnedStep
from ..criteria.own import OwnCriterion
from ..criteria.stored import criterion_from_plain, criterion_to_plain
from ..criteria.wrappers import innermost
from ..errors import ConfigError, SnapshotError, UserError, shown
from ..events import OWN as OWN_EVENT
from ..events import Event, as_events, event_from_plain
from ..fields import OWN, as_field, field_from_plain, field_text, field_to_plain
from ..integrators import integrator_named
from ..models import from_plain, to_plain
from ..units import units_from_plain
from ..validation import as_constant
from .batch import MOST_ROWS, Batch, Output
from .callbacks import OwnFunctions
from .first_state import MOST_STEPS, restored_state
from .kernels import layout as at
from .outcome import WORDS
from .program import program_of
from .result import MAX_STEPS, OK
from .snapshots import Saved
from .threads import chosen_threads

Arrays = dict[str, np.ndarray]
ASKED = ("tol", "t_end", "steps", "max_steps", "guard", "dt_min", "dt_max", "error_before", "status_at_limit")


def contents_of(batch: Batch, asked: dict[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Return metadata and constant arrays with everything that is needed to repeat a run, and to resume it."""
    output, start, criterion = batch.output, batch.start, batch.criterion
    assert output is not None
    assert criterion is not None
    inner, header = innermost(criterion), None
    weights: Arrays = {}
    if isinstance(inner, LearnedStep):
        header, weights = to_plain(inner.bound_model.without_initial_conditions())
    metadata = {
        **_about_the_program(),
        **{k: asked[k] for k in ("criterion", "integrator", "tol", "t_end", "steps", "dt_min", "dt_max", "guard")},
        "output_every": output.every,
        "output_by_steps": output.by_steps,
        "G": start.G,
        "names": start.names,
        "external_field": field_text(start.external_field),
        "field": field_to_plain(start.external_field),
        "units": f"G = {start.G:g}; " + ("any units that it is right in" if start.units is None else start.units.name),
        "unit_system": None if start.units is None else start.units.to_plain(),
        "chosen_by": criterion_to_plain(criterion),
        "network": header,
        "guard_share": batch.guard,
        "asked": asked,
    }
    times = np.zeros(0) if output.times is None else output.times
    return metadata, {"system": batch.system, "output_start": output.start, "output_times": times, **weights}


def _about_the_program() -> dict[str, Any]:
    import datetime  # imported here: together they take half as long as this package
    import importlib.metadata
    import platform

    return {
        "program": "aitimestepper",
        "version": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": importlib.metadata.version("numba"),
        },
    }


def batch_from(saved: Saved, threads: int | None, criterion: Criterion | None, external_field: Any) -> Batch:
    """Return the run in its newest complete state; its functions of a user's own are given again."""
    metadata, constants = saved.metadata, dict(saved.constants)
    try:
        system, first, times = (constants.pop(name) for name in ("system", "output_start", "output_times"))
        model = None if metadata["network"] is None else from_plain(metadata["network"], constants, "its network")
        chosen = criterion_from_plain(metadata["chosen_by"], model, _function(metadata["chosen_by"], criterion))
        own, outer = OwnFunctions(), _field(metadata["field"], external_field)
        units = units_from_plain(metadata.get("unit_system"))
        start = Bodies(
            **saved.initial, G=as_constant(metadata["G"]), names=metadata["names"], external_field=outer, units=units
        )
        program = program_of(chosen, integrator_named(metadata["integrator"]), start, own)
        state, rows = restored_state(start, program, saved.state)
        _check_asked(metadata["asked"], len(start))
        _check_times(start, system, state["real"], state["states"][:, at.TIME_SIGN])
        output = _output(metadata, first, times, system, state)
        guard = float(metadata["guard_share"])
        if not 0.0 <= guard < math.inf:
            raise SnapshotError(f"its guard_share = {guard} is none")
    except _GiveAgain as error:
        raise ConfigError(str(error)) from None
    except UserError as error:
        raise SnapshotError(f"the file does not hold what is needed to resume: {str(error).rstrip('.')}.") from None
    except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
        words = f"{type(error).__name__}: {error}"[:200]
        raise SnapshotError(f"the file does not hold what is needed to resume ({words}); start the run anew.") from None
    return Batch(program, start, system.copy(), state, rows, output, guard, chosen_threads(threads), own, chosen)


def events_from(metadata: dict[str, Any], given: Any) -> tuple[Event, ...]:
    """Return the events of the run in a file; those of a user's own are given again, all of them in their order."""
    plain = metadata.get("events", [])
    if given is not None:
        again = as_events(given)
        if not isinstance(plain, list) or len(again) != len(plain) or OWN_EVENT not in plain:
            raise ConfigError("the events of this run are in the file: leave events out.")
        return again
    if isinstance(plain, list) and OWN_EVENT in plain:
        raise ConfigError(
            "an event of this run is a function of your own: give all its events again, as resume(path, events=[])."
        )
    try:
        return tuple(event_from_plain(one) for one in plain)
    except (UserError, LookupError, TypeError, ValueError):
        raise SnapshotError("the file does not hold what is needed to resume: its events are none.") from None


class _GiveAgain(Exception):
    """What the user must or must not give to resume."""


def _function(chosen_by: Any, given: Criterion | None) -> Any:
    """Return the function of the user's own that chooses the steps, from the criterion given again; None if there is none."""
    while "criterion" in chosen_by:
        chosen_by = chosen_by["criterion"]
    kind = {kind.__name__: kind for kind in (OwnCriterion, AgentCriterion)}.get(chosen_by["kind"])
    needed = kind is not None
    if needed and given is None:
        raise _GiveAgain("the criterion of this run is a function of your own: give it again, as resume(path, criterion=...).")
    if given is not None and not needed:
        raise _GiveAgain("the criterion of this run is in the file: leave criterion out.")
    inner = None if given is None else innermost(given)
    if inner is not None and not (isinstance(inner, (OwnCriterion, AgentCriterion)) and type(inner) is kind):
        raise _GiveAgain(f"the criterion of this run is a function of your own, not {given}: give that one again.")
    return None if inner is None else inner.function


def _field(plain: Any, given: Any) -> Any:
    """Return the outer field of the run: that in the file, or the user's own given again."""
    if plain == OWN and given is None:
        raise _GiveAgain(
            "the external_field of this run is a function of your own: give it again, as resume(path, external_field=...)."
        )
    if plain != OWN and given is not None:
        raise _GiveAgain("the external_field of this run is in the file: leave external_field out.")
    return field_from_plain(plain) if given is None else as_field(given)


def _check_asked(asked: Any, systems: int) -> None:
    """Raise an error unless the words about the run are those of `simulate`; results repeat them."""
    if not isinstance(asked, dict) or not {*WORDS, *ASKED} <= set(asked):
        raise SnapshotError("it does not say what was asked for")
    for name in ("criterion", "integrator"):
        if not isinstance(asked[name], str):
            raise SnapshotError(f"its {name} = {shown(asked[name])} is no text")
    for name, length in (("run_tolerance", systems), ("covers", 2), ("error_before", systems)):
        values = asked[name]
        if values is not None and (not isinstance(values, list) or np.shape(np.array(values, dtype=np.float64)) != (length,)):
            raise SnapshotError(f"its {name} = {shown(values)} are not {length} numbers")
    if asked["run_tolerance"] is not None:
        positive_numbers(asked["run_tolerance"], "its tolerance")
    if asked["status_at_limit"] not in (OK, MAX_STEPS):
        raise SnapshotError(f"its status_at_limit = {shown(asked['status_at_limit'])} is none")


def _check_times(start: Bodies, system: np.ndarray, real: np.ndarray, direction: np.ndarray) -> None:
    """Raise an error for times and numbers of steps at which a run never ends."""
    if system.shape != (len(start), at.SYSTEMS) or system.dtype != np.float64:
        raise SnapshotError(f"its systems have the type {system.dtype} and the shape {system.shape}")
    end, limit, now, stop = system[:, at.T_END], system[:, at.STEP_LIMIT], real[:, at.TIME], system[:, at.STOP]
    if not np.isfinite(real[:, at.TIME_COMPENSATION]).all():
        raise SnapshotError("its times are those of no run")
    in_order = (now >= direction * start.time) & (now <= end) & (stop == end)
    if not in_order.all() or not ((limit >= 0) & (limit < MOST_STEPS)).all():
        raise SnapshotError("its times or numbers of steps are those of no run")


def _output(metadata: dict[str, Any], first: np.ndarray, times: np.ndarray, system: np.ndarray, state: Arrays) -> Output:
    """Return when rows of output are due; the next one is at the last step or later, for the kernel writes all that are."""
    systems, direction = len(system), state["states"][:, at.TIME_SIGN]
    every, by_steps = float(metadata["output_every"]), metadata["output_by_steps"]
    if (
        not np.array_equal(direction * first, system[:, at.OUTPUT_START])
        or first.shape != (systems,)
        or first.dtype != np.float64
        or not np.isfinite(first).all()
        or not isinstance(by_steps, bool)
    ):
        raise SnapshotError("the times of its output are those of no run")
    if times.size:
        return _output_at(times, Output(every, by_steps, first, times), state)
    start = direction * first
    span = float(np.where(np.isfinite(system[:, at.T_END]), system[:, at.T_END] - start, 0.0).max())
    if not (0.0 < every < math.inf and (by_steps or span / every < MOST_ROWS)):
        raise SnapshotError(f"its output_every = {every} is none")
    rows, steps, before = state["count"][:, at.ROWS], state["count"][:, at.STEPS], state["real"][:, at.TIME_BEFORE]
    late = steps - rows * every > every if by_steps else start + (rows + 1.001) * every < before
    if late.any():
        raise SnapshotError("more rows of its output are due than one step can leave")
    return Output(every, by_steps, first)


def _output_at(times: np.ndarray, output: Output, state: Arrays) -> Output:
    """Return the output at a list of times, or raise an error unless the next of them is the one that is due."""
    direction, rows = state["states"][:, at.TIME_SIGN], state["count"][:, at.ROWS]
    if times.ndim != 1 or times.dtype != np.float64 or not np.isfinite(times).all() or (direction != direction[0]).any():
        raise SnapshotError("the times of its output are those of no run")
    ahead = direction[0] * np.append(times, direction[0] * np.inf)
    if (np.diff(ahead) <= 0).any() or (rows > len(times)).any() or (state["real"][:, at.DUE] != ahead[rows]).any():
        raise SnapshotError("the times of its output are those of no run")
    if (state["real"][:, at.DUE] < state["real"][:, at.TIME_BEFORE]).any():
        raise SnapshotError("more rows of its output are due than one step can leave")
    return output
