"""Bodies: the state of a batch of systems as read-only NumPy arrays, always (system, body, axis) and float64.

Units are free: any units of mass, length and time will do in which the gravitational constant is `G`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .constants import ENERGY_FLOOR
from .errors import InitialConditionError, shown
from .sums import PairBlock, dot, pair_blocks, tree_sum
from .validation import (
    TINY,
    as_array,
    as_constant,
    as_vectors,
    checked_names,
    expanded,
    padded,
    plain,
    refuse_impossible,
    refuse_nonfinite,
)

ARRAYS = ("mass", "position", "velocity", "present", "time", "softening")
SHARED = ("G", "names", "external_field")


class Orbit(NamedTuple):
    """Osculating two-body orbit of a pair in every system; each array is (B,)."""

    semi_major_axis: np.ndarray  # negative: a hyperbola
    eccentricity: np.ndarray
    period: np.ndarray  # infinite unless the pair is bound


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Bodies:
    """State of B systems of up to N bodies in D axes: a value, whose arrays are read-only copies of those given.

    Systems with fewer bodies are padded with bodies of no mass at the origin that `present` marks as absent; they change
    no result, to the last bit. `external_field` acts on all systems, on each at its own `time`. Bodies that a simulation
    returned know their `run`, which `simulate` goes on with; those made from them (`replace`, ...) do not.
    """

    mass: np.ndarray  # (B, N)
    position: np.ndarray  # (B, N, D)
    velocity: np.ndarray  # (B, N, D)
    time: np.ndarray  # (B,)
    softening: np.ndarray  # (B,) Plummer softening length
    G: float
    present: np.ndarray  # (B, N) bool, True: a real body
    names: tuple[str, ...] | None  # N names of the bodies
    external_field: Any  # a `fields.ExternalField` or None
    run: ClassVar[Any] = None  # the `simulate.continuation.Continuation` of the run that they come from

    def __init__(
        self,
        mass: Any,
        position: Any,
        velocity: Any,
        *,
        time: Any = 0.0,
        softening: Any = 0.0,
        G: float = 1.0,
        present: Any = None,
        names: Sequence[str] | None = None,
        external_field: Any = None,
    ) -> None:
        """Promote shapes and precision, and refuse what cannot be simulated with an `InitialConditionError`.

        position, velocity: (N, D) or (B, N, D) with 2 or 3 axes. mass: a number, (N,) per body, (B, N), or (B, 1) per
        system. time, softening: a number or (B,). present: (N,) or (B, N).
        """
        position, velocity = as_vectors(position, velocity)
        B, N, _ = position.shape
        mass = expanded("mass", as_array("mass", mass), (B, N))
        if present is not None:
            present = expanded("present", as_array("present", present, bool), (B, N))
            mass = np.where(present, mass, 0.0)
            position, velocity = (np.where(present[..., None], x, 0.0) for x in (position, velocity))
        self._store(
            mass=mass,
            position=position,
            velocity=velocity,
            time=expanded("time", as_array("time", time), (B,)),
            softening=expanded("softening", as_array("softening", softening), (B,)),
            present=np.ones((B, N), dtype=bool) if present is None else present,
            G=as_constant(G),
            names=checked_names(names, N),
            external_field=external_field,
        )
        refuse_impossible(**self.arrays())
        if external_field is not None:
            _refuse_field(self)

    @classmethod
    def _unchecked(cls, **fields: Any) -> Bodies:
        """Return bodies with all fields by name, in their final shapes: for the states of a run.

        Nothing is checked or copied, and the arrays become read-only.
        """
        made = object.__new__(cls)
        made._store(**fields)
        return made

    def _with(self, **changes: Any) -> Bodies:
        """Return these bodies with other fields, unchecked: see `_unchecked`."""
        return Bodies._unchecked(**{name: getattr(self, name) for name in (*ARRAYS, *SHARED)} | changes)

    def left_by(self, run: Any) -> Bodies:
        """Return the same bodies as those that a run left behind."""
        made = self._with()
        object.__setattr__(made, "run", run)
        return made

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._store(**state)  # arrays of a copy are read-only, too

    def _store(self, **fields: Any) -> None:
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    # ---- parts and combinations ------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        """Return the number of systems."""
        return len(self.position)

    def __repr__(self) -> str:
        B, N, D = self.position.shape
        return f"Bodies(systems={B}, bodies={N}, axes={D}, G={self.G})"

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by name, as the constructor takes them."""
        return {name: getattr(self, name) for name in ARRAYS}

    def replace(self, **changes: Any) -> Bodies:
        """Return these bodies with other values in some fields, checked like new ones."""
        return Bodies(**{name: getattr(self, name) for name in (*ARRAYS, *SHARED)} | changes)

    def moved(self, position: np.ndarray, velocity: np.ndarray, time: np.ndarray) -> Bodies:
        """Return the same bodies with other positions, velocities and times, in the shapes of this batch, unchecked."""
        return self._with(position=position, velocity=velocity, time=time)

    def select(self, index: Any) -> Bodies:
        """Return the systems that `index` (whole numbers or a boolean mask over the systems) names."""
        try:
            rows = np.atleast_1d(np.arange(len(self))[plain(index)])
        except (IndexError, TypeError):
            raise InitialConditionError(
                f"select({shown(index)}): give whole numbers below {len(self)}, or one true or false for each system."
            ) from None
        return self._with(**{name: values[rows] for name, values in self.arrays().items()})

    @classmethod
    def stack(cls, batches: Sequence[Bodies]) -> Bodies:
        """Return one batch of all systems of `batches`, padded to the largest; names stay where all agree on them."""
        if not batches:
            raise InitialConditionError("a batch of no systems cannot be simulated; give at least one.")
        first, N = batches[0], max(b.mass.shape[1] for b in batches)
        for b in batches:
            if (b.position.shape[2], b.G) != (first.position.shape[2], first.G) or b.external_field != first.external_field:
                raise InitialConditionError("systems of one batch must share the number of axes, G and the external field.")
        grown = {name: np.concatenate([padded(getattr(b, name), N) for b in batches]) for name in ARRAYS}
        return first._with(**grown, names=first.names if all(b.names == first.names for b in batches) else None)

    # ---- energy and momentum ---------------------------------------------------------------------------------------------
    @property
    def body_count(self) -> np.ndarray:
        """Number of real bodies of each system, (B,)."""
        return np.asarray(self.present.sum(1))

    def pair_blocks(self) -> Iterator[PairBlock]:
        """Yield all ordered pairs of bodies, about 1e5 at a time: see `sums.PairBlock`."""
        return pair_blocks(self.position, self.present, self.softening)

    def kinetic_energy(self) -> np.ndarray:
        """Return the kinetic energy of each system, (B,)."""
        return _kinetic(self.mass, self.velocity)

    def potential_energy(self) -> np.ndarray:
        """Return the potential energy of each system, (B,): self-gravity, and the external field at `time`."""
        potential = np.empty(self.mass.shape)
        for block in self.pair_blocks():
            with np.errstate(divide="ignore"):  # a run may end with two bodies at the same place
                weight = self.G * self.mass[block.systems, None, :] * np.where(block.real, 1.0 / np.sqrt(block.r2), 0.0)
            potential[block.systems, block.rows] = -tree_sum(weight, 2)
        energy = 0.5 * tree_sum(self.mass * potential, 1)
        if self.external_field is not None:
            energy = energy + tree_sum(self.mass * np.where(self.present, _field_at(self, "potential"), 0.0), 1)
        return np.asarray(energy)

    def total_energy(self) -> np.ndarray:
        """Return kinetic and potential energy of each system together, (B,)."""
        return self.kinetic_energy() + self.potential_energy()

    def energy_scale(self) -> np.ndarray:
        """Return S = max(|K + U|, 1e-4 (K + |U|)), (B,), which energy errors are measured against.

        K is about the centre of mass, so that a system that moves as a whole has the S of one at rest. With an external
        field, in which positions and velocities matter, K is that of the given velocities. S is at least the smallest normal
        number.
        """
        velocity = self.velocity
        if self.external_field is None:
            velocity = velocity - (self.momentum() / tree_sum(self.mass, 1)[:, None])[:, None, :]
        K, U = _kinetic(self.mass, velocity), self.potential_energy()
        return np.maximum(np.maximum(np.abs(K + U), ENERGY_FLOOR * (K + np.abs(U))), TINY)

    def momentum(self) -> np.ndarray:
        """Return the total momentum of each system, (B, D)."""
        return tree_sum(self.mass[..., None] * self.velocity, 1)

    def angular_momentum(self) -> np.ndarray:
        """Return the total angular momentum about the origin, (B, 3); in the plane only the last component is not zero."""
        missing = [(0, 0), (0, 0), (0, 3 - self.position.shape[2])]
        each = np.cross(np.pad(self.position, missing), np.pad(self.velocity, missing))
        return tree_sum(self.mass[..., None] * each, 1)

    def orbit(self, i: int, j: int) -> Orbit:
        """Return the osculating orbit of bodies i and j about each other, without all others and without softening."""
        N = self.mass.shape[1]
        if not all(isinstance(k, (int, np.integer)) and 0 <= k < N for k in (i, j)) or i == j:
            raise InitialConditionError(
                f"orbit of bodies {shown(i)} and {shown(j)}: give two different numbers from 0 to {N - 1}."
            )
        x, v = self.position[:, j] - self.position[:, i], self.velocity[:, j] - self.velocity[:, i]
        gm = self.G * (self.mass[:, i] + self.mass[:, j])
        r, v2 = np.sqrt(dot(x, x)), dot(v, v)
        with np.errstate(divide="ignore", invalid="ignore"):  # a parabola; two bodies of no mass
            axis = 1.0 / (2.0 / r - v2 / gm)
            period = np.where(axis > 0, 2 * math.pi * np.sqrt(np.abs(axis) ** 3 / gm), np.inf)
            towards_pericentre = ((v2 - gm / r)[:, None] * x - dot(x, v)[:, None] * v) / gm[:, None]
        return Orbit(axis, np.sqrt(dot(towards_pericentre, towards_pericentre)), period)


def as_bodies(thing: Any, *, G: float | None = None, softening: Any = None, external_field: Any = None) -> Bodies:
    """Return anything with mass, position and velocity arrays as `Bodies`.

    The attributes G, softening, time, present (or mask), names and external_field of `thing` are used where it has them;
    arguments replace them. Torch tensors are detached and copied.
    """
    given = {"G": G, "softening": softening, "external_field": external_field}
    changes = {name: value for name, value in given.items() if value is not None}
    if isinstance(thing, Bodies):
        changes = {name: value for name, value in changes.items() if not _same(value, getattr(thing, name))}
        return thing.replace(**changes) if changes else thing
    try:
        arrays = thing.mass, thing.position, thing.velocity
    except AttributeError:
        raise InitialConditionError(
            f"simulate needs mass, position and velocity arrays; {type(thing).__name__} lacks some."
        ) from None
    own = {name: getattr(thing, name, None) for name in ("time", "softening", "G", "names", "external_field")}
    own["present"] = getattr(thing, "present", getattr(thing, "mask", None))
    return Bodies(*arrays, **{name: value for name, value in (own | changes).items() if value is not None})


def _same(value: Any, has: Any) -> bool:
    """Return whether a field that has the value `has` is not changed by `value`, which may be a torch tensor."""
    try:
        return bool(np.all(plain(value) == has))
    except OverflowError:  # an integer that no float holds
        return False


def free_fall_time(bodies: Bodies) -> np.ndarray:
    """Return tau_4 = (sum over pairs of tau^-4)^(-1/4), (B,): a smooth minimum of tau = (r^3 / G(m_i + m_j))^(1/2).

    The fastest rate is divided out before the powers, so that no system of units overflows.
    """

    def squared_rates(block: PairBlock) -> np.ndarray:
        mass = bodies.mass[block.systems]
        total = bodies.G * (mass[:, None, :] + mass[:, block.rows, None])
        return np.where(block.real, total / (block.r2 * np.sqrt(block.r2)), 0.0)

    fastest, total = np.zeros(len(bodies)), np.zeros(len(bodies))
    for block in bodies.pair_blocks():
        fastest[block.systems] = np.maximum(fastest[block.systems], squared_rates(block).max((1, 2)))
    for block in bodies.pair_blocks():
        ratio = squared_rates(block) / fastest[block.systems, None, None]
        total[block.systems] += (ratio * ratio).sum((1, 2))
    return np.asarray(1.0 / (np.sqrt(np.sqrt(0.5 * total)) * np.sqrt(fastest)))


def _kinetic(mass: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * tree_sum(mass * dot(velocity, velocity), 1))


def _field_at(bodies: Bodies, quantity: str) -> np.ndarray:
    """Return the external field's potential (B, N) or acceleration (B, N, D) at the bodies.

    For absent bodies the field is evaluated at a present one: the origin, where they are stored, may be a pole of the field.
    """
    field = bodies.external_field
    present_position = bodies.position[np.arange(len(bodies)), bodies.present.argmax(1)][:, None, :]
    x = np.where(bodies.present[..., None], bodies.position, present_position)
    try:
        with np.errstate(all="ignore"):
            return np.asarray(getattr(field, quantity)(x, bodies.time), dtype=np.float64)
    except (TypeError, AttributeError) as error:
        raise InitialConditionError(
            f"the external field {type(field).__name__} does not take NumPy arrays ({error}); write its {quantity} with "
            "operators that NumPy and torch share."
        ) from error


def _refuse_field(bodies: Bodies) -> None:
    """Raise an error if the external field does not suit the bodies."""
    field = bodies.external_field
    if getattr(field, "G", bodies.G) != bodies.G:
        raise InitialConditionError(f"the external field has G = {field.G}, the bodies G = {bodies.G}; give both the same.")
    refuse_nonfinite("acceleration by the external field", _field_at(bodies, "acceleration"))
