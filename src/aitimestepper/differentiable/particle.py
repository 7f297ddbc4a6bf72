"""ParticleTorch: the bodies of one system or of a batch of systems, always (batch, body, axis), float64 by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..bodies import Bodies
from ..errors import InitialConditionError
from ..fields import ExternalField, acceleration_by, as_field, constants_of, parts_of, potential_by, uses_velocities
from ..validation import plain, refuse_nonfinite
from .force_cache import ForceInputs, RememberedForces, remember
from .gravity import Forces, dot, forces, tree_sum
from .validation import as_tensor, expand, promoted, refuse_coincident

TENSORS = ("mass", "position", "velocity", "mask", "dt", "time", "softening")


@dataclass(eq=False)
class ParticleTorch:
    """State of B systems of up to N bodies in D axes, as a value: methods return a new state.

    Only `update_dt` and `set_external_field` change it in place (and return it). Systems with fewer bodies are padded
    with bodies of no mass that `mask` marks as absent; they change no result.

    Examples:
        >>> from aitimestepper import ParticleTorch
        >>> p = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> tuple(p.position.shape), tuple(p.total_energy().shape)  # (B, N, D) and (B,)
        ((1, 2, 2), (1,))
    """

    mass: Tensor  # (B, N)
    position: Tensor  # (B, N, D)
    velocity: Tensor  # (B, N, D)
    mask: Tensor  # (B, N) bool, True: a real body
    dt: Tensor  # (B,) the step taken last, or the next one to take
    time: Tensor  # (B,)
    softening: Tensor  # (B,)
    G: float = 1.0
    external_field: ExternalField | None = None
    _forces: RememberedForces | None = dataclasses.field(default=None, repr=False)
    # (B,) work of a time-dependent external field during the steps to this state; None: no step yet
    _work: Tensor | None = dataclasses.field(default=None, repr=False)

    # ---- construction -----------------------------------------------------------------------------------------------
    @classmethod
    def from_tensors(
        cls,
        mass: Any,
        position: Any,
        velocity: Any,
        *,
        dt: Any = 0.0,
        time: Any = 0.0,
        softening: Any = 0.0,
        G: float = 1.0,
        mask: Any = None,
        external_field: ExternalField | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> ParticleTorch:
        """Promote shapes and precision once, and refuse what cannot be simulated.

        position, velocity: (N, D) or (B, N, D). mass: a number, (N,) per body, (B, N), or (B, 1) per system. dt, time,
        softening: a number or (B,). All are converted to `dtype` (float64) and copied: a later change of the caller's arrays
        does not change the particle. Gradients do flow back to tensors.
        """
        given = {"mass": mass, "position": position, "velocity": velocity, "mask": mask}
        given |= {"dt": dt, "time": time, "softening": softening}
        particle = cls(**promoted(given, G, dtype, device), G=float(G))
        refuse_coincident(particle._self_gravity().potential)
        return particle if external_field is None else particle.set_external_field(external_field)

    @classmethod
    def from_bodies(
        cls, bodies: Bodies, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
    ) -> ParticleTorch:
        """Return the same systems as tensors, their G and external field included; dt is 0."""
        arrays = bodies.arrays()
        mask = arrays.pop("present")
        return cls.from_tensors(
            **arrays, mask=mask, G=bodies.G, external_field=bodies.external_field, dtype=dtype, device=device
        )

    def to_bodies(self) -> Bodies:
        """Return the same systems as arrays, without graph and dt; the external field may be one of torch operations."""
        arrays: dict[str, Any] = {n: x.detach().cpu().numpy() for n, x in self.tensors().items() if n != "dt"}
        present = arrays.pop("mask")
        return Bodies(**arrays, present=present, G=self.G)._with(external_field=self.external_field)

    @classmethod
    def stack(cls, particles: Sequence[ParticleTorch]) -> ParticleTorch:
        """Return one batch from several; systems with fewer bodies than the largest are padded."""
        first = particles[0]
        for p in particles:
            axes = p.position.shape[-1] == first.position.shape[-1]
            if not axes or p.G != first.G or p.external_field != first.external_field:
                raise InitialConditionError("systems of one batch must share the number of axes, G and the external field.")
        N = max(p.position.shape[1] for p in particles)
        grown = [p.padded_to(N) for p in particles]
        work = None if all(p._work is None for p in particles) else torch.cat([p.work_so_far() for p in particles])
        return first._with({name: torch.cat([getattr(p, name) for p in grown]) for name in TENSORS}, work)

    def padded_to(self, bodies: int) -> ParticleTorch:
        """Return the systems padded with absent bodies to `bodies` bodies in all."""
        more = bodies - self.mask.shape[1]

        def grow(x: Tensor) -> Tensor:
            return x if x.ndim == 1 else torch.cat([x, x.new_zeros(x.shape[0], more, *x.shape[2:])], dim=1)

        return self if more == 0 else self._mapped(grow)

    def clone_detached(self) -> ParticleTorch:
        """Return an independent copy without a graph, with the forces that are already known."""
        return self._mapped(lambda x: x.detach().clone())._with_forces(self._known_forces(), Tensor.detach)

    def select(self, index: Tensor) -> ParticleTorch:
        """Return the systems that `index` (indices or a boolean mask over the batch) names, with the forces already known."""
        return self._mapped(lambda x: x[index])._with_forces(self._known_forces(), lambda x: x[index])

    def with_rows(self, index: Tensor, rows: ParticleTorch) -> ParticleTorch:
        """Return the batch with the systems that `index` names replaced by those of `rows`."""
        merged = {name: getattr(self, name).index_put((index,), getattr(rows, name)) for name in TENSORS}
        if self._work is None and rows._work is None:
            return self._with(merged)
        return self._with(merged, self.work_so_far().index_put((index,), rows.work_so_far()))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ParticleTorch:
        """Return the systems on another device or in another precision."""
        return self._mapped(lambda x: x.to(device=device, dtype=None if x.dtype == torch.bool else dtype))

    def update_dt(self, dt: Any) -> ParticleTorch:
        """Set the step to take next, in place."""
        self.dt = self._per_system(dt)
        return self

    def set_external_field(self, field: ExternalField | None) -> ParticleTorch:
        """Set or remove the external field, in place. It counts in forces and energy from then on."""
        field = as_field(field)
        for G in constants_of(field) - {self.G}:
            raise InitialConditionError(f"the external field has G = {G}, the bodies G = {self.G}; give both the same.")
        if uses_velocities(field):
            raise InitialConditionError(
                "a force that depends on velocities is for radau15 alone, which the loop in torch does not have: use "
                "aitimestepper.simulate."
            )
        self.external_field = field
        self._work = None
        if field is None:
            return self
        try:
            acceleration = self.get_acceleration()
        except (TypeError, AttributeError) as error:
            raise InitialConditionError(
                f"the external field {type(field).__name__} does not take torch tensors ({error}); write its acceleration with "
                "operators that NumPy and torch share."
            ) from error
        refuse_nonfinite("acceleration by the external field", plain(acceleration))
        return self

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, as `from_tensors` takes them."""
        return {name: getattr(self, name) for name in TENSORS}

    def _per_system(self, dt: Any) -> Tensor:
        """Return a step, given as a number or (B,), as (B,)."""
        return expand("dt", as_tensor("dt", dt, self.position.dtype, self.position.device), (len(self),))

    def _with(self, tensors: dict[str, Any], work: Tensor | None = None) -> ParticleTorch:
        """Return the particle with all tensors replaced, and no forces known."""
        return ParticleTorch(**tensors, G=self.G, external_field=self.external_field, _work=work)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> ParticleTorch:
        """Return the particle with `change` applied to all of its tensors, and no forces known."""
        work = None if self._work is None else change(self._work)
        return self._with({name: change(x) for name, x in self.tensors().items()}, work)

    # ---- shape ------------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        """Return the number of systems B."""
        return self.position.shape[0]

    @property
    def body_count(self) -> Tensor:
        """Number of real bodies of each system, (B,), floating-point."""
        return self.mask.sum(-1).to(self.position.dtype)

    # ---- forces and energy ------------------------------------------------------------------------------------------
    def _inputs(self) -> ForceInputs:
        return ForceInputs(self.position, self.mass, self.mask, self.softening, self.G)

    def _known_forces(self) -> Forces | None:
        return None if self._forces is None else self._forces.recall(self._inputs())

    def _with_forces(self, known: Forces | None, change: Callable[[Tensor], Tensor]) -> ParticleTorch:
        """Store the known forces of another state, in place, with the `change` applied that made this state of it."""
        if known is not None:
            self._forces = remember(self._inputs(), Forces(*(change(x) for x in known)))
        return self

    def _self_gravity(self) -> Forces:
        known = self._known_forces()
        if known is None:
            known = forces(self.position, self.mass, self.mask, self.softening, self.G)
            self._forces = remember(self._inputs(), known)
        return known

    @property
    def _field_moves(self) -> bool:
        return self.external_field is not None and getattr(self.external_field, "time_dependent", True)

    def _field_positions(self) -> Tensor:
        """Return the positions (B, N, D) at which the external field is evaluated.

        Those of absent bodies are that of a present one: the origin, where they are stored, may be a pole of the field.
        """
        first = self.mask.to(torch.uint8).argmax(1)
        present_position = self.position[torch.arange(len(self), device=first.device), first].unsqueeze(1)
        return torch.where(self.mask.unsqueeze(-1), self.position, present_position)

    def get_acceleration(self) -> Tensor:
        """Return the acceleration (B, N, D) by self-gravity and external field at this state's own time."""
        acceleration = self._self_gravity().acceleration
        if self.external_field is not None:
            external = acceleration_by(self.external_field, self._field_positions(), self.time, self.mass, self.velocity)
            acceleration = acceleration + torch.where(self.mask.unsqueeze(-1), external, 0.0)
        return acceleration

    def kinetic_energy(self) -> Tensor:
        """Return the kinetic energy (B,) in the frame of the velocities."""
        return 0.5 * tree_sum(self.mass * dot(self.velocity, self.velocity), 1)

    def potential_energy(self) -> Tensor:
        """Return the potential energy (B,) of self-gravity and external field."""
        energy = 0.5 * tree_sum(self.mass * self._self_gravity().potential, 1)
        if self.external_field is not None:
            external = potential_by(self.external_field, self._field_positions(), self.time, self.mass)
            energy = energy + tree_sum(self.mass * torch.where(self.mask, external, 0.0), 1)
        return energy

    def total_energy(self) -> Tensor:
        """Return kinetic plus potential energy (B,)."""
        return self.kinetic_energy() + self.potential_energy()

    # every particle is a batch: both names of the contract are the same method
    total_energy_batch = total_energy

    def field_power(self) -> Tensor:
        """Return sum m dPhi/dt (B,), the rate at which a time-dependent external field changes the energy, without a graph."""
        moving = [part for part in parts_of(self.external_field) if getattr(part, "time_dependent", True)]
        if not moving:
            return torch.zeros_like(self.time)
        # every body as a system with its own time, so that `tree_sum` and not autograd sums over the bodies
        x = self._field_positions().detach().flatten(0, 1).unsqueeze(1)
        with torch.enable_grad():
            t = self.time.detach().repeat_interleave(self.mask.shape[1]).requires_grad_(True)
            potential = potential_by(as_field(moving), x, t, torch.zeros_like(x[..., 0]))
            if not potential.requires_grad:
                return torch.zeros_like(self.time)
            (rate,) = torch.autograd.grad(potential.sum(), t, allow_unused=True)
        if rate is None:
            return torch.zeros_like(self.time)
        return tree_sum(self.mass.detach() * torch.where(self.mask, rate.view_as(self.mask), 0.0), 1)

    def work_so_far(self) -> Tensor:
        """Return the work (B,) of a time-dependent external field during the steps to this state."""
        return torch.zeros_like(self.time) if self._work is None else self._work

    def _work_after(self, dt: Tensor) -> Tensor | None:
        """Return the work of a moving field after a kick by `dt` at this state, with which no splitting loses order."""
        if not self._field_moves:
            return None
        done = dt.detach() * self.field_power()
        return done if self._work is None else self._work + done

    # ---- moving -----------------------------------------------------------------------------------------------------
    def kick(self, dt: Tensor, under: ParticleTorch | None = None) -> ParticleTorch:
        """Return the state with velocities advanced by `dt` (B,) under the forces at this state, or at the state `under`."""
        at = self if under is None else under
        velocity = self.velocity + at.get_acceleration() * dt.view(-1, 1, 1)
        return dataclasses.replace(self, velocity=velocity, _work=at._work_after(dt))

    def displaced(self, h2: Tensor) -> ParticleTorch:
        """Return the state with positions moved along the accelerations, by `h2` (B,) times them, at the same time."""
        position = self.position + self.get_acceleration() * h2.view(-1, 1, 1)
        return dataclasses.replace(self, position=position, _forces=None)

    def drift(self, dt: Tensor) -> ParticleTorch:
        """Return the state with positions and time advanced by `dt` (B,) at constant velocity."""
        position = self.position + self.velocity * dt.view(-1, 1, 1)
        return dataclasses.replace(self, position=position, time=self.time + dt, _forces=None)

    def evolve(self, dt: Any = None) -> ParticleTorch:
        """Return the state one kick-drift-kick leapfrog step later; differentiable in everything.

        `dt`: a number or (B,); without it, the particle's own.
        """
        step = self.dt if dt is None else self._per_system(dt)
        half = 0.5 * step
        return dataclasses.replace(self.kick(half).drift(step).kick(half), dt=step)

    evolve_batch = evolve
