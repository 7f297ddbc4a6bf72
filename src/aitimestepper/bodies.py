"""Bodies: the state of a batch of systems as read-only NumPy arrays, always (system, body, axis) and float64.

Units are free: any units of mass, length and time will do in which the gravitational constant is `G`. Bodies that have `units`
say which they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .constants import ENERGY_FLOOR
from .elements import JACOBI, Elements, Primary, bodies_on_orbits, elements_of
from .errors import InitialConditionError, shown
from .fields import acceleration_by, acts_from_outside, as_field, constants_of, parts_of, potential_by
from .html import bodies_card
from .inputs import fields_of
from .measured import in_one_system, is_quantity
from .quantities import Quantities, quantities
from .sums import PairBlock, dot, pair_blocks, tree_sum
from .units import VELOCITY, UnitSystem, constant_in, joint, unit_system
from .validation import (
    TINY,
    as_array,
    as_vectors,
    checked_names,
    expanded,
    padded,
    plain,
    refuse_impossible,
    refuse_nonfinite,
)

ARRAYS = ("mass", "position", "velocity", "present", "time", "softening")
SHARED = ("G", "names", "external_field", "units")
LARGEST = np.finfo(float).max


class Orbit(NamedTuple):
    """Osculating two-body orbit of a pair in every system; each array is (B,)."""

    semi_major_axis: np.ndarray  # negative: a hyperbola
    eccentricity: np.ndarray
    period: np.ndarray  # infinite unless the pair is bound


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Bodies:
    """State of B systems of up to N bodies in D axes: a value, whose arrays are read-only copies of those given.

    Systems with fewer bodies are padded with bodies of no mass at the origin that `present` marks as absent; they change
    no result, to the last bit. `external_field` acts on all systems, on each at its own `time`; a list of fields and forces is
    their sum. Bodies that a simulation returned know their `run`, which `simulate` goes on with; those made from them
    (`replace`, ...) do not.

    Examples:
        >>> from aitimestepper import Bodies
        >>> binary = Bodies(mass=[1.0, 0.5], position=[[0, 0], [1, 0]], velocity=[[0, -0.4], [0, 0.8]])
        >>> binary.position.shape  # (B, N, D)
        (1, 2, 2)
        >>> binary.total_energy().round(6).tolist()  # (B,), in the units in which G = 1
        [-0.26]
    """

    mass: np.ndarray  # (B, N)
    position: np.ndarray  # (B, N, D)
    velocity: np.ndarray  # (B, N, D)
    time: np.ndarray  # (B,)
    softening: np.ndarray  # (B,) Plummer softening length
    G: float
    present: np.ndarray  # (B, N) bool, True: a real body
    names: tuple[str, ...] | None  # N names of the bodies
    external_field: Any  # a field or a force of `fields`, a sum of them, or None
    units: UnitSystem | None  # those of all numbers; None: any in which G is right
    run: ClassVar[Any] = None  # the `simulate.continuation.Continuation` of the run that they come from

    def __init__(
        self,
        mass: Any,
        position: Any,
        velocity: Any,
        *,
        time: Any = 0.0,
        softening: Any = 0.0,
        G: Any = None,
        present: Any = None,
        names: Sequence[str] | None = None,
        external_field: Any = None,
        units: str | UnitSystem | None = None,
    ) -> None:
        """Promote shapes and precision, and refuse what cannot be simulated with an `InitialConditionError`.

        position, velocity: (N, D) or (B, N, D) with 2 or 3 axes. mass: a number, (N,) per body, (B, N), or (B, 1) per
        system. time, softening: a number or (B,). present: (N,) or (B, N). G: 1, or that of `units`, if it is not given.
        units: a system by name, such as "au Msun yr"; quantities of astropy are converted to it, and bring one otherwise.
        """
        given = {"mass": mass, "position": position, "velocity": velocity, "time": time, "softening": softening, "G": G}
        plain_numbers, units = in_one_system(given, unit_system(units))
        mass, time, softening, G = (plain_numbers[name] for name in ("mass", "time", "softening", "G"))
        position, velocity = as_vectors(plain_numbers["position"], plain_numbers["velocity"])
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
            G=constant_in(units, G),
            names=checked_names(names, N),
            external_field=as_field(external_field),
            units=units,
        )
        refuse_impossible(**self.arrays())
        if self.external_field is not None:
            _refuse_field(self)

    @classmethod
    def from_elements(
        cls,
        mass: Any,
        *,
        a: Any = None,
        q: Any = None,
        e: Any = 0.0,
        inc: Any = 0.0,
        Omega: Any = 0.0,
        omega: Any = 0.0,
        f: Any = None,
        M: Any = None,
        T: Any = None,
        primary: Primary = JACOBI,
        degrees: bool = False,
        time: Any = 0.0,
        G: Any = None,
        units: str | UnitSystem | None = None,
        **more: Any,
    ) -> Bodies:
        """Return bodies on orbits, with their centre of mass at rest at the origin.

        mass: (N,) or (B, N), with that of the first body. Elements of the others: a number, (N-1,) or (B, N-1). `a` is negative
        on hyperbolas; parabolas, and orbits near them, have the pericentre distance `q` instead. Where a body is on its orbit
        is its true anomaly `f`, its mean anomaly `M` or its time of pericentre `T`, otherwise the pericentre. What orbits are
        about, their `primary`, and all conventions are those of `elements.py`. `more` are further arguments of `Bodies`.
        """
        orbits = {"a": a, "q": q, "e": e, "inc": inc, "Omega": Omega, "omega": omega, "f": f, "M": M, "T": T}
        if degrees and any(map(is_quantity, (inc, Omega, omega, f, M))):
            raise InitialConditionError("degrees = True is for plain numbers: leave it out where angles have units.")
        numbers, units = in_one_system({"mass": mass, "time": time, "G": G, **orbits}, unit_system(units))
        numbers["G"] = constant_in(units, numbers["G"])
        mass, position, velocity = bodies_on_orbits(**numbers, primary=primary, degrees=degrees)
        return cls(mass, position, velocity, time=numbers["time"], G=numbers["G"], units=units, **more)

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

    def _repr_html_(self) -> str:
        return bodies_card(self)

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
        joint(b.units for b in batches)
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

        K is about the centre of mass, so that a system that moves as a whole has the S of one at rest. With a field from
        outside, in which positions and velocities matter, K is that of the given velocities. S is at least the smallest normal
        number.
        """
        velocity = self.velocity
        if not acts_from_outside(self.external_field):
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
        pair = [i, j]
        found = elements_of(self.mass[:, pair], self.position[:, pair], self.velocity[:, pair], self.time, self.G)
        return Orbit(found.a[:, 0], found.e[:, 0], found.period[:, 0])

    def elements(self, primary: Primary = JACOBI) -> Elements:
        """Return the osculating orbital elements of all bodies but the first, (B, N-1), without softening: see `elements.py`.

        primary: what the orbits are about: "jacobi" (all bodies before), "heliocentric" (the first body), "barycentric", or
        the index of a body, or of one for each orbit.
        """
        real = np.where(self.present, self.mass, np.nan) if not self.present.all() else self.mass
        return elements_of(real, self.position, self.velocity, self.time, self.G, primary)

    # ---- units -----------------------------------------------------------------------------------------------------------
    def to_units(self, units: str | UnitSystem) -> Bodies:
        """Return the same bodies in other units; an external field and the run that they come from stay behind."""
        wanted, has = unit_system(units), self.units
        if has is None or wanted is None:
            raise InitialConditionError("only bodies with units can be converted to others: Bodies(..., units='au Msun yr').")
        if self.external_field is not None:
            raise InitialConditionError("bodies in an external field are not converted to other units; make the field in them.")
        length, mass, time = has.length / wanted.length, has.mass / wanted.mass, has.time / wanted.time
        return self.replace(
            mass=self.mass * mass,
            position=self.position * length,
            velocity=self.velocity * (has.scale(VELOCITY) / wanted.scale(VELOCITY)),
            time=self.time * time,
            softening=self.softening * length,
            G=self.G * (wanted.G / has.G),
            units=wanted,
        )

    def quantities(self) -> Quantities:
        """Return mass, position, velocity and time as quantities of astropy, in the units in which they were given."""
        return quantities(self.units, self.mass, self.position, self.velocity, self.time)


def as_bodies(
    thing: Any,
    *,
    G: Any = None,
    softening: Any = None,
    external_field: Any = None,
    units: str | UnitSystem | None = None,
) -> Bodies:
    """Return anything that holds bodies as `Bodies`: see `inputs.fields_of` for what that may be.

    What else the thing says (G, softening, time, units, present or mask, names, external_field) is used, too; arguments replace
    it. Torch tensors are detached and copied. units: what plain numbers are in, and what those with units are converted to.
    """
    given = {"G": G, "softening": softening, "external_field": external_field}
    changes = {name: value for name, value in given.items() if value is not None}
    wanted = unit_system(units)
    if isinstance(thing, Bodies):
        if wanted is not None and wanted != thing.units:
            own_G = None if thing.G == 1.0 else thing.G  # 1 unless it was given
            thing = thing.replace(units=wanted, G=own_G) if thing.units is None else thing.to_units(wanted)
        changes = {name: value for name, value in changes.items() if not _same(value, getattr(thing, name))}
        return thing.replace(**changes) if changes else thing
    fields = fields_of(thing)
    make = Bodies.from_elements if "position" not in fields else Bodies
    if wanted is not None and fields.get("units") is not None:
        return as_bodies(make(**fields), units=wanted, **given)
    return make(**fields | changes | ({} if wanted is None else {"units": wanted}))


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
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # two bodies may be as good as at the same place
            rates = np.minimum(total / (block.r2 * np.sqrt(block.r2)), LARGEST)
        return np.where(block.real & (total > 0.0), rates, 0.0)

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
            if quantity == "potential":
                return np.asarray(potential_by(field, x, bodies.time, bodies.mass), dtype=np.float64)
            return np.asarray(acceleration_by(field, x, bodies.time, bodies.mass, bodies.velocity), dtype=np.float64)
    except (TypeError, AttributeError) as error:
        raise InitialConditionError(
            f"the external field {type(field).__name__} does not take NumPy arrays ({error}); write its {quantity} with "
            "operators that NumPy and torch share."
        ) from error


def _refuse_field(bodies: Bodies) -> None:
    """Raise an error if the external field does not suit the bodies."""
    field = bodies.external_field
    for G in constants_of(field) - {bodies.G}:
        raise InitialConditionError(f"the external field has G = {G}, the bodies G = {bodies.G}; give both the same.")
    for part in parts_of(field):
        central = getattr(part, "body", None)
        if central is not None and not bodies.present[:, central : central + 1].all():
            raise InitialConditionError(f"{type(part).__name__}: body = {central} must be present in every system.")
    refuse_nonfinite("acceleration by the external field", _field_at(bodies, "acceleration"))
