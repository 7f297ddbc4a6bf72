"""ParticleTorch: the bodies of one system or of a batch of systems, always (batch, body, axis), float64 by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InitialConditionError
from ..fields import ExternalField
from .gravity import Forces, dot, forces, tree_sum
from .validation import as_tensor, expand, refuse_impossible, refuse_nonfinite


@dataclass(eq=False)
class ParticleTorch:
    """State of B systems of up to N bodies in D axes. A value: everything that changes it returns a new one.

    Only `update_dt` and `set_external_field` change it in place (and return it). Systems with fewer bodies are padded
    with bodies of no mass that `mask` marks as absent; they change no result.
    """

    mass: Tensor  # (B, N)
    position: Tensor  # (B, N, D)
    velocity: Tensor  # (B, N, D)
    mask: Tensor  # (B, N) bool, True: a real body
    dt: Tensor  # (B,) the last step taken, or the next one to take
    time: Tensor  # (B,)
    softening: Tensor  # (B,)
    G: float = 1.0
    external_field: ExternalField | None = None
    # (what it was computed from, the versions of that and of the result, result): FSAL, so that a step costs one force pass
    _forces: tuple[tuple[Any, ...], tuple[int, ...], Forces] | None = dataclasses.field(default=None, repr=False)
    # (B,) energy that a time-dependent outer field put in during the steps that led here; None: no step yet
    _work: Tensor | None = dataclasses.field(default=None, repr=False)

    # ---- making one -------------------------------------------------------------------------------------------------
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
        """The door: promote shapes and precision once, and refuse what cannot be simulated.

        position, velocity: (N, D) or (B, N, D). mass: a number, (N,) per body, (B, N), or (B, 1) per system. dt, time,
        softening: a number or (B,). Everything becomes `dtype` (float64), whatever it came as, and is copied: a later change
        of the caller's arrays does not reach the particle. Gradients do flow back to tensors.
        """
        position = as_tensor("position", position, dtype, device)
        velocity = as_tensor("velocity", velocity, dtype, position.device)
        if position.ndim == 2:
            position, velocity = position.unsqueeze(0), velocity.unsqueeze(0) if velocity.ndim == 2 else velocity
        if position.ndim != 3 or position.shape[-1] not in (2, 3):
            raise InitialConditionError(
                f"position has shape {tuple(position.shape)}, not (bodies, axes) or (systems, bodies, axes) with 2 or 3 axes."
            )
        if velocity.shape != position.shape:
            raise InitialConditionError(
                f"velocity has shape {tuple(velocity.shape)}, position {tuple(position.shape)}; they must be the same."
            )
        B, N, _ = position.shape
        mass = expand("mass", as_tensor("mass", mass, dtype, position.device), (B, N))
        if mask is None:
            mask = torch.ones(B, N, dtype=torch.bool, device=position.device)
        else:
            mask = expand("mask", as_tensor("mask", mask, torch.bool, position.device), (B, N))
            position, velocity = (torch.where(mask.unsqueeze(-1), x, 0.0) for x in (position, velocity))
            mass = torch.where(mask, mass, 0.0)
        dt, time, softening = (
            expand(name, as_tensor(name, value, dtype, position.device), (B,))
            for name, value in (("dt", dt), ("time", time), ("softening", softening))
        )
        mass, position, velocity, mask = mass.clone(), position.clone(), velocity.clone(), mask.clone()
        particle = cls(mass, position, velocity, mask, dt.clone(), time.clone(), softening.clone(), float(G))
        refuse_impossible(particle)
        return particle if external_field is None else particle.set_external_field(external_field)

    @classmethod
    def stack(cls, particles: Sequence[ParticleTorch]) -> ParticleTorch:
        """One batch from several (batches of) systems; systems with fewer bodies than the largest are padded."""
        first = particles[0]
        for p in particles:
            if (
                p.position.shape[-1] != first.position.shape[-1]
                or p.G != first.G
                or p.external_field is not first.external_field
            ):
                raise InitialConditionError("systems of one batch must share the number of axes, G and the external field.")
        N = max(p.position.shape[1] for p in particles)
        grown = [p.padded_to(N) for p in particles]
        return first._with({name: torch.cat([getattr(p, name) for p in grown]) for name in _TENSORS})

    def padded_to(self, bodies: int) -> ParticleTorch:
        """With absent bodies appended, up to so many in all."""
        more = bodies - self.mask.shape[1]
        if more == 0:
            return self

        def grow(x: Tensor) -> Tensor:
            return x if x.ndim == 1 else torch.cat([x, x.new_zeros(x.shape[0], more, *x.shape[2:])], dim=1)

        return self._with({name: grow(x) for name, x in self.tensors().items()})

    def clone_detached(self) -> ParticleTorch:
        """An independent copy with no graph behind it; forces already known come along."""
        copies = {name: getattr(self, name).detach().clone() for name in _TENSORS}
        copy = self._with(copies)
        known = self._known_forces()
        if known is not None:
            copy._remember(Forces(*(x.detach() for x in known)))
        return copy

    def select(self, index: Tensor) -> ParticleTorch:
        """The systems that `index` (indices or a boolean mask over the batch) names, forces already known included."""
        part = self._with({name: x[index] for name, x in self.tensors().items()})
        part._work = None if self._work is None else self._work[index]
        known = self._known_forces()
        if known is not None:
            part._remember(Forces(*(x[index] for x in known)))
        return part

    def with_rows(self, index: Tensor, rows: ParticleTorch) -> ParticleTorch:
        """The batch with the systems `index` replaced by those of `rows`."""
        merged = {name: getattr(self, name).index_put((index,), getattr(rows, name)) for name in _TENSORS}
        return self._with(merged)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ParticleTorch:
        """On another device or in another precision."""
        moved = {n: getattr(self, n).to(device=device, dtype=None if n == "mask" else dtype) for n in _TENSORS}
        return self._with(moved)

    def update_dt(self, dt: Any) -> ParticleTorch:
        """Set the step to take next, in place."""
        self.dt = self._per_system(dt)
        return self

    def set_external_field(self, field: ExternalField | None) -> ParticleTorch:
        """Set or remove the outer field, in place. It counts in forces and energy from then on."""
        if getattr(field, "G", self.G) != self.G:
            raise InitialConditionError(f"the external field has G = {field.G}, the bodies G = {self.G}; give both the same.")  # type: ignore[union-attr]
        self.external_field = field
        self._work = None
        if field is not None:
            refuse_nonfinite(self.get_acceleration(), "acceleration by the external field")
        return self

    def _per_system(self, dt: Any) -> Tensor:
        """A step given as a number or (B,), as (B,)."""
        return expand("dt", as_tensor("dt", dt, self.position.dtype, self.position.device), (len(self),))

    def _with(self, tensors: dict[str, Tensor]) -> ParticleTorch:
        """All tensors replaced, the rest kept, forces forgotten."""
        return ParticleTorch(**tensors, G=self.G, external_field=self.external_field)  # type: ignore[arg-type]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, as `from_tensors` takes them."""
        return {name: getattr(self, name) for name in _TENSORS}

    # ---- shape ------------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return self.position.shape[0]

    @property
    def body_count(self) -> Tensor:
        """(B,) real bodies per system, as numbers."""
        return self.mask.sum(-1).to(self.position.dtype)

    # ---- forces and energy ------------------------------------------------------------------------------------------
    def _inputs(self) -> tuple[Any, ...]:
        """What the forces depend on."""
        return self.position, self.mass, self.mask, self.softening, self.G

    def _remember(self, result: Forces) -> None:
        versions = _versions(*self._inputs()[:-1], *result)
        self._forces = None if versions is None else (self._inputs(), versions, result)

    def _known_forces(self) -> Forces | None:
        """The forces remembered, if nothing they depend on was replaced or written to since, nor they themselves."""
        if self._forces is None:
            return None
        inputs, versions, result = self._forces
        now = self._inputs()
        if now[-1] != inputs[-1] or any(a is not b for a, b in zip(now[:-1], inputs[:-1], strict=True)):
            return None
        if versions != _versions(*now[:-1], *result):
            return None
        # computed under no_grad, wanted in a graph: taking them would cut the gradient off
        cut = torch.is_grad_enabled() and not result.acceleration.requires_grad and any(x.requires_grad for x in now[:-1])
        return None if cut else result

    def _self_gravity(self) -> Forces:
        known = self._known_forces()
        if known is None:
            known = forces(self.position, self.mass, self.mask, self.softening, self.G)
            self._remember(known)
        return known

    @property
    def _field_moves(self) -> bool:
        return self.external_field is not None and getattr(self.external_field, "time_dependent", True)

    def _outer_positions(self) -> Tensor:
        """Positions to ask the outer field at: absent bodies stand where a present one is, not in a pole of the field."""
        first = self.mask.to(torch.uint8).argmax(1)
        somewhere = self.position[torch.arange(len(self), device=first.device), first].unsqueeze(1)
        return torch.where(self.mask.unsqueeze(-1), self.position, somewhere)

    def get_acceleration(self) -> Tensor:
        """(B, N, D), self-gravity and outer field at this state's own time."""
        acceleration = self._self_gravity().acceleration
        if self.external_field is not None:
            outer = self.external_field.acceleration(self._outer_positions(), self.time)
            acceleration = acceleration + torch.where(self.mask.unsqueeze(-1), outer, 0.0)
        return acceleration

    def kinetic_energy(self) -> Tensor:
        """(B,)."""
        return 0.5 * tree_sum(self.mass * dot(self.velocity, self.velocity), 1)

    def potential_energy(self) -> Tensor:
        """(B,), self-gravity and outer field."""
        energy = 0.5 * tree_sum(self.mass * self._self_gravity().potential, 1)
        if self.external_field is not None:
            outer = self.external_field.potential(self._outer_positions(), self.time)
            energy = energy + tree_sum(self.mass * torch.where(self.mask, outer, 0.0), 1)
        return energy

    def field_power(self) -> Tensor:
        """(B,) sum of m dPhi/dt: the rate at which a time-dependent outer field changes the energy; no graph behind it."""
        field = self.external_field
        if field is None or not self._field_moves:
            return torch.zeros_like(self.time)
        # every body as a system with a time of its own: the sum over bodies is ours, not the one that autograd makes
        x = self._outer_positions().detach().flatten(0, 1).unsqueeze(1)
        with torch.enable_grad():
            t = self.time.detach().repeat_interleave(self.mask.shape[1]).requires_grad_(True)
            potential = field.potential(x, t)
            if not potential.requires_grad:
                return torch.zeros_like(self.time)
            (rate,) = torch.autograd.grad(potential.sum(), t, allow_unused=True)
        if rate is None:
            return torch.zeros_like(self.time)
        return tree_sum(self.mass.detach() * torch.where(self.mask, rate.view_as(self.mask), 0.0), 1)

    def total_energy(self) -> Tensor:
        """(B,) kinetic and potential energy."""
        return self.kinetic_energy() + self.potential_energy()

    # every particle is a batch; the second name is kept for code that says so
    total_energy_batch = total_energy

    # ---- moving -----------------------------------------------------------------------------------------------------
    def kick(self, dt: Tensor) -> ParticleTorch:
        """Velocities advanced by `dt` (B,) under the forces at this state."""
        velocity = self.velocity + self.get_acceleration() * dt.view(-1, 1, 1)
        return dataclasses.replace(self, velocity=velocity)

    def drift(self, dt: Tensor) -> ParticleTorch:
        """Positions and time advanced by `dt` (B,) at constant velocity."""
        position = self.position + self.velocity * dt.view(-1, 1, 1)
        return dataclasses.replace(self, position=position, time=self.time + dt, _forces=None)

    def evolve(self, dt: Any = None) -> ParticleTorch:
        """One kick-drift-kick leapfrog step by `dt` (a number or (B,); default: `self.dt`); differentiable in everything."""
        step = self.dt if dt is None else self._per_system(dt)
        half = 0.5 * step
        kicked = self.kick(half)
        advanced = kicked.drift(step).kick(half)
        return dataclasses.replace(advanced, dt=step, _work=kicked._work_over(step))

    def _work_over(self, step: Tensor) -> Tensor | None:
        """TrainingRun of the field, a drift by `step` included: met halfway, so that compositions keep their order."""
        if not self._field_moves:
            return None
        done = step.detach() * self.drift(0.5 * step.detach()).field_power()
        return done if self._work is None else self._work + done

    evolve_batch = evolve


_TENSORS = ("mass", "position", "velocity", "mask", "dt", "time", "softening")


def _versions(*tensors: Tensor) -> tuple[int, ...] | None:
    """How often each was written to; None if that is not counted (inference mode)."""
    return None if any(x.is_inference() for x in tensors) else tuple(x._version for x in tensors)
