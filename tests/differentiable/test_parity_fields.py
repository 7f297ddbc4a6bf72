"""Outer fields and forces between bodies are the same in both forms of the physics, and their gradients are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity import assert_same_run, bodies, both

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.differentiable.conserved import energy_scale
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import VelocityForce, acceleration_by, potential_by
from some_fields import EVERY, HALOS, TIDES

# a tilted pole pulls bodies out of their plane, and is refused there
CASES = [(kind, axes) for kind in EVERY for axes in (2, 3) if (kind, axes) != ("tilted oblateness", 2)]


def start_with(field, axes: int) -> Bodies:
    """Systems of which all have the bodies that forces come from; one has an absent body."""
    rng = np.random.default_rng(axes)
    angle = rng.uniform(0, 6, (3, 4))
    r = np.array([0.0, 1.0, 1.7, 2.6])[:, None]
    x = np.stack([np.cos(angle), np.sin(angle), 0.3 * np.sin(angle)][:axes], -1) * r
    v = np.stack([-np.sin(angle), np.cos(angle), 0.2 * np.cos(angle)][:axes], -1) * (r > 0)
    present = np.ones((3, 4), dtype=bool)
    present[1, 2] = False
    mass = rng.uniform(0.02, 0.1, (3, 4))
    mass[:, 0] += 1.0
    return Bodies(mass, x, v, present=present, G=2.0, time=[0.0, 0.3, -1.0], external_field=field)


@pytest.mark.parametrize(("kind", "axes"), [c for c in CASES if c[0] not in TIDES])
def test_a_run_in_a_field_is_the_same_in_both(kind, axes):
    start = start_with(EVERY[kind], axes)
    criterion, integrator = {
        2: (FreeFall(0.04), "kahan_li6"),
        3: (Symmetrized(EnergyBudget(1e-5)), "suzuki4"),
    }[axes]
    ours, theirs = both(start, criterion, integrator=integrator)
    assert_same_run(start, ours, theirs)


@pytest.mark.parametrize("kind", HALOS)
def test_bodies_in_any_slots_feel_a_field_in_both(kind):
    start = bodies(3, 2.0, HALOS[kind])
    assert_same_run(start, *both(start, FreeFall(0.04), integrator="leapfrog"))


@pytest.mark.parametrize(("kind", "axes"), CASES)
def test_arrays_and_tensors_give_the_same_and_the_force_is_the_gradient_of_the_energy(kind, axes):
    field, start = EVERY[kind], start_with(None, axes)
    x, t, m, v = (torch.tensor(a) for a in (start.position, start.time, start.mass, start.velocity))
    x.requires_grad_(True)
    real = torch.tensor(start.present)
    potential = potential_by(field, x, t, m)
    (gradient,) = torch.autograd.grad((m * potential).sum(), x)
    a = acceleration_by(field, x, t, m, v)
    of_arrays = potential_by(field, start.position, start.time, start.mass)
    np.testing.assert_allclose(potential.detach(), of_arrays, rtol=1e-13, atol=1e-14)
    arrays = acceleration_by(field, start.position, start.time, start.mass, start.velocity)
    np.testing.assert_allclose(a.detach(), arrays, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close((m[..., None] * a)[real].detach(), -gradient[real], rtol=1e-11, atol=1e-13)
    single = acceleration_by(field, x.detach().float(), t.float(), m.float(), v.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, a.detach().float(), rtol=1e-3, atol=1e-4)


def test_the_scale_of_errors_is_the_same_in_both():
    for field in EVERY.values():
        start = start_with(field, 3)
        start = start.replace(velocity=start.velocity + 3.0)
        np.testing.assert_allclose(energy_scale(ParticleTorch.from_bodies(start)), start.energy_scale(), rtol=1e-12)


def test_a_gradient_at_a_centre_is_no_nan():
    for kind in ("nfw", "plummer", "logarithmic", "miyamoto_nagai"):
        field = HALOS[kind]
        x = torch.tensor([[field.center, (3.0, 2.0, 1.0)]], dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(field.potential(x, torch.zeros(1)).sum(), x)
        assert torch.isfinite(gradient).all(), kind


def test_velocity_dependent_forces_are_refused_in_torch():
    start = start_with(None, 3)
    force = VelocityForce(lambda t, mass, x, v: -v)
    with pytest.raises(InitialConditionError, match=r"^a force that depends on velocities is for radau15 alone, .*[.]$"):
        ParticleTorch.from_bodies(start).set_external_field([HALOS["nfw"], force])
