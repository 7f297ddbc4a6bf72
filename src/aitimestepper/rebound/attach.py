"""attach(): the steps of this package as an integrator of a simulation of REBOUND; detach(); load() for its archives."""

from __future__ import annotations

import ctypes
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..criteria.learned import LearnedStep
from ..criteria.own import OwnCriterion
from ..criteria.wrappers import Huayno, HutMakinoMcMillan, Wrapper, innermost
from ..errors import ConfigError, InitialConditionError, SnapshotError, shown
from ..integrators import SPLITTING, SPLITTINGS
from ..policy import RADAU_BELOW, Choice, choose
from ..simulate.advance import Advance
from ..simulate.batch import Batch
from ..simulate.callbacks import OwnFunctions
from ..simulate.kernels import layout as at
from ..simulate.kernels import plan as kernel
from ..simulate.length import for_length, kind_of
from ..simulate.program import Program, program_of
from . import memory as of
from .convert import checked_simulation, to_bodies
from .versions import rebound_module, warn_if_untested

GRAVITY = ("basic", "compensated")
METHODS = {"leapfrog": "leapfrog", "whfast": "leapfrog", "ias15": "radau15"}  # whose steps a kept integrator can take


def attach(
    sim: Any,
    criterion: Criterion | str | Path | None = None,
    *,
    tol: float | None = None,
    integrator: str = "auto",
    keep: str | None = None,
    t_end: float | None = None,
) -> Choice:
    """Let this package choose the steps of a `rebound.Simulation`; return criterion, integrator and tolerance.

    From then on `sim.integrate`, `sim.steps`, archives, heartbeats and collisions work as with REBOUND's own adaptive
    integrators, without any Python in a step. Forces are those of REBOUND, with `additional_forces` and those of REBOUNDx.

    criterion, tol, integrator: as for `simulate`; a tolerance alone picks the learned step and the cheapest splitting for it.
    keep: `leapfrog`, `whfast` or `ias15` of REBOUND goes on making the steps, and only their length is ours. t_end: the time
    until which it will run, for learned steps, which are shorter in runs of many orbits.
    """
    module = rebound_module("aitimestepper.rebound.attach")
    warn_if_untested(module, stacklevel=2)
    bodies = _checked(sim, keep)
    choice = _choice(bodies, criterion, tol, integrator, keep, t_end)
    program = program_of(choice.criterion, choice.integrator, bodies, OwnFunctions())
    _settle_in(sim, program, Advance(Batch.begin(bodies, program, OwnFunctions(), bodies.time, 1.0, None)).plan, keep)
    _choose_first(sim)
    return choice


def detach(sim: Any, integrator: str | None = None) -> None:
    """Give the simulation one of REBOUND's integrators again: that which was kept, with its settings, else IAS15."""
    sim = checked_simulation(sim)
    name = str(sim.integrator)
    if name not in of.NAMES:
        raise ConfigError(f"the integrator of this simulation is {name}, not one that attach made.")
    kept = next((kept for kept in of.KEPT if name == of.NAMES[of.KEPT[kept]]), "ias15")
    _change_integrator(sim, integrator or kept, kept)


def load(path: str | Path, snapshot: int = -1) -> Any:
    """Return the `rebound.Simulation` in an archive of REBOUND, which goes on with the steps that it was attached to.

    In a process that has not called `attach` yet, REBOUND alone does not know the integrator. Callbacks such as heartbeats and
    forces have to be set again, as with any archive.
    """
    module = rebound_module("aitimestepper.rebound.load")
    warn_if_untested(module, stacklevel=2)
    _register()
    with warnings.catch_warnings(record=True, action="always") as said:
        try:
            sim = module.Simulation(str(path), snapshot)
        except (RuntimeError, ValueError, OSError) as error:
            raise SnapshotError(f"{path}: REBOUND cannot read it as an archive: {error}") from None
    for one in said:
        if "different version" in str(one.message):
            raise SnapshotError(
                f"{path}: it was written by another version of REBOUND than {module.__version__}, whose memory may be laid out "
                "differently: read it with that version, or with rebound.Simulation and attach anew."
            )
        warnings.warn(one.message, stacklevel=2)
    _refuse_other_format(path, sim)
    return sim


def _refuse_other_format(path: str | Path, sim: Any) -> None:
    if str(sim.integrator) in of.NAMES and sim.integrator.format != of.FORMAT_NUMBER:
        raise SnapshotError(
            f"{path}: the steps in it are of another version of aitimestepper: read it with rebound.Simulation and attach anew."
        )


# ---- what is asked for ------------------------------------------------------------------------------------------------------
def _checked(sim: Any, keep: str | None) -> Bodies:
    """Return the particles of a simulation, or raise an error for one whose steps cannot be chosen."""
    checked_simulation(sim)
    if keep is not None and keep not in of.KEPT:
        raise ConfigError(f"keep = {shown(keep)} must be one of {', '.join(of.KEPT)}, or None.")
    if keep is None and sim.gravity not in GRAVITY:
        raise InitialConditionError(f"gravity = {shown(sim.gravity)} is not supported: choose {' or '.join(GRAVITY)}.")
    if sim.boundary not in ("none", "open") or sim.N_ghost_x or sim.N_ghost_y or sim.N_ghost_z:
        raise InitialConditionError(
            f"boundary = {shown(sim.boundary)} with ghost boxes is not supported: pairs across a boundary would not be seen."
        )
    sim.synchronize()
    return to_bodies(sim)


def _choice(
    bodies: Bodies,
    criterion: Criterion | str | Path | None,
    tol: float | None,
    integrator: str,
    keep: str | None,
    t_end: float | None,
) -> Choice:
    """Return criterion and integrator, or raise an error for those that REBOUND cannot be given."""
    if keep is not None and integrator != "auto":
        raise ConfigError(f"keep = {shown(keep)} and integrator = {shown(integrator)}: give only one of them.")
    end = np.array([bodies.time[0] if t_end is None else _time(t_end)])
    wanted = integrator if keep is None else METHODS[keep]
    choice = choose(criterion, tol, wanted, kind=lambda: kind_of(bodies, end))
    choice = choice._replace(criterion=for_length(choice.criterion, bodies, end))
    _refuse_unsuited(choice.criterion)
    if keep is None and choice.integrator.kind != SPLITTING:
        raise ConfigError(
            f"integrator = {choice.integrator} cannot be attached, only splittings ({', '.join(SPLITTINGS)}); for a tolerance "
            f"below {RADAU_BELOW:g} leave the simulation as it is: REBOUND's IAS15 goes to rounding errors."
        )
    if keep == "whfast" and (choice.tol is not None or isinstance(innermost(choice.criterion), LearnedStep)):
        raise ConfigError("keep = 'whfast': no tolerance is calibrated for it; give a classical criterion, as FreeFall(0.02).")
    return choice


def _time(t_end: Any) -> float:
    value = float(t_end) if isinstance(t_end, (int, float, np.number)) else math.nan
    if not math.isfinite(value):
        raise ConfigError(f"t_end = {shown(t_end)} must be a time.")
    return value


def _refuse_unsuited(criterion: Criterion) -> None:
    inner: Criterion = criterion
    while isinstance(inner, Wrapper):
        if isinstance(inner, (Huayno, HutMakinoMcMillan)):
            raise ConfigError(f"{inner.name} needs trial steps, which REBOUND has no place for: take Symmetrized.")
        inner = inner.criterion
    if isinstance(inner, OwnCriterion):
        raise ConfigError("a criterion of your own cannot be stored in an archive: choose one of the package.")
    if isinstance(inner, LearnedStep) and inner.bound_model.config.history_len:
        raise ConfigError("a network that looks at past states cannot be attached: choose one with history_len = 0.")


# ---- the memory in the simulation -------------------------------------------------------------------------------------------
def _register() -> None:
    from .callbacks import register

    register()


def _change_integrator(sim: Any, name: str, kept: str | None) -> None:
    """Give the simulation another integrator, which takes over the settings of `kept` if both have them."""
    from .places import SETTINGS

    before = str(sim.integrator)
    size = SETTINGS[kept] if kept is not None and kept != "ias15" and before.endswith(kept) and name.endswith(kept) else 0
    settings = ctypes.string_at(sim.integrator.state, size)
    sim.integrator = name
    ctypes.memmove(sim.integrator.state, settings, size)


def _settle_in(sim: Any, program: Program, plan: kernel.Plan, keep: str | None) -> None:
    """Make the integrator that of the simulation, and write the program into its memory."""
    from .callbacks import allocated

    _register()
    _change_integrator(sim, of.NAMES[of.SPLITTING if keep is None else of.KEPT[keep]], keep)
    if keep == "whfast" and sim.integrator.safe_mode != 1:
        detach(sim)
        raise ConfigError("keep = 'whfast' needs safe_mode = 1: without it steps of changing length lose their accuracy.")
    wraps = max(1, len(program.arrays["wraps"]))
    arrays = {
        "ints": plan.ints,
        "floats": plan.floats,
        "rule": program.arrays["rule"][0],
        "shape": program.arrays["shape"],
        "net": program.arrays["numbers"],
        "real": np.zeros(at.REALS),
        "memory": np.zeros(2 * kernel.WRAP_MEMORY * wraps),
    }
    words = words_of(sim)
    for name, values in arrays.items():
        words[of.ARRAYS[name]], words[of.ARRAYS[name] + 1] = len(values), allocated(values)
    words[of.FORMAT] = of.FORMAT_NUMBER


def words_of(sim: Any) -> Any:
    """Return the words of our memory in a simulation, see `memory`."""
    return (ctypes.c_int64 * of.WORDS).from_address(sim.integrator.state + 8 * of.BASE)


def _choose_first(sim: Any) -> None:
    """Choose the first step, so that REBOUND knows it before it is made."""
    from .callbacks import call_step

    words = words_of(sim)
    words[of.ONLY_CHOOSE] = 1
    call_step(sim)
    words[of.ONLY_CHOOSE] = 0
    sim.process_messages()
    sim.synchronize()
    if not (math.isfinite(sim.dt) and sim.dt != 0.0):
        detach(sim)
        raise InitialConditionError(
            "the criterion has no step for these particles: is any of them at a place that is no number?"
        )
