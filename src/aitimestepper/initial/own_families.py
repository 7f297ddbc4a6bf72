"""Families of one's own, from a Python file."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..errors import ConfigError, InitialConditionError
from ..plugins import load_module
from .draws import Family, Sample
from .families import family_named
from .named import InitialConditions


def families_from_file(path: str | Path) -> dict[str, Family]:
    """Run a Python file and return its families by FILE:NAME: its public functions with the parameters (rng, dim)."""
    module = load_module(Path(path), "families")
    found = {
        f"{Path(path).name}:{name}": value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        if list(inspect.signature(value).parameters)[:2] == ["rng", "dim"]
    }
    if not found:
        raise ConfigError(f"{path} holds no family: write a function (rng, dim) that returns (Bodies, t_end) or a Sample.")
    return {name: _named(function, name) for name, function in found.items()}


def families_named(names: Sequence[str]) -> tuple[list[str], dict[str, Family]]:
    """Return the names of the families (`FILE.py` means all families in it), and the functions of those from files."""
    found, own = [], {}
    for name in names:
        file, _, wanted = name.partition(":")
        if not file.endswith(".py"):
            family_named(name)
            found.append(name)
            continue
        there = families_from_file(file)
        if wanted and f"{Path(file).name}:{wanted}" not in there:
            raise ConfigError(f"{file} has no family {wanted!r}; it has {', '.join(there)}.")
        chosen = [f"{Path(file).name}:{wanted}"] if wanted else list(there)
        found += chosen
        own.update({k: there[k] for k in chosen})
    return found, own


def _named(function: Any, name: str) -> Family:
    """Return a user's function as a family; what it returns, `as_sample` describes."""

    def family(rng: np.random.Generator, dim: int) -> Sample:
        try:
            return as_sample(function(rng, dim))
        except Exception as error:  # a user's own code
            words = f"{type(error).__name__}: {error}"
            raise InitialConditionError(f"{name} must return (Bodies, t_end) or a Sample; it ended with {words}.") from None

    return family


def as_sample(made: Any) -> Sample:
    """Return what a family has returned as a `Sample`: one already, or any object with mass, position and velocity, and t_end.

    Softening and external field are those of the sample, or of its bodies where it has none.
    """
    if not isinstance(made, Sample):
        bodies, t_end = made
        made = Sample(bodies, t_end)
    bodies, field = made.initial, made.external_field
    softening = made.softening or np.ravel(getattr(bodies, "softening", 0.0))[0]
    field = getattr(bodies, "external_field", None) if field is None else field
    return Sample(_initial_conditions(bodies), float(made.t_end), float(softening), bool(made.regular), field)


def _initial_conditions(made: Any) -> InitialConditions:
    """Return one system as `InitialConditions`."""
    mass, position, velocity = (np.asarray(x, dtype=float) for x in (made.mass, made.position, made.velocity))
    if isinstance(made, Bodies) and len(made) == 1:
        mass, position, velocity = (x[0][made.present[0]] for x in (mass, position, velocity))
    return InitialConditions(mass, position, velocity, getattr(made, "period", None), getattr(made, "G", 1.0))
